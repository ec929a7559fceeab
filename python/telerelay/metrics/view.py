"""What a person looks at: two snapshots of a node as rates, shares and waits of the time between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, TypeVar

from telerelay.metrics.distribution import Counted, Distribution, Snapshot

STEPS: Final = ("hello", "connect", "route", "claim", "accept", "recorded", "paired")
KINDS: Final = ("wrapped", "mixed", "direct")

_Member = TypeVar("_Member")


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that half, and that 99 of 100, did not exceed; None where nobody waited."""

    p50: float | None
    p99: float | None


@dataclass(frozen=True)
class View:
    """A node over `seconds`: from `before`, or from its start where that is None, to `now`."""

    now: Snapshot
    before: Snapshot | None
    seconds: float

    def number(self, name: str) -> int:
        """A gauge, or a counter since the node's start; of a group all together."""
        return sum(_members(self.now.numbers, name))

    def rate(self, name: str) -> float:
        """How much a counter, or a group's together, rose in a second."""
        before = 0 if self.before is None else sum(_members(self.before.numbers, name))
        return (self.number(name) - before) / max(self.seconds, 1e-9)

    def group(self, name: str) -> dict[str, int]:
        """The counters of a group that rose in this time, the most first."""
        prefix = f"{name}."
        before = {} if self.before is None else self.before.numbers
        rises = {
            counter.removeprefix(prefix): value - before.get(counter, 0)
            for counter, value in self.now.numbers.items()
            if counter.startswith(prefix)
        }
        return dict(sorted(((key, rise) for key, rise in rises.items() if rise), key=lambda item: -item[1]))

    def waits(self, name: str) -> Waits:
        """Of a distribution in this time, or of a group's together."""
        counted = _together(_members(self.now.distributions, name))
        if self.before is not None:
            counted = _since(_together(_members(self.before.distributions, name)), counted)
        return Waits(quantile(counted, 0.50), quantile(counted, 0.99))

    def record(self) -> dict[str, Any]:
        """All of it, as `telerelay top --json` prints it; rates and waits, in seconds, are of this time."""
        return {
            "seconds": round(self.seconds, 3),
            "sessions": {kind: self.number(f"live_paths.{kind}") for kind in KINDS},
            "ready_agents": self.number("ready_agents"),
            "connections": self.number("connections"),
            "guests": self.number("guests"),
            "attempts": self.number("attempts"),
            "set_ups_per_s": round(self.rate("set_ups.PAIRED"), 3),
            "handshakes_per_s": round(self.rate("handshakes"), 3),
            "refusals": self.group("refused"),
            "set_up": _record(self.waits("set_up")),
            "steps": {step: _record(self.waits(f"set_up_step.{step}")) for step in STEPS},
            "message": _record(self.waits("message_wait")),
            "decision": _record(self.waits("decision")),
            "loop_lag": _record(self.waits("loop_lag")),
            "loop_lag_longest": self.number("loop_lag_longest_us") / 1e6,
            "events_waiting": self.number("events_waiting"),
            "audit": {
                "records_per_s": round(self.rate("audit_records"), 3),
                "waiting": self.number("audit_waiting"),
                "backlog_bytes": self.number("audit_backlog_bytes"),
                "failing": bool(self.number("audit_failing")),
                "sync": _record(self.waits("audit_sync")),
            },
            "memory_bytes": self.number("memory_bytes"),
            "descriptors": self.number("descriptors"),
            "descriptors_limit": self.number("descriptors_limit"),
        }


def quantile(counted: Distribution, share: float) -> float | None:
    """What `share` (0 to 1) of all did not exceed, straight between bounds; the last bound for all beyond.

    None where nothing was counted.
    """
    below = list(accumulate(counted.counts))
    if not below[-1]:
        return None
    rank = share * below[-1]
    for place, upper in enumerate(counted.upper):
        if below[place] >= rank and counted.counts[place]:
            lower = counted.upper[place - 1] if place else 0.0
            inside = (rank - (below[place] - counted.counts[place])) / counted.counts[place]
            return lower + (upper - lower) * inside
    return counted.upper[-1]


def _members(named: Mapping[str, _Member], name: str) -> list[_Member]:
    """All of the group of this name, or what stands under the name itself. Raises KeyError for neither."""
    group = f"{name}."
    return [member for other, member in named.items() if other.startswith(group)] or [named[name]]


def _together(distributions: Sequence[Distribution]) -> Counted:
    """All of them as one; they have the same bounds."""
    counts = [sum(of_each) for of_each in zip(*(one.counts for one in distributions), strict=True)]
    return Counted(distributions[0].upper, counts, sum(one.sum for one in distributions))


def _since(before: Distribution, now: Distribution) -> Counted:
    counts = [late - early for early, late in zip(before.counts, now.counts, strict=True)]
    return Counted(now.upper, counts, now.sum - before.sum)


def _record(waits: Waits) -> dict[str, float | None]:
    return {"p50": waits.p50, "p99": waits.p99}
