"""Measures the relay beside what people could take instead of it (`make bench-peers`)."""
