"""When a computer may be used, against a second reading of the same rules by calendar and time zone."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telerelay_endpoint.timetable import DAYS, HOLIDAY, Span, Timetable
from tests.kit.timetables import timetables

TOKYO: Final = ZoneInfo("Asia/Tokyo")
JST: Final = 9 * 60
EPOCH: Final = date(1970, 1, 1)
WEEK_S: Final = 7 * 86_400
# Monday 2026-12-28 to Sunday 2027-01-03: the turn of a year.
TURN: Final = date(2026, 12, 28)


def at(text: str) -> int:
    """Unix seconds of a time in Tokyo."""
    return int(datetime.fromisoformat(text).replace(tzinfo=TOKYO).timestamp())


def days(*holidays: str) -> tuple[int, ...]:
    return tuple((date.fromisoformat(day) - EPOCH).days for day in holidays)


def spans(begin: int, end: int, *kinds: str) -> tuple[Span, ...]:
    return tuple(Span(DAYS.index(kind), begin, end) for kind in kinds)


OFFICE: Final = Timetable(
    JST,
    spans(8 * 60 + 30, 17 * 60 + 15, "mon", "tue", "wed", "thu", "fri"),
    days("2026-12-31", "2027-01-01"),
)
NIGHT: Final = Timetable(JST, spans(22 * 60, 30 * 60, "fri"))
ALWAYS: Final = Timetable(JST, spans(0, 24 * 60, *DAYS))


@pytest.mark.parametrize(
    ("when", "closes"),
    [
        ("2026-12-30T08:29:59", None),
        ("2026-12-30T08:30", "2026-12-30T17:15"),
        ("2026-12-30T17:14:59", "2026-12-30T17:15"),
        ("2026-12-30T17:15", None),
        # Thursday, but listed as a holiday; Friday too.
        ("2026-12-31T10:00", None),
        ("2027-01-01T10:00", None),
        ("2027-01-02T10:00", None),
        ("2027-01-04T10:00", "2027-01-04T17:15"),
    ],
)
def test_office_hours(when: str, closes: str | None) -> None:
    assert OFFICE.closes(at(when)) == (closes and at(closes))


@pytest.mark.parametrize(
    ("when", "closes"),
    [
        ("2027-01-01T21:59:59", None),
        ("2027-01-01T22:00", "2027-01-02T06:00"),
        # Saturday, still Friday's span; midnight in Tokyo is 15:00 UTC.
        ("2027-01-02T00:00", "2027-01-02T06:00"),
        ("2027-01-02T05:59:59", "2027-01-02T06:00"),
        ("2027-01-02T06:00", None),
        ("2027-01-02T22:00", None),
    ],
)
def test_a_span_over_midnight_belongs_to_the_day_that_it_begins_on(when: str, closes: str | None) -> None:
    assert NIGHT.closes(at(when)) == (closes and at(closes))


def test_a_holiday_has_hours_of_its_own_and_takes_the_night_before_not_away() -> None:
    table = Timetable(JST, spans(22 * 60, 30 * 60, "thu") + spans(600, 720, "holiday"), days("2027-01-01"))
    assert table.closes(at("2027-01-01T05:00")) == at("2027-01-01T06:00")
    assert table.closes(at("2027-01-01T11:00")) == at("2027-01-01T12:00")
    assert table.closes(at("2026-12-31T23:00")) == at("2027-01-01T06:00")
    assert table.closes(at("2027-01-08T11:00")) is None


def test_spans_that_touch_are_one_and_all_week_is_a_week_at_least() -> None:
    lunch = Timetable(JST, spans(540, 720, "mon") + spans(720, 1020, "mon"))
    assert lunch.closes(at("2026-12-28T09:00")) == at("2026-12-28T17:00")
    closes = ALWAYS.closes(at("2026-12-28T09:00"))
    assert closes is not None
    assert WEEK_S <= closes - at("2026-12-28T09:00") <= WEEK_S + 86_400


# ---------------------------------------------------------------- the same, read again


def is_open(table: Timetable, now: int) -> bool:
    """By the calendar: whether a span of today or yesterday holds this minute."""
    local = datetime.fromtimestamp(now, UTC) + timedelta(minutes=table.offset)
    for day in (local.date(), local.date() - timedelta(days=1)):
        kind = HOLIDAY if (day - EPOCH).days in table.holidays else day.weekday()
        midnight = datetime.combine(day, time(), UTC)
        for span in table.spans:
            begins, ends = midnight + timedelta(minutes=span.begin), midnight + timedelta(minutes=span.end)
            if span.day == kind and begins <= local < ends:
                return True
    return False


TABLES: Final = timetables(st.sampled_from([0, JST, 345, 840]), st.integers(20_810, 20_830))
TIMES: Final = st.integers(20_805 * 86_400, 20_835 * 86_400)


@given(TABLES, TIMES)
@example(NIGHT, at("2027-01-02T00:00"))
def test_it_is_open_exactly_when_the_calendar_says_so(table: Timetable, now: int) -> None:
    assert (table.closes(now) is not None) == is_open(table, now)


@given(TABLES, TIMES)
def test_it_stays_open_until_it_closes(table: Timetable, now: int) -> None:
    closes = table.closes(now)
    if closes is None:
        return
    assert closes > now
    assert is_open(table, closes - 1)
    assert all(is_open(table, moment) for moment in range(now, closes, 1800))
    if closes < now + WEEK_S:
        assert not is_open(table, closes)


@given(TABLES, TIMES)
def test_it_opens_where_it_was_closed_until_then(table: Timetable, now: int) -> None:
    opens = table.opens(now)
    until = now + 13 * 86_400 if opens is None else opens
    assert opens is None or is_open(table, opens)
    assert not any(is_open(table, moment) for moment in range(now, until, 1800))
    assert opens in {None, now} or not is_open(table, until - 1)


@given(TIMES)
def test_japan_has_one_offset_all_the_year(now: int) -> None:
    assert datetime.fromtimestamp(now, TOKYO).utcoffset() == timedelta(minutes=JST)
