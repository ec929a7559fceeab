"""What a hostile client gets out of an office desktop and into it: every way tried, and a signed report."""
