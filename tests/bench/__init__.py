"""Measures the relay against its goals (`make bench`); also what load stands on, quickly made."""
