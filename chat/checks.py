"""System checks: wrong set-ups are named at start, with the line that mends them."""
