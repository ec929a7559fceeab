"""B5, B9, B10: what a session costs at rest, what thousands cost the busy, and one that nobody reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench.benchmark import ROUNDS, Say
from tests.bench.machine import anonymous_bytes
from tests.bench.peers.contest import Clock, Contestant, Results, contest
from tests.bench.peers.loads import bulk
from tests.bench.peers.ours import SESSIONS, Ours
from tests.bench.rows import Goal, Row, measured

_FIRST: Final = 2_000
_PEERS_LAST: Final = 5_000
"""HAProxy is configured for 6,000."""
_BUSY: Final = 16
_STALLED: Final = 64
TURNS: Final = 1 + 3 * ROUNDS
"""Stalled, once before it is measured; 16 streams alone, and beside all others."""


def stalled(ours: Ours, clock: Clock) -> Iterator[Row]:
    """B10, on sessions that are dropped with it."""
    results, load, must = Results(), bulk(_STALLED, stalled=1), frozenset([ours.name])
    # What is made once, and what allocators keep of handshakes, is there afterwards.
    contest([load], [ours], Results(), clock, rounds=1, must=must)
    before = anonymous_bytes(ours.pid)
    contest([load], [ours], results, clock, must=must)
    grown = anonymous_bytes(ours.pid) - before
    yield measured(
        "B10",
        "fairness of 63 streams beside one that nobody reads (Jain)",
        "x",
        results.of(load, ours.name, "fairness"),
        goal=Goal("least", 0.95),
    )
    yield measured(
        "B10.memory", "user memory of the node that it grew by", "bytes", [grown], goal=Goal("most", 2**20)
    )


def crowd(ours: Ours, peers: Sequence[Contestant], say: Say, clock: Clock) -> Iterator[Row]:
    """B5 and B9. `ours` has few sessions now; afterwards thousands."""
    alone, beside = Results(), Results()
    contest([bulk(_BUSY)], [ours], alone, clock, must=frozenset([ours.name]))
    slopes = {peer.name: _slope(peer, _PEERS_LAST, say) for peer in peers}
    own = _slope(ours, SESSIONS, say)
    yield measured(
        "B5",
        "user memory of an idle session",
        "bytes",
        [own[0]],
        goal=Goal("most", 768),
        parts={name: slope[0] for name, slope in slopes.items()},
        note=f"slope of anonymous memory from {_FIRST} to {SESSIONS} sessions, of peers to {_PEERS_LAST}",
    )
    yield measured(
        "B5.descriptors", "descriptors of an idle session", "count", [own[1]], goal=Goal("most", 2)
    )
    contest([bulk(_BUSY)], [ours], beside, clock, must=frozenset([ours.name]))
    yield measured(
        "B9",
        f"throughput of {_BUSY} streams beside {SESSIONS - _BUSY} idle sessions",
        "Gbit/s",
        beside.of(bulk(_BUSY), ours.name, "gbit_s"),
        peer=alone.of(bulk(_BUSY), ours.name, "gbit_s"),
        goal=Goal("least", 0.95, of="ratio"),
        note=f"peer: without them, {ROUNDS} rounds just before",
    )


def _slope(contestant: Contestant, last: int, say: Say) -> tuple[float, float]:
    """Bytes and descriptors that one more session costs its relay."""
    looked = [_look(contestant, count, say) for count in (_FIRST, last)]
    (memory, descriptors), (more_memory, more_descriptors) = looked
    count = last - _FIRST
    return (more_memory - memory) / count, (more_descriptors - descriptors) / count


def _look(contestant: Contestant, count: int, say: Say) -> tuple[int, int]:
    contestant.check(contestant.generator.open(count))
    relay = contestant.watched()["relay"]
    descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in relay)
    memory = sum(map(anonymous_bytes, relay))
    say(f"{contestant.name}: {count} sessions, {memory / 2**20:.1f} MiB, {descriptors} descriptors")
    return memory, descriptors
