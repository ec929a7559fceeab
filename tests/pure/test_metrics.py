"""Metrics without a node: the table of families, the Collector over a snapshot, quantiles, readiness."""

import asyncio
import mmap
import re
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Final

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from telerelay.metrics import process
from telerelay.metrics.app import create_app
from telerelay.metrics.collector import NodeCollector
from telerelay.metrics.distribution import WAITS_S, Counted, Histogram, Snapshot
from telerelay.metrics.families import FAMILIES, LABELS, PREFIX
from telerelay.metrics.family import Family
from telerelay.metrics.lag import LoopLag
from telerelay.metrics.page import page
from telerelay.metrics.readiness import Check, Readiness
from telerelay.metrics.view import View, quantile
from tests.kit.condition import eventually

GROUPED = ("ONE", "TWO")
DOCS: Final = Path(__file__).resolve().parents[2] / "docs"


def _names(family: Family) -> list[str]:
    if isinstance(family.shows, Mapping):
        return list(family.shows.values())
    if not family.labels:
        return [family.shows]
    return [f"{family.shows}.{'.'.join(values)}" for values in product(GROUPED, repeat=len(family.labels))]


def _whole(number: int = 0, histogram: Histogram | None = None) -> Snapshot:
    """A snapshot with everything that the table shows."""
    counted = (histogram or Histogram()).read()
    histograms = [name for family in FAMILIES if family.kind == "histogram" for name in _names(family)]
    numbers = [name for family in FAMILIES if family.kind != "histogram" for name in _names(family)]
    return Snapshot(dict.fromkeys(numbers, number), dict.fromkeys(histograms, counted))


def _series(family: Family, snapshot: Snapshot) -> int:
    """How many the family has: those of a group are what the snapshot has of it."""
    if not family.labels or isinstance(family.shows, Mapping):
        return len(_names(family))
    named = snapshot.distributions if family.kind == "histogram" else snapshot.numbers
    return sum(name.startswith(f"{family.shows}.") for name in named)


async def _asked(
    snapshot: Callable[[], Snapshot], path: str, *checks: Check, accept: str = ""
) -> httpx.Response:
    app = create_app(NodeCollector(snapshot), Readiness(checks))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
        return await client.get(path, headers={"accept": accept})


# ---------------------------------------------------------------- the table


def test_names_say_kind_and_unit_and_none_is_there_twice() -> None:
    names = [family.name for family in FAMILIES]
    # OpenMetrics takes a counter's name without its end.
    bases = [name.removesuffix("_total") for name in names]
    assert len(set(bases)) == len(bases)
    for family in FAMILIES:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert family.help.endswith("."), family.name
        assert family.reading.endswith("."), family.name
        if isinstance(family.shows, Mapping):
            assert len(family.labels) == 1, family.name
        if family.kind == "histogram":
            assert family.unit == "seconds" or family.name == "audit_group_records", family.name


def test_every_label_is_explained_and_none_that_is_not_there() -> None:
    assert {label for family in FAMILIES for label in family.labels} == set(LABELS)


def test_the_page_is_what_the_table_says() -> None:
    assert (DOCS / "METRICS.md").read_text(encoding="utf-8") == page(), "make metrics"


async def test_promtool_has_nothing_to_say() -> None:
    answer = await _asked(_whole, "/metrics")
    promtool = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert await promtool.communicate(answer.content) == (b"", b"")
    assert promtool.returncode == 0


# ---------------------------------------------------------------- the Collector


@pytest.mark.parametrize(
    ("accept", "parse", "kind"),
    [
        ("", parse_text, "text/plain"),
        ("application/openmetrics-text; version=1.0.0", parse_openmetrics, "application/openmetrics-text"),
    ],
)
async def test_what_is_written_reads_as_what_was_counted(
    accept: str, parse: Callable[[str], object], kind: str
) -> None:
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 2.5, 7):
        histogram.observe(value)
    snapshot = _whole(7, histogram)
    answer = await _asked(lambda: snapshot, "/metrics", accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    read = {family.name: family for family in parse(answer.text)}  # type: ignore[attr-defined]
    for family in FAMILIES:
        found = read[PREFIX + family.name.removesuffix("_total")]
        assert (found.type, found.documentation) == (family.kind, family.help)
        count = _series(family, snapshot)
        if family.kind != "histogram":
            assert [sample.value for sample in found.samples] == [7 * family.scale] * count
            assert len({tuple(sample.labels.items()) for sample in found.samples}) == count
            continue
        buckets = [sample.value for sample in found.samples if sample.name.endswith("_bucket")]
        assert buckets == [2, 4, 5] * count
        sums = [sample.value for sample in found.samples if sample.name.endswith("_sum")]
        assert sums == [13] * count
    assert len(read) == len(FAMILIES)


async def test_a_number_that_is_missing_is_a_fault_and_no_gap() -> None:
    snapshot = _whole()
    numbers = {name: value for name, value in snapshot.numbers.items() if name != "ready_agents"}
    with pytest.raises(KeyError, match="ready_agents"):
        await _asked(lambda: Snapshot(numbers, snapshot.distributions), "/metrics")


# ---------------------------------------------------------------- readiness


async def _well() -> str | None:
    return None


async def _ill() -> str | None:
    return "the database does not answer"


async def test_a_node_is_ready_when_nothing_is_wrong() -> None:
    answer = await _asked(_whole, "/readyz", _well)
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})
    answer = await _asked(_whole, "/readyz", _well, _ill)
    reasons = ["the database does not answer"]
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": reasons})
    assert (await _asked(_whole, "/healthz", _ill)).status_code == 200


async def test_a_check_that_does_not_end_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stuck() -> str | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr("telerelay.metrics.readiness.CHECK_S", 0.01)
    # What the others found is told all the same.
    told, late = await Readiness([_well, _ill, stuck]).reasons()
    assert told == "the database does not answer"
    assert "1 of the checks did not end" in late


# ---------------------------------------------------------------- what Python counts


async def test_the_loop_lag_is_that_of_a_loop_that_was_held() -> None:
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch())
    await eventually(lambda: sum(lag.distributions()["loop_lag"].counts) > 0)
    assert lag.statistics()["loop_lag_longest_us"] < 250_000
    # Longer than the interval, so that a wake-up falls into it.
    held = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < held:
        pass
    await eventually(lambda: lag.statistics()["loop_lag_longest_us"] > 250_000)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_the_process_knows_its_descriptors_and_memory() -> None:
    before = process.statistics()
    with open("/dev/null", "rb"), open("/dev/null", "rb"):  # noqa: PTH123 — two descriptors, whatever they are
        during = process.statistics()
    assert during["descriptors"] == before["descriptors"] + 2
    assert during["descriptors"] < during["descriptors_limit"]
    # New pages: the allocator may have as much lying free.
    with mmap.mmap(-1, 64 << 20) as held:
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        assert process.statistics()["memory_bytes"] - before["memory_bytes"] > len(held) // 2


# ---------------------------------------------------------------- what a person looks at


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([0.5] * 4, 0.5, 0.5),
        ([0.5, 1.5], 0.5, 1.0),
        ([0.5] * 98 + [3] * 2, 0.99, 3.0),
        ([9], 0.5, 4.0),
    ],
)
def test_a_quantile_lies_in_its_bucket(values: list[float], share: float, expected: float | None) -> None:
    histogram = Histogram((1, 2, 4))
    for value in values:
        histogram.observe(value)
    assert quantile(histogram.read(), share) == expected


def test_a_view_is_of_the_time_between_two_snapshots() -> None:
    histogram = Histogram()
    histogram.observe(10.0)
    before = _whole(3, histogram)
    histogram.observe(WAITS_S[0])
    after = _whole(9, histogram)
    numbers = {**after.numbers, "refused.DENIED": 50, "refused.BUSY": 70}
    numbers |= {"set_ups.PAIRED.staff": 9, "set_ups.PAIRED.test": 6}
    assert isinstance(before.numbers, dict)
    before.numbers.update({"set_ups.PAIRED.staff": 4, "set_ups.PAIRED.test": 2})
    for snapshot in (before, after):
        for step in ("hello", "connect", "route", "claim", "accept", "recorded", "paired"):
            assert isinstance(snapshot.distributions, dict)
            snapshot.distributions[f"set_up_step.{step}"] = snapshot.distributions["set_up.ONE"]
        for kind in ("wrapped", "mixed", "direct"):
            numbers |= {f"live_paths.{kind}.staff": 2, f"live_paths.{kind}.test": 3}
    view = View(Snapshot(numbers, after.distributions), before, 2.0)
    record = view.record()
    assert record["set_ups_per_s"] == 4.5, "15 now, 6 before"
    assert record["set_up"]["p99"] <= WAITS_S[0]
    refusals = {
        code: numbers[f"refused.{code}"] - before.numbers.get(f"refused.{code}", 0)
        for code in ("BUSY", "DENIED")
    }
    assert list(record["refusals"].items())[:2] == list(refusals.items())
    assert record["sessions"] == {"wrapped": 5, "mixed": 5, "direct": 5}
    # Of both groups' members together, in this time only.
    assert record["message"]["p99"] <= WAITS_S[0]


def test_a_histogram_counts_at_the_first_bound_that_is_not_exceeded() -> None:
    histogram = Histogram((1, 2))
    for value in (0, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.read() == Counted((1, 2), (2, 2, 1), 7.5)
