"""How fast time passes for rules: as built a minute is a minute; a test has no three days to wait."""

from dataclasses import dataclass
from string import Template
from typing import Final

_UNITS_MS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


@dataclass(frozen=True)
class Pace:
    """Windows and waits are `speed` times shorter than they are called."""

    speed: float = 1

    def of(self, seconds: float) -> str:
        """A duration of PromQL: the largest unit that holds it without a rest."""
        left = round(seconds * 1_000 / self.speed)
        for unit, size in _UNITS_MS:
            if left >= size and left % size == 0:
                return f"{left // size}{unit}"
        return f"{left}ms"

    def over(self, expression: str, seconds: float) -> str:
        """An expression over the last $window."""
        return Template(expression).substitute(window=self.of(seconds))
