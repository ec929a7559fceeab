"""Every bound of the Python code: the numbers of limits.toml, which the core carries (docs/LIMITS.md)."""

import tomllib
from collections.abc import Mapping
from typing import Final

from telerelay_core import LIMITS_TOML

_TABLE: Final = tomllib.loads(LIMITS_TOML)
LIMITS: Final[Mapping[str, int]] = {name: limit["value"] for name, limit in _TABLE.items()}
"""The value of each bound, in the unit that its name ends with; the reason stands in the table."""
COUNTERS: Final[Mapping[str, str]] = {
    name: limit["counter"] for name, limit in _TABLE.items() if "counter" in limit
}
"""The statistic of a node that rises when a bound is hit, for those that a node meets."""
