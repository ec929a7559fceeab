"""The relay node and the commands of operators, organisations and auditors."""

from importlib.metadata import version

__version__ = version("telerelay")
