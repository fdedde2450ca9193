"""The usage dashboard: what was spent, by whom, on which model, and how many answers failed."""
