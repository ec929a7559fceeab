"""Pieces of Python that many requests go through, one by one; `measured/pieces.py` runs them."""
