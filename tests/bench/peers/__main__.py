"""`python -m tests.bench.peers`: measure the relay beside its peers, into build/bench-peers.json.

Ends with 1 where something broke instead of being measured: a session that is not direct above all; with 2 on
names that nobody has.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from tests.bench.benchmark import teller
from tests.bench.machine import Machine
from tests.bench.peers.entries import PEERS
from tests.bench.peers.ground import CONGESTION_CONTROL, open_network
from tests.bench.peers.install import install
from tests.bench.peers.parts import PARTS, Part, Run
from tests.bench.report import Report

BEGIN: Final = "<!-- measured: written by make bench-peers -->"
RESULT: Final = Path("build/bench-peers.json")
PAGE: Final = Path("docs/BENCHMARKS.md")
_WIDTH: Final = 160


def run(arguments: Sequence[str]) -> int:
    """The exit code. The result has the parts that came to their end; the page is written by whole runs."""
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument(
        "--peers", choices=["usual", "all"], default="usual", help="all: tunnels in Go, stunnel too"
    )
    parser.add_argument(
        "--only", type=parts_of, default=PARTS, metavar="PART,…", help=f"of {', '.join(PARTS)}"
    )
    asked = parser.parse_args(arguments)
    say = teller("peers")
    peers = [peer for peer in PEERS if asked.peers == "all" or not peer.is_extra]
    began, machine = int(time.time()), Machine.now()
    with tempfile.TemporaryDirectory(prefix="telerelay-bench-") as folder:
        wanted = Run(peers, asked.only, Path(folder), say)
        install(wanted.needs(), say)
        try:
            with open_network() as ground:
                wanted.measure(ground)
        finally:
            # A part that breaks off, or whoever ends the run, takes nothing from the parts before.
            report = Report(
                measured=began,
                machine=msgspec.structs.replace(machine, congestion_control=CONGESTION_CONTROL),
                rows=wanted.found.rows,
                sheets=wanted.found.sheets,
            )
            _keep(report)
            say(f"{wanted.found.disturbed} rounds were disturbed each time, and count nevertheless")
    if asked.only == PARTS:
        report.write_into(PAGE, BEGIN)
    return 0


def _keep(report: Report) -> None:
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(report.encode())
    terminal = Console()
    report.show(terminal if terminal.is_terminal else Console(width=_WIDTH))


def parts_of(text: str) -> Collection[Part]:
    """The parts that are named, in their order. Raises ArgumentTypeError for what is none."""
    names = text.split(",")
    if unknown := ", ".join(sorted({*names} - {*PARTS})):
        raise argparse.ArgumentTypeError(f"no part is called {unknown}; there are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in names)


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
