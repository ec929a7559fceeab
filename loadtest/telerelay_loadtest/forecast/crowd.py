"""Who comes, by the node's own routing decision; a plan's visits as arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telerelay.routing.decide import Here, Request, route
from telerelay.store.snapshot import Computer, Freshness, Snapshot
from telerelay_loadtest.forecast.courses import Times
from telerelay_loadtest.scenario.plan import Party, Plan
from telerelay_loadtest.screens import screen_name

_NOW: Final = 1_800_000_000
_MS_NS: Final = 1_000_000
_S_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class Crowd:
    """Visits, one at each place of all arrays: when it begins and ends, in nanoseconds of the plan.

    `people`: whose, a number among all agents of the plan; `screens`: a number among the screens.
    """

    begins: Times
    ends: Times
    people: NDArray[np.int64]
    screens: NDArray[np.int64]

    def __len__(self) -> int:
        """How many visits."""
        return len(self.begins)

    def of(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> "Crowd":
        """These of them."""
        return Crowd(self.begins[which], self.ends[which], self.people[which], self.screens[which])

    def with_(self, other: "Crowd") -> "Crowd":
        """These and others."""
        return Crowd(
            np.concatenate([self.begins, other.begins]),
            np.concatenate([self.ends, other.ends]),
            np.concatenate([self.people, other.people]),
            np.concatenate([self.screens, other.screens]),
        )

    def live(self, seconds: int) -> NDArray[np.int64]:
        """How many sessions there are at the end of each second."""
        return (_by_second(self.begins, seconds) - _by_second(self.ends, seconds)).cumsum()

    def set_ups(self, seconds: int) -> NDArray[np.int64]:
        """How many begin in each second."""
        return _by_second(self.begins, seconds)

    def ended(self, seconds: int) -> NDArray[np.int64]:
        """How many end in each second."""
        return _by_second(self.ends, seconds)


def decided(plan: Plan, screens: Sequence[str]) -> Crowd:
    """The visits that a node lets in, each asked for as its bridge asks. `screens`: each over each line."""
    first = list(accumulate((party.agents for party in plan.parties), initial=0))
    numbers = {name: number for number, name in enumerate(screens)}
    rows = [
        (
            visit.at_ms,
            visit.at_ms + visit.hold_ms,
            first[visit.organisation] + visit.client,
            numbers[screen_name(visit.screen, visit.link)],
        )
        for visit, is_let_in in zip(plan.visits, _answers(plan), strict=True)
        if is_let_in
    ]
    begins, ends, people, shown = np.array(rows, np.int64).reshape(-1, 4).T
    return Crowd(begins * _MS_NS, ends * _MS_NS, people, shown)


def _answers(plan: Plan) -> Iterator[bool]:
    """Of each visit, whether the node's own decision lets it in."""
    snapshots = [_snapshot(number, party) for number, party in enumerate(plan.parties)]
    for visit in plan.visits:
        snapshot = snapshots[visit.organisation]
        request = Request(snapshot.organisation, _id(visit.client, 32), _id(visit.client, 10), "rfb")
        yield isinstance(route(request, snapshot, _NOW), Here)


def _snapshot(number: int, party: Party) -> Snapshot:
    """An organisation in which everybody who comes may reach the own office PC."""
    stamp = Freshness(document_version=1, revocations_version=1, expires=_NOW + 1)
    return Snapshot(
        organisation=_id(number, 32),
        version=1,
        suspended=False,
        revocations_version=1,
        revoked=frozenset(),
        computers={
            _id(person, 10): Computer(
                agent=_id(person, 32),
                version=1,
                expires=_NOW + 1,
                services=("rfb",),
                grants={_id(person, 32): [(None, None)]},
                stamp=stamp,
            )
            for person in range(party.clients)
        },
    )


def _id(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def _by_second(moments: Times, seconds: int) -> NDArray[np.int64]:
    """How many lie in each second; what comes behind them all is left out."""
    return np.bincount(moments // _S_NS, minlength=seconds)[:seconds]
