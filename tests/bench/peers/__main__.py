"""`python -m tests.bench.peers`: measure the relay beside its peers, into build/bench-peers.json.

Ends with 1 where something broke instead of being measured: a session that is not direct above all.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from tests.bench.benchmark import ROUNDS, Say, teller
from tests.bench.machine import Machine
from tests.bench.peers import credentials, crowd, verdicts
from tests.bench.peers.contest import Clock, Contestant, Results, contest
from tests.bench.peers.entries import PEERS
from tests.bench.peers.ground import (
    CONGESTION_CONTROL,
    Ground,
    open_network,
    open_segments,
    segment_bytes,
)
from tests.bench.peers.install import install
from tests.bench.peers.loads import BULK, MESSAGES, Load, bulk, desktop
from tests.bench.peers.ours import open_node, open_ours
from tests.bench.peers.peer import Peer
from tests.bench.peers.programs import open_programs
from tests.bench.peers.running import RunningPeer
from tests.bench.report import Report, Sheet
from tests.bench.rows import Goal, Row, Unit

BEGIN: Final = "<!-- measured: written by make bench-peers -->"
RESULT: Final = Path("build/bench-peers.json")
PAGE: Final = Path("docs/BENCHMARKS.md")
_WIDTH: Final = 160
_ON_SEGMENTS: Final = (bulk(16), desktop())
_WRAPPED: Final = ("haproxy-tls", "floor-tls")
"""Whom B3 compares with: all have TLS on both legs."""
_TUNNELS: Final = ("ssh-R", "rathole-tls")
"""Whom B14 compares with, end to end."""
_SEGMENT_MOST: Final = 1_514
"""Bytes of a frame on a virtual cable: 1,448 of TCP, its header with time stamps, IP, Ethernet."""


class Run:
    """One run: who takes part, and what it has come to."""

    def __init__(self, peers: Sequence[Peer], folder: Path, say: Say) -> None:
        self._peers = {peer.name: peer for peer in peers}
        self._folder = folder
        self._say = say
        self._number = 0
        self.rows: list[Row] = []
        self.sheets: list[Sheet] = []
        self.disturbed = 0
        pure = [name for name in self._peers if name not in _WRAPPED]
        turns = (
            len(BULK + MESSAGES) * (len(pure) + 1)
            + len(_WRAPPED)
            + 1
            + len(_TUNNELS)
            + 1
            + len(_ON_SEGMENTS) * (len(verdicts.PROXIES) + 1)
            + 3  # stalled, before and beside the crowd
        )
        self._plain = pure
        self.clock = Clock(turns * ROUNDS + 1, say)

    def measure(self, ground: Ground) -> None:
        """All of it, on the network that this process is in."""
        credentials.make_tls(self._folder / "tls")
        credentials.make_ssh(self._folder / "ssh")
        with ExitStack() as ends:
            node, organisation = ends.enter_context(open_node(ground, self._folder / "node"))
            results = Results()
            with (
                open_ours(ground, node, organisation, wrapped=True) as wrapped,
                self._running(_WRAPPED, ground) as peers,
            ):
                self._contest([bulk(16)], [*peers, wrapped], results)
                self.sheets += verdicts.sheets(results, [bulk(16)], ", TLS on both legs")
                self.rows += verdicts.wrapped(results)
                results = Results()
            with (
                self._running(self._plain, ground) as peers,
                open_ours(ground, node, organisation) as ours,
            ):
                self._contest([*BULK, *MESSAGES], [*peers, ours], results)
                self.rows += verdicts.verdicts(results)
                self.sheets += verdicts.sheets(results, [*BULK, *MESSAGES])
                with open_ours(ground, node, organisation) as others:
                    self.rows += crowd.stalled(others, self.clock)
                idle = [peer for peer in peers if peer.name in ("haproxy-splice", "nginx")]
                self.rows += crowd.crowd(ours, idle, self._say, self.clock)
        self._end_to_end(ground)
        self._on_segments()

    def _end_to_end(self, ground: Ground) -> None:
        """B14: what a person has, against tunnels that encrypt one leg at least."""
        results = Results()
        with (
            self._running(_TUNNELS, ground) as peers,
            open_programs(ground, self._folder / "programs") as programs,
        ):
            self._contest([bulk(1)], [*peers, programs], results)
        for name in _TUNNELS:
            title = f"screen bytes end to end, one session, by {name}"
            sides = (verdicts.END_TO_END, name)
            goal = Goal("least", 1.0, of="ratio")
            self.rows.append(
                verdicts.compared(
                    f"B14.{name}",
                    title,
                    "Gbit/s",
                    results,
                    bulk(1),
                    "gbit_s",
                    sides,
                    goal,
                )
            )
        self.rows.append(
            verdicts.compared(
                "B14.machine",
                "processor time of the machine, end to end, by ssh -R",
                "s/GB",
                results,
                bulk(1),
                "machine",
                (verdicts.END_TO_END, "ssh-R"),
                Goal("most", 0.6, of="ratio"),
            )
        )
        self.sheets += verdicts.sheets(results, [bulk(1)], ", end to end")

    def _on_segments(self) -> None:
        """B1 and B4 again where a packet is a segment of 1,448 bytes."""
        results, folder = Results(), self._folder / "segments"
        folder.mkdir()
        with open_segments() as ground, ExitStack() as ends:
            node, organisation = ends.enter_context(open_node(ground, folder / "node"))
            peers = ends.enter_context(self._running(verdicts.PROXIES, ground, folder))
            ours = ends.enter_context(open_ours(ground, node, organisation))
            self._contest(_ON_SEGMENTS, [*peers, ours], results)
            seen = segment_bytes(ground)
            if seen > _SEGMENT_MOST:
                raise ValueError(f"packets of {seen:.0f} bytes are more than one segment")
        for load in _ON_SEGMENTS:
            name = verdicts.best_proxy(results, load, "core")
            unit: Unit = "s/GB" if load.is_bulk else "us"
            self.rows.append(
                verdicts.compared(
                    f"B{1 if load.is_bulk else 4}.segments.{load.id}",
                    f"core time of the relay, {load.title}, segments of 1,448 bytes, by {name}",
                    unit,
                    results,
                    load,
                    "core",
                    (verdicts.DIRECT, name),
                    Goal("most", 1.0, of="ratio"),
                )
            )
        self.sheets += verdicts.sheets(results, _ON_SEGMENTS, ", segments of 1,448 bytes")

    def _contest(self, loads: Sequence[Load], contestants: Sequence[Contestant], results: Results) -> None:
        own = frozenset(one.name for one in contestants if one.name.startswith("telerelay"))
        contest(loads, contestants, results, self.clock, must=own)
        self.disturbed += results.disturbed

    @contextmanager
    def _running(
        self, names: Sequence[str], ground: Ground, folder: Path | None = None
    ) -> Iterator[list[RunningPeer]]:
        with ExitStack() as ends:
            yield [
                ends.enter_context(
                    RunningPeer(self._peers[name], self._next(), ground, folder or self._folder)
                )
                for name in names
            ]

    def _next(self) -> int:
        self._number += 1
        return self._number


def run(arguments: Sequence[str]) -> int:
    """The exit code. The result and the page are written once everything was measured."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument(
        "--peers", choices=["usual", "all"], default="usual", help="all: tunnels in Go, stunnel too"
    )
    asked = parser.parse_args(arguments)
    say = teller("peers")
    peers = [peer for peer in PEERS if asked.peers == "all" or not peer.is_extra]
    install((need for peer in peers for need in peer.needs), say)
    began, machine = int(time.time()), Machine.now()
    with open_network() as ground, tempfile.TemporaryDirectory(prefix="telerelay-bench-") as folder:
        done = Run(peers, Path(folder), say)
        done.measure(ground)
    report = Report(
        measured=began,
        machine=msgspec.structs.replace(machine, congestion_control=CONGESTION_CONTROL),
        rows=done.rows,
        sheets=done.sheets,
    )
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(report.encode())
    terminal = Console()
    report.show(terminal if terminal.is_terminal else Console(width=_WIDTH))
    say(f"{done.disturbed} rounds were disturbed each time, and count nevertheless")
    report.write_into(PAGE, BEGIN)
    return 0


def main() -> int:
    """The command. Whoever ends it ends everything that it started."""
    if os.geteuid() != 0:
        sys.exit("bench-peers makes networks of its own: run it as root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
