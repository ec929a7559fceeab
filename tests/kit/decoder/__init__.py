"""Reads the protocol from PROTOCOL.md alone, to check the vectors and the core: frames, IDs, TLS records."""
