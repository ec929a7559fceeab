"""Screen models: what may stand in one, what a seed draws, and that ready ones are as they were recorded."""

import json
from collections.abc import Sequence
from itertools import takewhile
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.models import MODELS, load_model
from telerelay_loadtest.models.form import SCHEMA, Model, Way, read_model, write_model
from telerelay_loadtest.models.sampling import SIDES, Message, Side, messages, stays, value
from telerelay_loadtest.recording.fitting import CLOSE, Spell, spells_of, table
from telerelay_loadtest.recording.readings import read_readings
from tests.bench.recordings.__main__ import HERE, fitted
from tests.kit import model_vectors

_PLAYED_S = 600
_ENOUGH = 100
"""So many messages show how they are spread."""
ready = pytest.mark.parametrize("name", MODELS)


def _recorded(name: str) -> list[Spell]:
    return spells_of(read_readings((HERE / f"{name}.csv").read_text()))


# ---------------------------------------------------------------- the ready ones


@ready
def test_a_ready_model_is_what_its_recording_is_fitted_to(name: str) -> None:
    assert fitted(name) == write_model(load_model(name))


@ready
@pytest.mark.parametrize("side", SIDES)
def test_a_tables_values_are_as_measured(name: str, side: Side) -> None:
    spells = _recorded(name)
    for state in load_model(name).states:
        said = [getattr(spell, side) for spell in spells if spell.state == state.name]
        way: Way | None = getattr(state, side)
        sizes = sorted(message.bytes for spoken in said for message in spoken)
        assert (way is None) == (not sizes)
        if way is not None:
            drawn = [value(way.bytes, (place + 0.5) / 10_000) for place in range(10_000)]
            assert fmean(drawn) == pytest.approx(fmean(sizes), rel=CLOSE, abs=1)
            for share in (0.1, 0.5, 0.9) if len(sizes) >= _ENOUGH else ():
                # It lies between those of the recording a little below and above, give or take a bit.
                places = (int(len(sizes) * (share + off)) for off in (-0.03, 0.03))
                low, high = (sizes[min(place, len(sizes) - 1)] for place in places)
                assert low - fmean(sizes) / 10 <= drawn[int(share * 10_000)] <= high + fmean(sizes) / 10


@ready
@pytest.mark.parametrize("side", SIDES)
def test_hours_of_a_model_are_as_lively_as_the_recording(name: str, side: Side) -> None:
    """Messages and bytes a second in each state, where the recording has enough of it to know them."""
    model, spells = load_model(name), _recorded(name)
    played: dict[str, list[Message]] = {state.name: [] for state in model.states}
    lasted = dict.fromkeys(played, 0)
    for seed in range(12):
        spoken = messages(model, seed, side)
        following = next(spoken, None)
        for stay in takewhile(lambda stay: stay.begin_us < _PLAYED_S * 10**6, stays(model, seed)):
            lasted[stay.state.name] += stay.end_us - stay.begin_us
            while following is not None and following.at_us < stay.end_us:
                played[stay.state.name].append(following)
                following = next(spoken, None)
    for state in model.states:
        mine = [spell for spell in spells if spell.state == state.name]
        told = [message for spell in mine for message in getattr(spell, side)]
        seconds = sum(spell.end_us - spell.begin_us for spell in mine) / 1e6
        if len(told) >= _ENOUGH:
            here = played[state.name]
            assert len(here) / (lasted[state.name] / 1e6) == pytest.approx(len(told) / seconds, rel=0.2)
            assert fmean(size for _, size in here) == pytest.approx(fmean(size for _, size in told), rel=0.05)


@ready
def test_a_model_spends_its_time_in_states_as_the_recording_did(name: str) -> None:
    model, spells = load_model(name), _recorded(name)
    lasted = {state.name: 0 for state in model.states}
    for seed in range(60):
        for stay in takewhile(lambda stay: stay.begin_us < _PLAYED_S * 10**6, stays(model, seed)):
            lasted[stay.state.name] += stay.end_us - stay.begin_us
    whole = sum(spell.end_us - spell.begin_us for spell in spells)
    for state, there in lasted.items():
        recorded = sum(spell.end_us - spell.begin_us for spell in spells if spell.state == state)
        assert there / sum(lasted.values()) == pytest.approx(recorded / whole, abs=0.05)


@pytest.mark.parametrize("name", ["typing", "scrolling", "video", "idle"])
def test_what_somebody_did_is_told_apart_by_rate_and_size(name: str) -> None:
    spells = _recorded(name)
    right = sum(spell.end_us - spell.begin_us for spell in spells if spell.state == name)
    assert right >= 0.9 * (spells[-1].end_us - spells[0].begin_us)


# ---------------------------------------------------------------- tables


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300))
def test_a_table_keeps_ends_and_mean(values: Sequence[int]) -> None:
    made = table(values)
    assert (made[0][1], made[-1][1]) == (min(values), max(values))
    drawn = fmean(value(made, (place + 0.5) / 2_000) for place in range(2_000))
    # Values are rounded down; and an outermost value has half of its share of the probability twice.
    off = CLOSE * fmean(values) + (max(values) - min(values)) / 2_000 + 1
    assert abs(drawn - fmean(values)) <= off


# ---------------------------------------------------------------- the form

_TABLE = [[0.0, 1], [1.0, 9]]
_STATE = {"name": "typing", "weight": 1.0, "stay_ms": _TABLE, "up": None, "down": None}


def _file(**changed: Any) -> bytes:
    state = {**_STATE, **changed}
    return json.dumps({"schema": SCHEMA, "name": "m", "source": "", "states": [state]}).encode()


def test_a_model_is_read_as_it_was_written() -> None:
    model = read_model(_file(up={"gap_us": _TABLE, "bytes": _TABLE}))
    assert read_model(write_model(model)) == model


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"weight": 0}, "> 0"),
        ({"stay_ms": [[0, 1]]}, "length >= 2"),
        ({"stay_ms": [[0, 0], [1, 9]]}, "stay_ms: values go from 1"),
        ({"stay_ms": [[0, 9], [1, 1]]}, "values never fall"),
        ({"stay_ms": [[0.1, 1], [1, 9]]}, "probabilities go from 0 to 1"),
        ({"stay_ms": [[0, 1], [0.5, 2], [0.5, 3], [1, 9]]}, "probabilities rise"),
        ({"up": {"gap_us": [[0, 0], [1, 0]], "bytes": _TABLE}}, "up: gap_us: no time would ever pass"),
        (
            {"down": {"gap_us": _TABLE, "bytes": [[0, 1], [1, 1_048_577]]}},
            "bytes: values go from 1 to 1048576",
        ),
        ({"down": {"gap_ms": _TABLE}}, "gap_ms"),
        ({"content": "x"}, "content"),
    ],
)
def test_a_model_that_cannot_be_played_is_refused(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_model(_file(**changed))


def test_a_model_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(TelerelayError, match="USAGE: no screen model offfice; there is office"):
        load_model("offfice")


# ---------------------------------------------------------------- what a seed draws


def test_the_vectors_are_what_the_reference_draws() -> None:
    assert model_vectors.FILE.read_text() == model_vectors.text()


def test_neither_ends_draws_move_the_others() -> None:
    both = load_model("office")
    silent = Model(
        both.schema,
        both.name,
        both.source,
        tuple(
            type(state)(state.name, state.weight, state.stay_ms, None, state.down) for state in both.states
        ),
    )
    first = [message for message, _ in zip(messages(both, 3, "down"), range(500), strict=False)]
    assert [message for message, _ in zip(messages(silent, 3, "down"), range(500), strict=False)] == first
    assert list(messages(silent, 3, "up")) == []
