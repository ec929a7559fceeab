"""The program on the office PC: dials out, waits, and serves one desktop."""

from importlib.metadata import version

__version__ = version("telerelay-agent")
