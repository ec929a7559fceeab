"""Readings: what a tap noted of a session, and the messages that they make."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from telerelay_loadtest.models.form import LONGEST_MESSAGE
from telerelay_loadtest.models.sampling import SIDES, Message, Side

PAUSE_US: Final = 2_000
"""What follows within this is the same message: a sender writes a picture in pieces."""
_HEADER: Final = "after_us,way,bytes"


class Reading(NamedTuple):
    """So many bytes were read from one end. `at_us`: since the session began."""

    at_us: int
    side: Side
    bytes: int


def write_readings(readings: Iterable[Reading]) -> str:
    """CSV, each with the time since the one before."""
    lines, before = [_HEADER], 0
    for reading in readings:
        lines.append(f"{reading.at_us - before},{reading.side},{reading.bytes}")
        before = reading.at_us
    return "\n".join(lines) + "\n"


def read_readings(text: str) -> list[Reading]:
    """What `write_readings` wrote. Raises ValueError."""
    header, *lines = text.splitlines() or [""]
    if header != _HEADER:
        raise ValueError(f"the first line is not {_HEADER}")
    readings, at = [], 0
    for number, line in enumerate(lines, 2):
        try:
            after, side, length = line.split(",")
            at += int(after)
            readings.append(Reading(at, SIDES[SIDES.index(side)], int(length)))
        except ValueError:
            raise ValueError(f"line {number}: not a time, a way and a length: {line}") from None
    return readings


def messages_of(readings: Sequence[Reading], side: Side) -> Iterator[Message]:
    """What one end said: reads without a pause between them are one message, at the moment of the first."""
    begin, length, last = 0, 0, 0
    for reading in readings:
        if reading.side != side:
            continue
        follows = reading.at_us - last < PAUSE_US and length + reading.bytes <= LONGEST_MESSAGE
        if length and not follows:
            yield Message(begin, length)
            length = 0
        if not length:
            begin = reading.at_us
        length += reading.bytes
        last = reading.at_us
    if length:
        yield Message(begin, length)
