"""`make bench` is honest: its statistics, what it writes, and how it ends."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bench.__main__ import BROKEN, UNMET, run
from tests.bench.benchmark import Benchmark, Say
from tests.bench.measured import BENCHMARKS
from tests.bench.report import BEGIN, END
from tests.bench.rounds import CONFIDENCE, Spread, bound, ratios
from tests.bench.rows import Goal, Row, measured, unmeasured

# ---------------------------------------------------------------- statistics


def test_a_spread_is_the_middle_and_both_ends() -> None:
    assert Spread.of([3, 1, 10]) == Spread(median=3, low=1, high=10, rounds=3)
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


def test_ratios_are_of_the_same_round() -> None:
    assert ratios([1, 9], [2, 3]) == [0.5, 3]
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 9], [2])
    with pytest.raises(ValueError, match="nothing"):
        ratios([1], [0])


@pytest.mark.parametrize(
    ("count", "most", "least"), [(4, None, None), (5, 4, 0), (7, 6, 0), (8, 6, 1), (20, 14, 5)]
)
def test_a_bound_is_an_order_statistic(count: int, most: float | None, least: float | None) -> None:
    values = random.Random(1).sample(range(count), count)
    assert (bound(values, "most"), bound(values, "least")) == (most, least)


def test_a_bound_holds_as_often_as_it_says() -> None:
    source = random.Random(2)
    draws = [[source.expovariate(1) for _ in range(9)] for _ in range(4_000)]
    # The median of that distribution is ln 2.
    held = sum((bound(values, "most") or 0) >= 0.693_147 for values in draws) / len(draws)
    assert CONFIDENCE - 0.01 < held < 1


# ---------------------------------------------------------------- rows


def test_a_row_compares_the_rounds_in_turn_and_says_whether_its_goal_is_met() -> None:
    row = measured("X", "x", "s", [2, 4, 6, 8, 10], peer=[1, 4, 3, 8, 5], goal=Goal("most", 1.9, of="ratio"))
    assert (row.ours, row.low, row.high, row.rounds, row.peer) == (6, 2, 10, 5, 4)
    assert (row.ratio, row.ratio_bound, row.goal, row.met) == (2, 2, "≤ 1.9 × peer", False)


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("most", 5), True),
        (Goal("most", 4.9), False),
        (Goal("least", 5), True),
        (Goal("least", 5.1), False),
    ],
)
def test_a_goal_of_the_figure_itself(goal: Goal, *, met: bool) -> None:
    assert measured("X", "x", "s", [5], goal=goal).met is met


def test_a_goal_against_a_peer_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="no peer"):
        measured("X", "x", "s", [5], goal=Goal("most", 1, of="ratio"))


# ---------------------------------------------------------------- the command


def _good(_say: Say) -> Sequence[Row]:
    return [
        measured("GOOD", "good", "s", [1], goal=Goal("most", 2)),
        measured("GOOD.poor", "poor part", "s", [3], goal=Goal("most", 2), note="why"),
    ]


def _broken(_say: Say) -> Sequence[Row]:
    raise RuntimeError("the node did not start")


FAKES = (
    Benchmark("FINE", "fine", lambda _say: [measured("FINE", "fine", "s", [1], goal=Goal("most", 2))]),
    Benchmark("GOOD", "good", _good),
    Benchmark("BROKEN", "broken", _broken),
    Benchmark("LATER", "later", lambda _say: [unmeasured("LATER", "later", "s", "not built")]),
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nbehind\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], BROKEN),
        (["--only", "FINE"], 0),
        (["--only", "GOOD,LATER"], 0),
        (["--check", "FINE"], 0),
        (["--check", "FINE,GOOD"], UNMET),
        (["--check", "GOOD.poor"], UNMET),
        (["--check", "BROKEN"], UNMET),
        (["--check", "LATER"], UNMET),
    ],
)
def test_it_exits_9_where_what_was_checked_is_not_met(
    tmp_path: Path, page: Path, arguments: list[str], code: int
) -> None:
    assert run(arguments, FAKES, result=tmp_path / "bench.json", page=page) == code
    assert UNMET == 9  # what docs/BENCHMARKS.md says


def test_a_name_that_nobody_has_is_an_error_of_usage(tmp_path: Path, page: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["--only", "FINES"], FAKES, result=tmp_path / "bench.json", page=page)


def test_the_result_is_json_and_the_page_has_the_table(
    tmp_path: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "build" / "bench.json"
    run([], FAKES, result=result, page=page)
    report = json.loads(result.read_bytes())
    assert report["schema"] == "telerelay.bench/1"
    assert {
        "kernel",
        "processor",
        "processors",
        "loopback_mtu",
        "congestion_control",
        "build",
        "load",
    } <= set(report["machine"])
    rows = {row["id"]: row for row in report["rows"]}
    assert list(rows) == ["FINE", "GOOD", "GOOD.poor", "BROKEN", "LATER"]
    assert {"title", "ours", "peer", "ratio", "goal", "met", "unit", "rounds"} <= set(rows["FINE"])
    assert (rows["FINE"]["ours"], rows["FINE"]["met"], rows["GOOD.poor"]["met"]) == (1, True, False)
    # What was not measured has no figure and no verdict, and says why.
    assert (rows["BROKEN"]["ours"], rows["BROKEN"]["met"]) == (None, None)
    assert rows["BROKEN"]["note"] == "RuntimeError: the node did not start"
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nbehind\n")
    assert "old" not in text
    assert "| GOOD.poor | poor part | s | 3 |" in text
    assert "not measured" in capsys.readouterr().out


def test_a_part_of_all_does_not_replace_the_table_of_all(tmp_path: Path, page: Path) -> None:
    before = page.read_text()
    run(["--only", "FINE"], FAKES, result=tmp_path / "bench.json", page=page)
    assert page.read_text() == before


def test_every_benchmark_has_a_name_of_its_own_and_the_page_has_its_place() -> None:
    names = [benchmark.id for benchmark in BENCHMARKS]
    assert len(set(names)) == len(names)
    text = Path("docs/BENCHMARKS.md").read_text()
    assert text.index(BEGIN) < text.index(END)
    assert [name for name in names if f"`{name}`" not in text.partition(BEGIN)[0]] == []
