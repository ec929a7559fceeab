"""What a metric family is: its name, what it counts, and what whoever watches makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Family:
    """One family; a counter's name ends with `_total`, one that is no number of things with its unit.

    `help` says what is counted, `reading` what to make of it. `shows`: the name of one number or distribution
    of a snapshot; with labels the name of a group of them, whose members are `NAME.VALUE` or
    `NAME.VALUE.VALUE`, or with one label the names by its values. What is shown is `scale` times the number.
    """

    name: str
    kind: Kind
    help: str
    reading: str
    shows: str | Mapping[str, str]
    labels: tuple[str, ...] = ()
    scale: float = field(default=1, kw_only=True)

    @property
    def unit(self) -> str:
        """In what it is given."""
        stem = self.name.removesuffix("_total")
        if stem.endswith("_timestamp_seconds"):
            return "Unix time"
        for unit in ("seconds", "bytes"):
            if stem.endswith(f"_{unit}"):
                return unit
        return ""
