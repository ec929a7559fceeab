"""The load generator against a real node: what it says of its visits is what the node says; none hangs."""

import json
import os
import select
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from telerelay_generator import (
    Event,
    Generator,
    GeneratorError,
    Visit,
    draw_messages,
    require_descriptors,
)
from telerelay_loadtest.models.form import read_model
from telerelay_loadtest.models.sampling import Side, messages
from tests.bench.tenant import prepare
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess

STAGES: Final = ("dial", "hello", "accept", "inner", "auth", "open", "first_byte")
VISITS: Final = 20
TIMEOUT_S: Final = 30
MODEL: Final = json.dumps(
    {
        "schema": "telerelay.model/1",
        "name": "busy",
        "source": "made up",
        "states": [
            {
                "name": "typing",
                "weight": 2,
                "stay_ms": [[0, 500], [1, 3000]],
                "up": {"gap_us": [[0, 20_000], [0.3, 31_000], [1, 60_000]], "bytes": [[0, 1], [1, 24]]},
                "down": {"gap_us": [[0, 0], [1, 60_000]], "bytes": [[0, 1000], [1, 30_000]]},
            },
            {
                "name": "idle",
                "weight": 0.7,
                "stay_ms": [[0, 1], [1, 500]],
                "up": None,
                "down": {"gap_us": [[0, 1], [1, 1_000_000]], "bytes": [[0, 100], [1, 200]]},
            },
        ],
    }
)


@asynccontextmanager
async def playing(
    folder: Path, *, agents: int, events: int = 1_000
) -> AsyncIterator[tuple[NodeProcess, Generator]]:
    """A node, and a generator whose agents are all ready there."""
    with NodeProcess(folder) as node:
        tenant = folder / "tenant"
        prepare(node.data / "control.sock", tenant, agents=agents, clients=agents)
        generator = Generator(
            tenant,
            models={"busy": MODEL},
            agents_from="127.6.0.0/16",
            clients_from="127.7.0.0/16",
            events=events,
        )
        generator.start_agents(first=0, count=agents, spread_ms=100)
        await eventually(lambda: generator.counts().online == agents, TIMEOUT_S)
        try:
            yield node, generator
        finally:
            generator.stop()


def plan(generator: Generator, hold_ms: int) -> int:
    """A visit for each client, 10 ms apart."""
    now = time.monotonic_ns()
    return generator.begin(
        [
            Visit(at_ns=now + 10_000_000 * client, client=client, hold_ms=hold_ms, model="busy")
            for client in range(VISITS)
        ]
    )


def taken(generator: Generator, are_all: Callable[[Sequence[Event]], bool]) -> Sequence[Event]:
    """Events, taken when the descriptor says that there are some, until these are all."""
    events: list[Event] = []
    deadline = time.monotonic() + TIMEOUT_S
    while not are_all(events):
        readable, _, _ = select.select([generator.fd], [], [], deadline - time.monotonic())
        assert readable, f"{len(events)} events in time"
        events.extend(generator.events())
    assert select.select([generator.fd], [], [], 0)[0] == []
    return events


def sessions_over(events: Sequence[Event]) -> int:
    return sum(event.stage == "session" for event in events)


async def test_twenty_visits_are_told_and_counted_each(tmp_path: Path) -> None:
    async with playing(tmp_path, agents=VISITS) as (node, generator):
        first = plan(generator, hold_ms=3_000)
        await eventually(lambda: node.statistics()["live_paths"] == VISITS, TIMEOUT_S)
        await eventually(lambda: generator.counts().begun == VISITS, TIMEOUT_S)
        events = taken(generator, lambda events: sessions_over(events) == VISITS)
        assert Counter(event.stage for event in events) == dict.fromkeys([*STAGES, "session"], VISITS)
        assert {event.visit for event in events} == set(range(first, first + VISITS))
        assert {event.code for event in events if event.stage == "session"} == {"DONE"}
        assert all(event.intended_ns <= event.began_ns <= event.ended_ns for event in events)
        rows = generator.histograms()
        counted = {name: sum(count for _, count in rows[name]) for name in rows}
        counts = generator.counts()
        assert {name: counted[name] for name in [*STAGES, "set_up", "late"]} == dict.fromkeys(
            [*STAGES, "set_up", "late"], VISITS
        )
        # Asked at most once a second, in sessions of three.
        assert VISITS <= counts.asked <= 4 * VISITS
        # What nobody answered has waited, too.
        assert 0 < counts.answered <= counts.asked == counted["delay"]
        assert (counts.begun, counts.live, counts.ended, counts.failed) == (VISITS, 0, {"DONE": VISITS}, {})
        assert counts.received_bytes > counts.sent_bytes > 0
        assert generator.stop() == 0
        await eventually(lambda: node.statistics()["ready_agents"] == 0, TIMEOUT_S)


async def test_a_node_that_is_killed_ends_sessions_with_its_code_and_nothing_hangs(tmp_path: Path) -> None:
    async with playing(tmp_path, agents=VISITS) as (node, generator):
        plan(generator, hold_ms=3_600_000)
        await eventually(lambda: generator.counts().live == VISITS, TIMEOUT_S)
        node.kill()
        events = taken(generator, lambda events: sessions_over(events) == VISITS)
        codes = {event.code for event in events if event.stage == "session"}
        assert codes == {"UNREACHABLE"}
        # Whoever comes now is told where it ends.
        plan(generator, hold_ms=0)
        events = taken(generator, lambda events: len(events) == VISITS)
        assert {(event.stage, event.code) for event in events} == {("dial", "UNREACHABLE")}
        assert generator.counts().failed == {("dial", "UNREACHABLE"): VISITS}
        assert generator.counts().live == 0


async def test_events_that_nobody_takes_are_lost_and_not_kept(tmp_path: Path) -> None:
    async with playing(tmp_path, agents=VISITS, events=10) as (_, generator):
        plan(generator, hold_ms=0)
        lost = VISITS * (len(STAGES) + 1) - 10
        await eventually(lambda: generator.counts().lost_events == lost, TIMEOUT_S)
        assert len(generator.events()) == 10
        assert generator.events() == []


@pytest.mark.parametrize("side", ["up", "down"])
def test_both_samplers_draw_the_same_messages(side: Side) -> None:
    model = read_model(MODEL.encode())
    for seed in (0, 7, 2**64 - 1):
        expected = [tuple(message) for message in islice(messages(model, seed, side), 2_000)]
        assert draw_messages(MODEL, seed=seed, side=side, count=2_000) == expected


def test_what_cannot_be_is_refused_with_its_code(tmp_path: Path) -> None:
    def code(refused: Callable[[], object]) -> str:
        with pytest.raises(GeneratorError) as raised:
            refused()
        assert raised.value.detail in str(raised.value)
        return raised.value.code

    assert code(lambda: Generator(tmp_path, models={})) == "KEY_FILE"
    assert code(lambda: Generator(tmp_path, models={"m": "{}"})) == "USAGE"
    assert code(lambda: Generator(tmp_path, models={}, threads=0)) == "USAGE"
    assert code(lambda: Generator(tmp_path, models={}, clients_from="home")) == "USAGE"
    limit = os.sysconf("SC_OPEN_MAX")
    require_descriptors(agents=100, sessions=100)
    with pytest.raises(GeneratorError, match="descriptors are needed") as raised:
        require_descriptors(agents=10, sessions=10 * limit)
    assert raised.value.code == "MACHINE"
