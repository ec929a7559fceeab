"""The proof: what is run against the real thing."""
