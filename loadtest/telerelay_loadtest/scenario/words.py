"""How single values of a scenario are written: times of day, durations.

Each checks what it is made of and raises ValueError with the sentence that the person reads.
"""

import re
from typing import Final, Self

from typing_extensions import override

_TIME: Final = re.compile(r"(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d)(:(?P<seconds>[0-5]\d))?")
_DURATION: Final = re.compile(
    r"(?=\d)((?P<h>\d{1,3})h)?((?P<m>\d{1,4})m)?((?P<s>\d{1,6})s)?((?P<ms>\d{1,6})ms)?"
)
_UNITS_MS: Final = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


class TimeOfDay(str):
    """A moment of the day: `08:30`, `08:30:15`."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        if _TIME.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not written as HH:MM or HH:MM:SS, such as 08:30")
        return super().__new__(cls, text)

    @property
    def ms(self) -> int:
        """Milliseconds since midnight."""
        hours, minutes, *seconds = map(int, self.split(":"))
        return hours * _UNITS_MS["h"] + minutes * _UNITS_MS["m"] + sum(seconds) * _UNITS_MS["s"]


class Duration(str):
    """A length of time: `90s`, `1h30m`, `250ms`."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        if _DURATION.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not written with h, m, s or ms, such as 1h30m or 250ms")
        return super().__new__(cls, text)

    @property
    def ms(self) -> int:
        """Milliseconds."""
        found = _DURATION.fullmatch(self)
        if found is None:
            raise AssertionError("it was checked when it was made")
        return sum(int(found[unit] or 0) * length for unit, length in _UNITS_MS.items())


def shown(ms: int) -> str:
    """Milliseconds as a duration is written."""
    text = ""
    for unit, length in _UNITS_MS.items():
        count, ms = divmod(ms, length)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def clock(ms: int) -> str:
    """Milliseconds since midnight as a time of day, to the second."""
    seconds = ms // _UNITS_MS["s"]
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
