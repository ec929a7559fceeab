"""Runs to calibrate a forecast by, and one that it has not seen: `make bench-capacity`, about 15 minutes.

The same compressed morning of 300, 1,000 and 3,000 people against a real `telerelay serve`, on this machine,
node and generator together; then what the first two of them say about each, and about half a million. Results
lie in build/capacity, the figures in docs/CAPACITY.md, unless it was run with other numbers.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from telerelay_loadtest.forecast import kernel
from telerelay_loadtest.play.verdict import Word
from tests.bench.machine import Machine
from tests.bench.report import Report, Sheet, number
from tests.kit.loadtest import LOADTEST, LoadTest, demo_file
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant
from tests.kit.uncompiled import uncompiled

_STAFF: Final = (300, 1_000, 3_000)
"""The last one is forecast from the others."""
_FORECAST_STAFF: Final = 500_000
_FORECAST_SCENARIO: Final = "city-3000"
_OUT: Final = Path("build/capacity")
_PAGE: Final = Path("docs/CAPACITY.md")
_BEGIN: Final = "<!-- measured: written by make bench-capacity -->"
_ENDS_S: Final = 600.0
_JOBS: Final = 100_000
_WIDTH: Final = 160
_MORNING: Final = """title = "{staff} people in a compressed morning"
begins = "08:28"
lasts = "3m40s"
attendance = 0.7
agents_over = "30s"
seed = {staff}

[organisation.city]
staff = {staff}

[wave.morning]
at = "08:29:40"
spread = "30s"

[session]
length = ["10s", "30s", "60s"]
"""
_FIGURES: Final = {
    "set_up_p50_ms": "set-up p50, ms",
    "set_up_p99_ms": "set-up p99, ms",
    "delay_p50_ms": "message delay p50, ms",
    "delay_p99_ms": "message delay p99, ms",
    "cpu_s": "processor time of the node, s",
    "memory_mib": "memory of the node, MiB",
    "most_sessions": "most sessions at once",
}


async def _play(staff: int, folder: Path) -> None:
    """The morning of so many people; its result goes to `folder`."""
    with tempfile.TemporaryDirectory(prefix="telerelay-capacity-") as scratch:
        place = Path(scratch)
        (place / "node").mkdir()
        with NodeProcess(place / "node") as node:
            stranger = Tenant()
            node.admit(stranger)
            demo = demo_file(node, node.line(stranger).format(), place / "demo.json")
            with LoadTest(place / "run", _MORNING.format(staff=staff), demo, "--out", str(folder)) as run:
                await run.admit()
                await run.end(_ENDS_S)
                verdict = run.told()["verdict"]
    sys.stderr.write(f"{staff:,} people: {verdict}\n")
    if verdict == Word.INVALID:
        raise SystemExit(f"this machine cannot carry {staff:,} people and their generator: see {folder}")


def _forecast(scenario: str, by: Sequence[int], *options: str) -> dict[str, Any]:
    """What the command says to these runs."""
    files = [word for staff in by for word in ("--by", str(_result(staff)))]
    command = [LOADTEST, "forecast", scenario, *files, *options, "--json"]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return told


def _compared(staff: int, by: Sequence[int]) -> dict[str, Any]:
    """What these runs say about a run."""
    scenario = _OUT / f"{staff}.toml"
    scenario.write_text(_MORNING.format(staff=staff))
    return _forecast(str(scenario), by, "--against", str(_result(staff)))


def _result(staff: int) -> Path:
    return _OUT / str(staff) / "result.json"


# ---------------------------------------------------------------- sheets


def _comparisons(compared: Mapping[int, Mapping[str, Any]]) -> Sheet:
    """Forecasts beside what was measured; the last one was not calibrated by."""
    headings = [
        "",
        *(f"{staff:,}: {what}" for staff in compared for what in ("forecast", "measured", "off by")),
    ]
    lines = []
    for name, title in _FIGURES.items():
        line = [title]
        for told in compared.values():
            off = told["off"][name]
            line += [number(told["forecast"][name]), number(told["measured"][name])]
            line.append("" if off is None else f"{100 * off:+.0f} %")
        lines.append(line)
    return Sheet(
        "Forecast by the runs of " + " and ".join(f"{staff:,}" for staff in list(compared)[:-1]),
        headings,
        lines,
    )


def _prices(told: Mapping[str, Any]) -> Sheet:
    """What one of each kind costs."""
    costs = told["costs"]
    headings = ["one", "node, us", "of that the event loop, us", "generator, us", "memory, bytes"]
    kinds = {
        "base": "second, whoever is there",
        "agent": "second of a waiting agent",
        "come": "agent that comes",
        "set_up": "session that begins",
        "end": "session that ends",
        "session": "second of a session",
    }
    lines = [
        [
            title,
            *(number(1e6 * costs[whose][kind]) for whose in ("node", "loop", "ends")),
            number(costs["memory"][kind]),
        ]
        for kind, title in kinds.items()
    ]
    return Sheet("Prices that explain these runs best", headings, lines)


def _ahead(told: Mapping[str, Any], took_s: float) -> Sheet:
    """The busiest of many nodes."""
    figures = {
        "agents": "office PCs at it",
        "most_sessions": "sessions at once",
        "processors_used": "processors in use, of its busiest 15 s",
        "set_up_p99_ms": "set-up p99, ms",
        "delay_p99_ms": "message delay p99, ms",
        "memory_mib": "memory, MiB",
        "descriptors": "descriptors",
    }
    lines = [
        [title, number(told["all_there"][name]), number(told["one_lost"][name])]
        for name, title in figures.items()
    ]
    fewer = ", ".join(figures[name] for name in told["one_fewer_lacks"])
    title = (
        f"{told['agents']:,} people ({_FORECAST_SCENARIO} over and over, {told['visits']:,} visits) need"
        f" {told['nodes']} nodes; one fewer lacks: {fewer or 'nothing'}; forecast in {took_s:.0f} s"
    )
    return Sheet(title, ["the busiest node", "all there", "one lost"], lines)


def _kernel() -> Sheet:
    """How much faster the kernel is for being compiled."""
    chance = np.random.default_rng(0)
    arrivals = chance.integers(_JOBS * 10_000, size=_JOBS)
    arrivals.sort()
    steps = np.arange(_JOBS + 1), np.full(_JOBS, kernel.WORK), chance.integers(1, 30_000, size=_JOBS)
    took = []
    for module in (kernel, uncompiled(kernel)):
        node = module.Node(2, arrivals, *steps)
        began = time.perf_counter()
        node.run()
        took.append(1e3 * (time.perf_counter() - began))
    ratio = number(took[1] / took[0])
    headings = ["compiled, ms", "by Python, ms", "times as fast"]
    return Sheet(f"The kernel, {_JOBS:,} jobs at two processors", headings, [[*map(number, took), ratio]])


def _sheets(staff: Sequence[int]) -> Iterator[Sheet]:
    by = staff[:-1]
    compared = {one: _compared(one, by) for one in staff}
    yield _comparisons(compared)
    yield _prices(compared[staff[-1]])
    began = time.monotonic()
    ahead = _forecast(_FORECAST_SCENARIO, by, "--staff", str(_FORECAST_STAFF))
    yield _ahead(ahead, time.monotonic() - began)
    yield _kernel()


def main() -> None:
    """Run all of them, then forecast."""
    parser = argparse.ArgumentParser(prog="make bench-capacity", description=__doc__)
    parser.add_argument("staff", nargs="*", type=int, default=_STAFF, help="how many people in each run")
    parser.add_argument("--again", action="store_true", help="forecast anew by the runs that are there")
    asked = parser.parse_args()
    _OUT.mkdir(parents=True, exist_ok=True)
    began, machine = int(time.time()), Machine.now()
    if not asked.again:
        # The largest first: whether this machine carries it is soon seen.
        for staff in reversed(asked.staff):
            asyncio.run(_play(staff, _OUT / str(staff)))
    report = Report(measured=began, machine=machine, rows=(), sheets=list(_sheets(asked.staff)))
    (_OUT / "figures.json").write_bytes(report.encode())
    report.show(Console(width=_WIDTH))
    if tuple(asked.staff) == _STAFF:
        report.write_into(_PAGE, _BEGIN)


if __name__ == "__main__":
    main()
