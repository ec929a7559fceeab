"""The decision on a batch of requests, as the bridge makes it."""

from pytest_benchmark.fixture import BenchmarkFixture

from telerelay.node.bridge import BATCH
from telerelay.routing.decide import Decision, Request, route
from tests.bench.town import NOW, client_of, computer_of, town

COMPUTERS = 2_000


def bench_decide_batch(benchmark: BenchmarkFixture) -> None:
    snapshot = town(COMPUTERS)
    asked = [(client_of(number), computer_of(number)) for number in range(BATCH)]
    benchmark.extra_info |= {"title": f"{BATCH} routing decisions", "items": BATCH}

    def decide() -> list[Decision]:
        return [
            route(Request(snapshot.organisation, client, computer, "rfb"), snapshot, NOW)
            for client, computer in asked
        ]

    assert len(benchmark(decide)) == BATCH
