"""The hand-written interface of the Rust extension module; stubtest compares the two."""

__version__: str
