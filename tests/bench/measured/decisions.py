"""B13: the routing decision as Cython compiles it, against the same file run by Python, same questions."""

import time
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from telerelay.routing import decide as compiled
from telerelay.store.snapshot import Snapshot
from tests.bench.benchmark import Benchmark, Say
from tests.bench.rows import Row, measured
from tests.bench.town import AGENT_SIZE, NOW, client_of, computer_of, town
from tests.kit.uncompiled import uncompiled

_COMPUTERS: Final = 2_000
_ASKED: Final = 100_000
_ROUNDS: Final = 15


def _measure(say: Say) -> Sequence[Row]:
    if not compiled.COMPILED:
        raise ValueError("the decision is not compiled here")
    snapshot, plain = town(_COMPUTERS), uncompiled(compiled)
    say(f"{_ROUNDS} rounds of {_ASKED} decisions each")
    ours, peer = [], []
    for _ in range(_ROUNDS):
        ours.append(_decision_us(compiled, snapshot))
        peer.append(_decision_us(plain, snapshot))
    return [
        measured(
            "B13",
            "a routing decision, compiled",
            "us",
            ours,
            peer=peer,
            note="peer: the same file run by Python; the request is made anew each time, as the bridge does",
        )
    ]


def _decision_us(module: ModuleType, snapshot: Snapshot) -> float:
    asked = [(client_of(number), computer_of(number)) for number in range(_COMPUTERS)]
    request, route, here = module.Request, module.route, module.Here
    decision = None
    began = time.perf_counter()
    for _ in range(_ASKED // _COMPUTERS):
        for client, computer in asked:
            decision = route(request(snapshot.organisation, client, computer, "rfb"), snapshot, NOW)
    took = time.perf_counter() - began
    if decision != here(bytes(AGENT_SIZE)):
        raise ValueError(f"it decided {decision}")
    return took / _ASKED * 1e6


BENCHMARK: Final = Benchmark("B13", "a routing decision, compiled", _measure)
