"""How single values of a policy are written: hours, networks, versions, the distance from UTC.

Each checks what it is made of and raises ValueError with the sentence that the person reads.
"""

import re
from ipaddress import ip_network
from typing import Final, Self

from typing_extensions import override

from telerelay_endpoint.payloads import EASTERNMOST, LABEL_MAXIMUM, NOTICE_MAXIMUM, REASON_MAXIMUM
from telerelay_endpoint.timetable import DAY_MINUTES, DAYS, HOLIDAY, Span

_HOURS: Final = re.compile(r"(?P<days>[a-z,-]+) (?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)")
_OFFSET: Final = re.compile(r"\+\d\d:[0-5]\d")
_VERSION: Final = re.compile(r"(\d{1,5})\.(\d{1,5})\.(\d{1,5})")
_WEEK: Final = DAYS[:HOLIDAY]
_HOUR_MINUTES: Final = 60


class Hours(str):
    """Hours of some days: `mon-fri 08:30-17:15`, `sat,holiday 09:00-12:00`, over midnight `fri 22:00-06:00`.

    What ends no later than it begins ends on the next day; a span belongs to the day that it begins on.
    """

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        _spans(text)
        return super().__new__(cls, text)

    @property
    def spans(self) -> tuple[Span, ...]:
        """One for each of its days."""
        return _spans(self)


class UtcOffset(str):
    """How far the organisation's clocks are ahead of UTC: `+09:00`."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        made = super().__new__(cls, text)
        if _OFFSET.fullmatch(text) is None or made.minutes > EASTERNMOST:
            raise ValueError(f"{text!r} is not written as +09:00, up to +14:00")
        return made

    @property
    def minutes(self) -> int:
        """Ahead of UTC."""
        hours, minutes = self[1:].split(":")
        return int(hours) * _HOUR_MINUTES + int(minutes)


class Network(str):
    """A network, ADDRESS/LENGTH; a single address is one too."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        return super().__new__(cls, str(ip_network(text)))


class Version(str):
    """A program's version, MAJOR.MINOR.PATCH; empty: any."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        if text and _VERSION.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not written as MAJOR.MINOR.PATCH, such as 1.4.0")
        return super().__new__(cls, text)

    @property
    def numbers(self) -> tuple[int, int, int] | None:
        """None: any version."""
        if not self:
            return None
        major, minor, patch = self.split(".")
        return int(major), int(minor), int(patch)


class Notice(str):
    """A text that a person confirms."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        return super().__new__(cls, _bounded(text, range(1, NOTICE_MAXIMUM + 1)))


class Watermark(str):
    """A text that is drawn over the screen; empty: none."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        return super().__new__(cls, _bounded(text, range(LABEL_MAXIMUM + 1)))


class Approver(str):
    """Who approved an exception."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        return super().__new__(cls, _bounded(text, range(1, LABEL_MAXIMUM + 1)))


class Why(str):
    """The reason for an exception, in a sentence."""

    __slots__ = ()

    @override
    def __new__(cls, text: str) -> Self:
        """Raises ValueError."""
        return super().__new__(cls, _bounded(text, range(1, REASON_MAXIMUM + 1)))


def _bounded(text: str, size: range) -> str:
    if len(text.encode()) not in size:
        raise ValueError(f"{size.start} to {size.stop - 1} bytes of UTF-8 fit, here are {len(text.encode())}")
    return text


def _spans(text: str) -> tuple[Span, ...]:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not written as DAYS HH:MM-HH:MM, such as mon-fri 08:30-17:15")
    begin, end = _minutes(found["begin"]), _minutes(found["end"])
    if begin == DAY_MINUTES:
        raise ValueError(f"{text!r}: a day begins at 00:00")
    # What ends no later than it begins ends on the next day.
    length = end - begin if end > begin else end + DAY_MINUTES - begin
    return tuple(Span(day, begin, begin + length) for day in sorted(_days(found["days"])))


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes >= _HOUR_MINUTES or hours * _HOUR_MINUTES + minutes > DAY_MINUTES:
        raise ValueError(f"{text} is no time of day")
    return hours * _HOUR_MINUTES + minutes


def _days(text: str) -> set[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, hyphen, last = part.partition("-")
        if first == DAYS[HOLIDAY] and not hyphen:
            days.add(HOLIDAY)
            continue
        begin, end = _day(first), _day(last if hyphen else first)
        # fri-mon goes over the end of the week.
        days |= {(begin + step) % len(_WEEK) for step in range((end - begin) % len(_WEEK) + 1)}
    return days


def _day(text: str) -> int:
    if text not in _WEEK:
        raise ValueError(f"{text!r} is no day: there are {', '.join(DAYS)}")
    return _WEEK.index(text)
