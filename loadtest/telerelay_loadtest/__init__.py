"""The load kit: plays an organisation's morning against a relay, measures it, and reports what it came to."""

from importlib.metadata import version

__version__ = version("telerelay-loadtest")
