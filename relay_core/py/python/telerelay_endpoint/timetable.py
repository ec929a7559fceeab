"""When a computer may be used: spans of a week in the organisation's own time, and its holidays.

Pure: Unix seconds come in. The organisation's time is a fixed distance from UTC, as Japan's +09:00 is all the
year: no machine needs a time zone database, and no two machines disagree about the hour.
"""

from dataclasses import dataclass
from typing import Final

MINUTE_S: Final = 60
DAY_MINUTES: Final = 24 * 60
_DAY_S: Final = DAY_MINUTES * MINUTE_S
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
"""The kinds of days, by their numbers. A day that is listed as a holiday is that, and no weekday."""
HOLIDAY: Final = DAYS.index("holiday")
_WEEK: Final = DAYS[:HOLIDAY]
_FIRST_DAY: Final = DAYS.index("thu")
"""1970-01-01."""


@dataclass(frozen=True)
class Span:
    """A part of one kind of day: `begin` and `end` in minutes from its midnight, `end` perhaps tomorrow."""

    day: int
    begin: int
    end: int


@dataclass(frozen=True)
class Timetable:
    """When a computer may be used. `offset`: minutes ahead of UTC; `holidays`: days since 1970-01-01."""

    offset: int
    spans: tuple[Span, ...]
    holidays: tuple[int, ...] = ()

    def closes(self, now: int) -> int | None:
        """Until when it is open without a break, at least for a week; None where it is closed at `now`.

        Both in Unix seconds. Spans that touch or overlap are one.
        """
        until = now
        while until < now + len(_WEEK) * _DAY_S:
            later = self._end_at(until)
            if later is None:
                break
            until = later
        return until if until > now else None

    def opens(self, now: int) -> int | None:
        """The next moment at which it is open, which may be `now`; None where there is none for two weeks."""
        if self.closes(now) is not None:
            return now
        today = self._local(now) // _DAY_S
        begins = [
            day * _DAY_S + (span.begin - self.offset) * MINUTE_S
            for day in range(today, today + 2 * len(_WEEK))
            for span in self.spans
            if span.day == self._kind(day)
        ]
        return min((begin for begin in begins if begin > now), default=None)

    def _end_at(self, instant: int) -> int | None:
        """The end of the longest span that holds `instant`."""
        local = self._local(instant)
        today = local // _DAY_S
        ends = [
            day * _DAY_S + span.end * MINUTE_S
            for day in (today - 1, today)
            for span in self.spans
            if span.day == self._kind(day)
            and day * _DAY_S + span.begin * MINUTE_S <= local < day * _DAY_S + span.end * MINUTE_S
        ]
        return max(ends) - self.offset * MINUTE_S if ends else None

    def _local(self, instant: int) -> int:
        return instant + self.offset * MINUTE_S

    def _kind(self, day: int) -> int:
        return HOLIDAY if day in self.holidays else (day + _FIRST_DAY) % len(_WEEK)
