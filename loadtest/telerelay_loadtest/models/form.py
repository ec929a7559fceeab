"""The form of a screen model: what it may say, and what is refused (docs/LOADTEST.md, Screen models)."""

import re
from itertools import pairwise
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

SCHEMA: Final = "telerelay.model/1"
LONGEST_MESSAGE: Final = 1_048_576
"""In bytes. A picture of a large screen, compressed, stays below."""
LONGEST_STAY_MS: Final = 3_600_000
LONGEST_GAP_US: Final = 3_600_000_000

NAME: Final = "^[a-z][a-z0-9-]{0,31}$"
_BROKEN_TABLE: Final = re.compile(r"\[\s*\[[^a-z]*\]\s*\]")

Knot: TypeAlias = tuple[Annotated[float, Meta(ge=0, le=1)], Annotated[int, Meta(ge=0, le=LONGEST_GAP_US)]]
Table: TypeAlias = Annotated[tuple[Knot, ...], Meta(min_length=2, max_length=256)]
"""A quantile function: values at rising probabilities from 0 to 1, straight lines in between."""


class Way(Struct, frozen=True, forbid_unknown_fields=True):
    """What one end says in a state: how long until its next message, and how long that is."""

    gap_us: Table
    bytes: Table


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person does for a while. `up`: viewer to desktop; None for an end that says nothing."""

    name: Annotated[str, Meta(pattern=NAME)]
    weight: Annotated[float, Meta(gt=0)]
    stay_ms: Table
    up: Way | None
    down: Way | None


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """How a session's screen behaves. `source`: what was recorded, in one sentence."""

    schema: Literal["telerelay.model/1"]
    name: Annotated[str, Meta(pattern=NAME)]
    source: Annotated[str, Meta(max_length=500)]
    states: Annotated[tuple[State, ...], Meta(min_length=1, max_length=8)]

    def __post_init__(self) -> None:
        """Check what single members cannot say. Raises ValueError."""
        for state in self.states:
            _check(state.stay_ms, f"{state.name}: stay_ms", 1, LONGEST_STAY_MS)
            for name, way in (("up", state.up), ("down", state.down)):
                if way is not None:
                    _check(way.gap_us, f"{state.name}: {name}: gap_us", 0, LONGEST_GAP_US)
                    _check(way.bytes, f"{state.name}: {name}: bytes", 1, LONGEST_MESSAGE)
                    if way.gap_us[-1][1] == 0:
                        raise ValueError(f"{state.name}: {name}: gap_us: no time would ever pass")


def _check(table: Table, where: str, least: int, most: int) -> None:
    if table[0][0] != 0 or table[-1][0] != 1:
        raise ValueError(f"{where}: probabilities go from 0 to 1")
    for (before, low), (behind, high) in pairwise(table):
        if before >= behind or low > high:
            raise ValueError(f"{where}: probabilities rise and values never fall")
    if table[0][1] < least or table[-1][1] > most:
        raise ValueError(f"{where}: values go from {least} to {most}")


def read_model(data: bytes) -> Model:
    """The model that a file holds. Raises ValueError."""
    try:
        return msgspec.json.decode(data, type=Model)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


def write_model(model: Model) -> bytes:
    """Its file: a table a line, so that a person can read it."""
    text = msgspec.json.format(msgspec.json.encode(model), indent=1).decode()
    return (
        _BROKEN_TABLE.sub(lambda table: "".join(table[0].split()).replace(",", ", "), text).encode() + b"\n"
    )
