"""The program on the home PC: reaches an office PC and opens a viewer on it."""

from importlib.metadata import version

__version__ = version("telerelay-client")
