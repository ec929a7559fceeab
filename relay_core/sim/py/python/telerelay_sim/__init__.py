"""The simulator and the codecs for the Python tests: a development module, never in the product."""

from telerelay_sim._sim import __version__

__all__ = ["__version__"]
