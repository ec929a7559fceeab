"""A node written from PROTOCOL.md alone, on the standard library and the independent decoder.

It does what is right until a test makes it lie.
"""
