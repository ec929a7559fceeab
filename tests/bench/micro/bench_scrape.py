"""One scrape: the Collector over a snapshot, and the text that monitoring reads.

The snapshot's numbers are as of a node with 9,000 sessions; a scrape costs what the table of families does.
"""

from collections.abc import Iterator, Mapping
from itertools import product

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from pytest_benchmark.fixture import BenchmarkFixture

from telerelay.metrics.collector import NodeCollector
from telerelay.metrics.distribution import Histogram, Snapshot
from telerelay.metrics.families import FAMILIES
from telerelay.metrics.family import Family
from telerelay_endpoint.errors import catalogue

SESSIONS = 9_000
CODES = len(catalogue())
MEMBERS: Mapping[str, int] = {"code": CODES, "outcome": CODES, "traffic": 2}
"""Values of a label, where they are not a dozen."""


def bench_scrape(benchmark: BenchmarkFixture) -> None:
    benchmark.extra_info["title"] = "scrape at 9,000 sessions"
    snapshot = _snapshot()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(lambda: snapshot))
    text = benchmark(generate_latest, registry)
    for family in FAMILIES:
        assert f"# TYPE telerelay_{family.name.removesuffix('_total')}".encode() in text


def _snapshot() -> Snapshot:
    names = [(family, name) for family in FAMILIES for name in _names(family)]
    waits = Histogram()
    for number in range(SESSIONS):
        waits.observe(number / SESSIONS)
    return Snapshot(
        {name: SESSIONS for family, name in names if family.kind != "histogram"},
        {name: waits.read() for family, name in names if family.kind == "histogram"},
    )


def _names(family: Family) -> Iterator[str]:
    if isinstance(family.shows, Mapping):
        yield from family.shows.values()
    elif not family.labels:
        yield family.shows
    else:
        for values in product(*(range(MEMBERS.get(label, 12)) for label in family.labels)):
            yield f"{family.shows}.{'.'.join(map(str, values))}"
