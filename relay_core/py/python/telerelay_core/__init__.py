"""The Rust core of telerelay: sockets, TLS, framing, pairing. Everything public is named here."""

from telerelay_core._core import __version__

__all__ = ["__version__"]
