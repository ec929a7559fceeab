"""B8: 9,000 agents at once, first beside live sessions, then all back after the node was killed.

Sessions end with their node until they can be resumed elsewhere. Those that are measured beside the agents
live at a node that 9,000 dial at once for the first time, which is harder: nobody told them of a window.
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import Final

import httpx

from tests.bench.benchmark import Benchmark, Say
from tests.bench.driver import Driver
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import Scene, open_scene, wait_until, whole_seconds

_AGENTS: Final = 9_000
_LIVE: Final = 40
_QUIET_S: Final = 6.0
_RETURN_S: Final = 180.0
_HANDSHAKES_S: Final = 6.0
_STALL_MS: Final = 5.0
_SCRAPES: Final = 20


def _measure(say: Say) -> Sequence[Row]:
    with open_scene(agents=_LIVE + _AGENTS, clients=_LIVE, probe=True) as scene:
        scene.ready_agents(_LIVE)
        rate = _handshakes_per_s(scene)
        say(f"{rate:.0f} handshakes a second; now {_AGENTS} agents beside {_LIVE} sessions")
        fleets, live = _arrive(scene)
        with httpx.Client() as prometheus:
            scrapes = [_scrape_ms(scene, prometheus) for _ in range(_SCRAPES)]
        say("all are there; the node is killed and started again")
        came_s, cpu_s, lateness = _return(scene, fleets, say)
    return [
        measured(
            "B8",
            "9,000 agents back after kill -9, time to 99 %",
            "s",
            [came_s],
            peer=[_AGENTS / rate],
            goal=Goal("most", 1.3, of="ratio"),
            note=f"since the node listens again; peer: as many handshakes at {rate:.0f}/s, measured before",
        ),
        measured("B8.cpu", "processor time of the node until then", "s", [cpu_s]),
        measured(
            "B8.stall",
            "longest stall of the event loop meanwhile",
            "ms",
            [lateness["own_s"] * 1e3],
            goal=Goal("most", _STALL_MS),
            parts={"with waiting for a processor": lateness["longest_s"] * 1e3},
            note="lateness of a timer of 1 ms; what the thread waited for a processor is taken off, "
            "since the drivers share both",
        ),
        live,
        measured(
            "B8.scrape",
            "a scrape of a node with 9,000 ready agents, over HTTP",
            "ms",
            scrapes,
            goal=Goal("most", 20),
        ),
    ]


def _handshakes_per_s(scene: Scene) -> float:
    """What the node and a driver do together on this machine."""
    shaken = scene.handshakes("--concurrency", "64", clients=_LIVE, seconds=_HANDSHAKES_S)
    return float(shaken.summary(_HANDSHAKES_S + 60)["per_s"])


def _arrive(scene: Scene) -> tuple[list[Driver], Row]:
    """The agents, and what their coming did to live sessions."""
    held = scene.sessions(_LIVE)
    begin = time.monotonic()
    wait_until(begin + _QUIET_S)
    storm = time.monotonic()
    fleets = scene.storm(_AGENTS, first=_LIVE)
    for fleet in fleets:
        fleet.wait("ready", _RETURN_S, lambda line: line["percent"] == 100)
    end = time.monotonic()
    quiet, beside = (
        [_p99_ms(line) for line in whole_seconds(held, *when)] for when in ((begin, storm), (storm, end))
    )
    held.stop()
    row = measured(
        "B8.live",
        "live sessions' p99 while 9,000 agents come at once",
        "ms",
        [median(beside)],
        peer=[median(quiet)],
        goal=Goal("most", 2, of="ratio"),
        parts={"worst second": max(beside), "seconds": len(beside)},
        note="peer: the seconds before",
    )
    return fleets, row


def _scrape_ms(scene: Scene, prometheus: httpx.Client) -> float:
    began = time.perf_counter()
    prometheus.get(scene.node.metrics_url).raise_for_status()
    return 1e3 * (time.perf_counter() - began)


def _return(scene: Scene, fleets: Sequence[Driver], say: Say) -> tuple[float, float, dict[str, float]]:
    """Seconds until 99 % are back, the node's processor time until then, and its lateness."""
    killed = time.monotonic()
    scene.node.kill()
    scene.node.start()
    began = time.monotonic()
    scene.lateness()
    back = [
        fleet.wait("ready", _RETURN_S, lambda line: line["percent"] == 99 and line["at"] > killed)
        for fleet in fleets
    ]
    cpu_s, lateness = scene.cpu_s(), dict(scene.lateness())
    came_s = max(line["at"] for line in back) - began
    say(f"99 % were back after {came_s:.1f} s")
    return came_s, cpu_s, lateness


def _p99_ms(line: object) -> float:
    assert isinstance(line, dict)
    return float(line["delay"]["p99_us"]) / 1e3


BENCHMARK: Final = Benchmark("B8", "9,000 agents back after kill -9", _measure)
