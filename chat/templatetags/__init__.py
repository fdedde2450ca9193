"""Template tags: `translate` for a site of one language, and the summary on the admin's front page."""
