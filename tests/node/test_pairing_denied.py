"""Unknown, another organisation's, not granted: one code, one text, one time (PROTOCOL.md §5.3 step 2)."""

import asyncio
import itertools
import math
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from telerelay_endpoint.certificates import Role
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg, decoded, encoded
from tests.kit.tenant import Files, Tenant

DENIED_S: Final = 0.2
# No device asks so often that it would be throttled for guessing.
DEVICES: Final = 540
DIALS: Final = 30
IN_FLIGHT: Final = 300
# All are asked before the first is answered, and none of them waits for our own turn.
ROUND: Final = 330
PACE_S: Final = 0.0005
ROUNDS: Final = 16
# No two kinds may differ by this much. Measured until four standard errors of a difference are less: one of
# 0.5 ms is found then, and one that is not there is not. A machine that stays noisier is asked for no more
# than its own error, and refused where that would hide what a look-up costs.
LIMIT_S: Final = 0.000_25
COARSEST_S: Final = 0.002
ERRORS: Final = 4.0
# Noise only ever adds to a time, so it hides a difference least where times are short.
SHORT: Final = (0.1, 0.25)
FIRST: Final = -20


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """It and we go before whatever else this machine does: a delay by others would be our noise."""
    with _first_in_line(), NodeProcess(tmp_path) as running:
        yield running


@contextmanager
def _first_in_line() -> Iterator[None]:
    """For this thread and what it starts. Needs root."""
    # Where the kernel groups processes by session, a nice value counts within the group, which has its own. A
    # process without such a group reads nothing.
    group = Path("/proc/self/autogroup")
    grouped = group.read_text().split() if group.exists() else []
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
        if grouped:
            group.write_text(str(FIRST))
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
        if grouped:
            group.write_text(grouped[-1])


@dataclass
class Samples:
    """The requests for one computer: when each was asked and answered, in seconds, and how."""

    computer: bytes
    asked: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    def quantile(self, share: float) -> tuple[float, float]:
        """Of how long it took, and four standard errors of it; by ranks, as nothing is known of the noise."""
        took = np.sort(np.subtract(self.answered, self.asked))
        rank, reach = share * len(took), ERRORS * math.sqrt(len(took) * share * (1 - share))
        low, high = max(0, int(rank - reach)), min(len(took) - 1, math.ceil(rank + reach))
        return float(took[int(rank)]), float(took[high] - took[low]) / 2


async def test_unknown_foreign_and_not_granted_cannot_be_told_apart(node: NodeProcess) -> None:
    tenant, foreign = Tenant(now=int(time.time())), Tenant(now=int(time.time()))
    for one in (tenant, foreign):
        node.admit(one)
        node.publish(one)
    # Everything is there that lets the organisation's first client in; these are others.
    devices = [tenant.colleague().files(node.folder, Role.CLIENT) for _ in range(DEVICES)]
    kinds = [Samples(os.urandom(10)), Samples(foreign.computer), Samples(tenant.computer)]
    for _ in range(ROUNDS):
        await _round(node.address, devices, kinds)
        if all(_limit(kinds, share) == LIMIT_S for share in SHORT):
            break

    assert _most_at_once(kinds) >= IN_FLIGHT
    for share in (*SHORT, 0.5):
        times, _ = _quantiles(kinds, share)
        assert min(times) >= DENIED_S
        assert np.ptp(times) < _limit(kinds, share), times
    assert all(_limit(kinds, share) < COARSEST_S for share in SHORT), "too noisy here to tell anything"
    answers = [decoded(answer) for kind in kinds for answer in kind.answers]
    assert {(answer.name, answer.fields["code"]) for answer in answers} == {("ERROR", "DENIED")}
    texts = [{**answer.fields, "attempt": None, "server_time": None} for answer in answers]
    assert all(text == texts[0] for text in texts)
    # Each was recorded, once.
    ends = [record["attempt"] for record in node.records() if record["kind"] == "END"]
    assert len(set(ends)) == len(ends) == len(answers)


def _quantiles(kinds: Sequence[Samples], share: float) -> tuple[list[float], list[float]]:
    """The same quantile of each kind, and the error of each."""
    found = [kind.quantile(share) for kind in kinds]
    return [time for time, _ in found], [error for _, error in found]


def _limit(kinds: Sequence[Samples], share: float) -> float:
    """By how much the kinds may differ at that quantile, in seconds."""
    return max(LIMIT_S, max(_quantiles(kinds, share)[1]) * math.sqrt(2))


async def _round(address: str, devices: Sequence[Files], kinds: Sequence[Samples]) -> None:
    """A leg of each of so many devices, and then a request on it: of every kind as many, in random order."""
    legs: list[OuterLeg] = []
    asking = random.sample(devices, ROUND)
    for first in range(0, ROUND, DIALS):
        legs += await asyncio.gather(
            *(OuterLeg.dial(address, files) for files in asking[first : first + DIALS])
        )
    for leg in legs:
        assert (await leg.hello("client")).name == "WELCOME"
    order = [kind for _ in range(ROUND // len(kinds)) for kind in random.sample(kinds, len(kinds))]
    asks = [
        (
            leg,
            kind,
            encoded("CONNECT", computer=kind.computer.hex(), service="rfb", attempt=os.urandom(5).hex()),
        )
        for leg, kind in zip(legs, order, strict=True)
    ]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, ask in enumerate(asks, start=1):
            group.create_task(_ask(*ask))
            await asyncio.sleep(began + number * PACE_S - time.perf_counter())
    for leg in legs:
        leg.close()


async def _ask(leg: OuterLeg, kind: Samples, connect: bytes) -> None:
    asked = time.perf_counter()
    await leg.send_bytes(connect)
    answer = await leg.receive_bytes()
    kind.answered.append(time.perf_counter())
    kind.asked.append(asked)
    kind.answers.append(answer)


def _most_at_once(kinds: Sequence[Samples]) -> int:
    """How many requests were asked and not answered, when there were most."""
    asked = [(at, 1) for kind in kinds for at in kind.asked]
    answered = [(at, -1) for kind in kinds for at in kind.answered]
    return max(itertools.accumulate(step for _, step in sorted(asked + answered)))
