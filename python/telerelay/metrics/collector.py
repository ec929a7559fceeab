"""The one Collector: a snapshot as metric families of the monitoring system's client library."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

from telerelay.metrics.distribution import Distribution, Snapshot
from telerelay.metrics.families import FAMILIES, PREFIX
from telerelay.metrics.family import Family

_Shown = TypeVar("_Shown")


class NodeCollector(Collector):
    """Asks `snapshot` once for each scrape, which costs the same however many sessions run."""

    def __init__(self, snapshot: Callable[[], Snapshot], families: Sequence[Family] = FAMILIES) -> None:
        self._snapshot = snapshot
        self._families = families

    @override
    def collect(self) -> Iterable[Metric]:
        """Every family of the table. Raises KeyError where the snapshot lacks what one of them shows."""
        snapshot = self._snapshot()
        for family in self._families:
            if family.kind == "histogram":
                yield _histogram(family, snapshot.distributions)
            else:
                yield _number(family, snapshot.numbers)


def _number(family: Family, numbers: Mapping[str, int]) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(PREFIX + family.name, family.help, labels=family.labels)
    for values, number in _shown(family, numbers):
        metric.add_metric(values, number * family.scale)
    return metric


def _histogram(family: Family, distributions: Mapping[str, Distribution]) -> HistogramMetricFamily:
    metric = HistogramMetricFamily(PREFIX + family.name, family.help, labels=family.labels)
    for values, distribution in _shown(family, distributions):
        bounds = [*map(floatToGoString, distribution.upper), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(distribution.counts)), strict=True))
        metric.add_metric(values, buckets, distribution.sum)
    return metric


def _shown(family: Family, named: Mapping[str, _Shown]) -> Iterator[tuple[list[str], _Shown]]:
    """The labels' values and what stands there, for each series of the family."""
    if isinstance(family.shows, Mapping):
        for value, name in family.shows.items():
            yield [value], named[name]
    elif not family.labels:
        yield [], named[family.shows]
    else:
        group = f"{family.shows}."
        for name, member in named.items():
            if name.startswith(group):
                yield name.removeprefix(group).split(".", len(family.labels) - 1), member
