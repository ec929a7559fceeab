"""`python -m tests.bench`: measure the relay, tell it as a table, keep it in build/bench.json.

Exits 9 when a row of --check is not met, 1 when something broke instead of being measured, 2 on names that
nobody has.
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.bench.benchmark import Benchmark, teller
from tests.bench.machine import Machine
from tests.bench.measured import BENCHMARKS
from tests.bench.report import Report
from tests.bench.rows import Row, unmeasured

UNMET: Final = 9
BROKEN: Final = 1
PAGE: Final = Path("docs/BENCHMARKS.md")
RESULT: Final = Path("build/bench.json")
_WIDTH: Final = 160


def run(
    arguments: Sequence[str], benchmarks: Sequence[Benchmark], *, result: Path = RESULT, page: Path = PAGE
) -> int:
    """The exit code. `result` is written always, `page` where everything was measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", type=_names, default=[], metavar="ID,…", help="run these only")
    which.add_argument(
        "--check", type=_names, default=[], metavar="ID,…", help="run these, and they must be met"
    )
    asked = parser.parse_args(arguments)
    names = [*asked.only, *asked.check]
    for name in names:
        if not any(benchmark.is_meant_by(name) for benchmark in benchmarks):
            parser.error(f"nothing is called {name}; there are {', '.join(one.id for one in benchmarks)}")
    chosen = [one for one in benchmarks if not names or any(one.is_meant_by(name) for name in names)]

    began, machine = int(time.time()), Machine.now()
    rows: list[Row] = []
    broken = False
    for benchmark in chosen:
        try:
            rows += benchmark.measure(teller(benchmark.id))
        except Exception as error:  # noqa: BLE001 - the others are measured all the same
            traceback.print_exc()
            broken = True
            rows.append(
                unmeasured(benchmark.id, benchmark.title, "count", f"{type(error).__name__}: {error}")
            )
    report = Report(measured=began, machine=machine, rows=rows)
    result.parent.mkdir(exist_ok=True)
    result.write_bytes(report.encode())
    terminal = Console()
    # Whoever reads it later has no width; there nothing is broken into columns of one word.
    report.show(terminal if terminal.is_terminal else Console(width=_WIDTH))
    if not names:
        report.write_into(page)
    return _exit_code(rows, asked.check, broken=broken)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _exit_code(rows: Sequence[Row], checked: Sequence[str], *, broken: bool) -> int:
    """A row without a goal is met by being measured."""
    for name in checked:
        meant = [row for row in rows if row.id == name or row.id.startswith(f"{name}.")]
        # A benchmark that broke has its own row only.
        if not meant or any(row.met is False or not row.is_measured for row in meant):
            return UNMET
    return BROKEN if broken else 0


def main() -> int:
    """The command. Whoever ends it ends everything that it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run(sys.argv[1:], BENCHMARKS)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
