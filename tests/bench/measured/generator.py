"""What the load generator itself can carry: a run that asks more of it measures the generator."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from telerelay_generator import Generator, Visit
from telerelay_loadtest.models import load_model
from telerelay_loadtest.models.form import write_model
from telerelay_loadtest.play.histogram import value_at
from tests.bench.benchmark import Benchmark, Say
from tests.bench.machine import anonymous_bytes
from tests.bench.rows import Row, measured
from tests.bench.scene import open_scene, until, wait_until

_MODEL: Final = "office"
_AGENTS: Final = 2_000
_SESSIONS: Final = 500
_AGENTS_PER_S: Final = 200
_SET_UPS_PER_S: Final = 50
_SECONDS: Final = 15.0
"""How long all sessions are watched."""
_READY_S: Final = 120.0
_GIB: Final = 2**30
_TITLE: Final = "sessions for each core of the load generator"


def _measure(say: Say) -> Sequence[Row]:
    with open_scene(agents=_AGENTS, clients=_SESSIONS) as scene:
        generator = Generator(
            scene.folder,
            models={_MODEL: write_model(load_model(_MODEL)).decode()},
            agents_from="127.6.0.0/16",
            clients_from="127.7.0.0/16",
        )
        try:
            return _of(generator, say)
        finally:
            generator.stop()


def _of(generator: Generator, say: Say) -> Sequence[Row]:
    empty, began = anonymous_bytes(os.getpid()), time.process_time()
    generator.start_agents(first=0, count=_AGENTS, spread_ms=1_000 * _AGENTS // _AGENTS_PER_S)
    _wait(lambda: generator.counts().online == _AGENTS, "all agents are ready")
    with_agents, raised = anonymous_bytes(os.getpid()), time.process_time()
    say(f"{_AGENTS} agents are ready")

    apart_ns, now = 10**9 // _SET_UPS_PER_S, time.monotonic_ns()
    generator.begin(
        [
            Visit(at_ns=now + apart_ns * client, client=client, hold_ms=3_600_000, model=_MODEL)
            for client in range(_SESSIONS)
        ]
    )
    _wait(lambda: generator.counts().live == _SESSIONS, "all sessions are open")
    with_sessions, opened = anonymous_bytes(os.getpid()), time.process_time()
    say(f"{_SESSIONS} sessions are open")

    before, moment = generator.counts(), time.monotonic()
    wait_until(moment + _SECONDS)
    lasted, used = time.monotonic() - moment, time.process_time() - opened
    after, histograms = generator.counts(), generator.histograms()
    received = after.received_bytes - before.received_bytes
    agent = (with_agents - empty) / _AGENTS
    session = (with_sessions - with_agents) / _SESSIONS
    return [
        measured(
            "GENERATOR",
            _TITLE,
            "count",
            [_SESSIONS * lasted / used],
            parts={
                "messages a second": (after.messages - before.messages) / lasted,
                "Mbit/s to viewers": 8 * received / lasted / 1e6,
                "agents raised a core second": _AGENTS / (raised - began),
                "set-ups a core second": _SESSIONS / (opened - raised),
            },
            note=f"both ends of each, screens of the model {_MODEL}; the node beside it",
        ),
        measured(
            "GENERATOR.agent",
            "its memory for each agent that waits",
            "bytes",
            [agent],
            parts={"agents a GiB": _GIB / agent},
        ),
        measured(
            "GENERATOR.session",
            "its memory for each session, both ends",
            "bytes",
            [session],
            parts={"sessions a GiB": _GIB / session},
        ),
        measured(
            "GENERATOR.late",
            "its lateness at beginning visits, p99",
            "ms",
            [_p99_ms(histograms["late"])],
            parts={"at sending messages": _p99_ms(histograms["message_late"])},
        ),
    ]


def _wait(condition: Callable[[], bool], what: str) -> None:
    until(lambda: condition() or None, _READY_S, what)


def _p99_ms(rows: Sequence[tuple[int, int]]) -> float:
    us = value_at(rows, 0.99)
    if us is None:
        raise ValueError("nothing was begun or sent")
    return us / 1_000


BENCHMARK: Final = Benchmark("GENERATOR", _TITLE, _measure)
