"""A scenario: what organisations do on a morning, as a file says it, and the visits that it comes to."""
