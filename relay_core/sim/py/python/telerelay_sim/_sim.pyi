"""The hand-written interface of the extension module; stubtest compares the two."""

__all__ = ["__version__"]

__version__: str
