"""SCRAPE: what monitoring costs a node full of live sessions: the scrape, and what their messages notice.

Each second it is scraped, or it is left alone, in turn; those who are measured type beside the crowd.
"""

import resource
import time
from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Any, Final

import httpx

from telerelay.doctor.node import FILES_BESIDE
from telerelay_endpoint.limits import LIMITS
from tests.bench.benchmark import Benchmark, Say
from tests.bench.machine import Machine
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import Scene, open_scene, wait_until, whole_seconds

_WANTED: Final = 9_000
_SOCKETS: Final = 3
"""Of the node for a session: both legs, and the connection with which its agent waits for the next."""
_LIVE: Final = 40
_ROUNDS: Final = 10
_ROUND_S: Final = 10
_MOST_MS: Final = 20


def sessions() -> int:
    """As many as a node bears with the descriptors that this machine gives it, 9,000 at most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    pipes = Machine.now().processors * LIMITS["engine_pipes"]
    return min(_WANTED, (most - FILES_BESIDE - 2 * pipes) // _SOCKETS)


def _measure(say: Say) -> Sequence[Row]:
    count = sessions()
    scrapes: list[float] = []
    beside, quiet = list[float](), list[float]()
    with open_scene(agents=count, clients=count, sessions=count) as scene, httpx.Client() as prometheus:
        scene.ready_agents(count)
        say(f"{count} agents are ready; now a session of each")
        crowd = scene.crowd(count - _LIVE, first=_LIVE)
        held = scene.sessions(_LIVE)
        for number in range(_ROUNDS):
            began = time.monotonic()
            wait_until(began + _ROUND_S)
            asked = time.monotonic()
            taken = [_scrape_ms(scene, prometheus, asked + second) for second in range(_ROUND_S)]
            wait_until(asked + _ROUND_S)
            scrapes += taken
            quiet.append(_p99_ms(whole_seconds(held, began, asked)))
            beside.append(_p99_ms(whole_seconds(held, asked, time.monotonic())))
            say(f"round {number + 1} of {_ROUNDS}: {median(taken):.1f} ms a scrape")
        _require_all(scene, count)
        for driver in (held, *crowd):
            driver.stop()
    many = f"{count:,} live sessions"
    fewer = "" if count == _WANTED else f"; {_WANTED:,} need more descriptors than a process has here"
    return [
        measured(
            "SCRAPE",
            f"a scrape of a node with {many}, over HTTP",
            "ms",
            scrapes,
            goal=Goal("most", _MOST_MS),
            note=f"the drivers of all sessions share its processors{fewer}",
        ),
        measured(
            "SCRAPE.p99",
            "the same, p99",
            "ms",
            [quantiles(scrapes, n=100, method="inclusive")[-1]],
            goal=Goal("most", _MOST_MS),
        ),
        measured(
            "SCRAPE.live",
            "p99 of messages beside them, a scrape each second",
            "ms",
            beside,
            peer=quiet,
            goal=Goal("most", 1.1, of="ratio"),
            note=f"peer: without scrapes, in turn; of {_LIVE} sessions that type, the others say little",
        ),
    ]


def _scrape_ms(scene: Scene, prometheus: httpx.Client, moment: float) -> float:
    """One at that moment (monotonic)."""
    wait_until(moment)
    began = time.perf_counter()
    prometheus.get(scene.node.metrics_url).raise_for_status()
    return 1e3 * (time.perf_counter() - began)


def _p99_ms(seconds: Sequence[Mapping[str, Any]]) -> float:
    return float(median(line["delay"]["p99_us"] for line in seconds) / 1e3)


def _require_all(scene: Scene, count: int) -> None:
    found = scene.node.statistics()["live_paths"]
    if found != count:
        raise ValueError(f"of {count} sessions {found} are left at the end")


BENCHMARK: Final = Benchmark("SCRAPE", "a scrape of a node full of live sessions", _measure)
