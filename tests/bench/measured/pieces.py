"""Pieces of Python that many requests go through: what pytest-benchmark measures in `tests/bench/micro`."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.bench import micro
from tests.bench.benchmark import Benchmark, Say
from tests.bench.rows import Goal, Row, measured

_FOLDER: Final = Path(micro.__file__).parent
_GOALS_MS: Final[Mapping[str, float]] = {"scrape at 9,000 sessions": 20.0}


class PiecesError(Exception):
    """They could not be measured."""


def _measure(say: Say) -> Sequence[Row]:
    with tempfile.TemporaryDirectory(prefix="telerelay-bench-") as folder:
        result = Path(folder) / "pieces.json"
        say("pytest-benchmark")
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", str(_FOLDER), "--quiet", "-p", "no:cacheprovider"),
                *("-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"),
                *("--benchmark-only", "--benchmark-disable-gc", f"--benchmark-json={result}"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if run.returncode:
            raise PiecesError(run.stdout)
        return [_row(found) for found in msgspec.json.decode(result.read_bytes())["benchmarks"]]


def _row(found: Mapping[str, Any]) -> Row:
    name = found["name"].removeprefix("bench_").replace("_", "-")
    title, items = found["extra_info"]["title"], found["extra_info"].get("items", 1)
    goal = _GOALS_MS.get(title)
    stats = found["stats"]
    return measured(
        f"MICRO.{name}",
        title,
        "ms",
        [1e3 * value for value in stats["data"]],
        goal=None if goal is None else Goal("most", goal),
        parts={"us each": stats["median"] / items * 1e6} if items > 1 else {},
    )


BENCHMARK: Final = Benchmark("MICRO", "pieces of Python", _measure)
