"""A real session from beside it: when something passed, which way, how much. Never what."""
