"""A crowd played through one node on a virtual clock: how long set-ups take, how long messages do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telerelay_loadtest.forecast.costs import GATHER_S, Costs
from telerelay_loadtest.forecast.courses import LENGTH_NS, Course, Times
from telerelay_loadtest.forecast.crowd import Crowd
from telerelay_loadtest.forecast.kernel import ENDS, LOOP, SYNC, WAIT, WORK, Node
from telerelay_loadtest.play.generating import usual_threads
from telerelay_loadtest.play.histogram import Rows

S_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000
_US_NS: Final = 1_000
_TICK_NS: Final = 1_000_000
"""The generator's timers: what is due within one of them is sent at its end, all at once."""
_UPKEEP_NS: Final = 100_000
"""What is done whoever is there comes in pieces of so long: signs of life, clocks, being looked at."""
_ROUTES: Final = "accept"
"""The stage of a set-up in which the event loop decides."""
_RECORD: Final = (SYNC, 0)
"""The audit's: nobody is joined before it is written. How long a disk takes is in what set-ups took."""


@dataclass(frozen=True)
class Part:
    """A part of a plan, in nanoseconds from its beginning; no longer than a course."""

    begin: int
    end: int

    def holds(self, moments: Times) -> NDArray[np.bool_]:
        """Of each moment, whether it is within."""
        return (self.begin <= moments) & (moments < self.end)


@dataclass(frozen=True)
class Jobs:
    """Jobs of one form: when each begins, the kinds of its steps, how long each of its steps takes."""

    at: Times
    kinds: tuple[int, ...]
    takes: Times

    @classmethod
    def alike(cls, at: Times, *steps: tuple[int, int]) -> "Jobs":
        """All with the same steps (kind, time)."""
        kinds, takes = zip(*steps, strict=True)
        return cls(at, kinds, np.tile(np.array(takes, np.int64), (len(at), 1)))

    def waiting(self, whole: Times) -> "Jobs":
        """With what is waited for elsewhere: `whole` is how long each takes where it never queues."""
        rest = np.maximum(whole - self.takes.sum(axis=1), 0)
        return Jobs(self.at, (*self.kinds, WAIT), np.column_stack([self.takes, rest]))


@dataclass(frozen=True)
class Played:
    """How long set-ups took, and messages with their answer; how long processors were busy, nanoseconds."""

    set_ups: Times
    delays: Times
    busy_ns: int


def play(
    crowd: Crowd,
    agents: int,
    part: Part,
    costs: Costs,
    courses: Sequence[Course],
    *,
    seed: int,
    besides: Sequence[Jobs] = (),
) -> Played:
    """Play what of these visits falls into a part of the plan, messages and all.

    `courses`: of the screens, by their numbers. `besides`: what the node has to do as well.
    """
    chance = np.random.default_rng([seed, part.begin])
    set_ups, behind = _set_ups(crowd.begins[part.holds(crowd.begins)], costs, chance)
    asks, others = _messages(crowd, part, costs, courses, seed, chance)
    ends = Jobs.alike(crowd.ends[part.holds(crowd.ends)], *work(costs, "end"), _RECORD)
    upkeep = _upkeep(agents, part, costs, chance)
    over, busy_ns = _run([set_ups, asks, behind, others, ends, *upkeep, *besides], costs.processors)
    return Played(over[0] - set_ups.at, over[1] - asks.at, busy_ns)


def work(costs: Costs, kind: str) -> list[tuple[int, int]]:
    """The steps of something of this kind: as many turns as a set-up has stages, then the event loop's.

    Endpoints' work only where they take turns at the same processors.
    """
    beside, loop = _shares(costs, kind)
    return [*_turns(beside, len(costs.stages)), (LOOP, loop)]


def quantile_ms(times: Times, share: float) -> float:
    """In milliseconds; 0 where nothing was counted."""
    return float(np.quantile(times, share)) / _MS_NS if len(times) else 0.0


# ---------------------------------------------------------------- jobs


def _set_ups(begins: Times, costs: Costs, chance: np.random.Generator) -> tuple[Jobs, Jobs]:
    """What people wait for, stage by stage; what is done behind it, as the agent's next connection."""
    (node, ends), loop = _shares(costs, "set_up")
    fastest = sum(costs.stages.values()) * S_NS
    # Of the work beside the event loop, what the fastest waited for.
    share = min(1.0, max(0.0, fastest - loop) / max(1.0, node + ends))
    steps: list[tuple[int, int]] = []
    for name, stage_s in costs.stages.items():
        if name == _ROUTES:
            steps += (LOOP, loop), _RECORD
        part = share * stage_s * S_NS / fastest
        steps += _turns((part * node, part * ends), 1)
    took = _drawn(costs.set_up, chance, len(begins))
    rest = _turns(((1 - share) * node, (1 - share) * ends), len(costs.stages))
    return Jobs.alike(begins, *steps).waiting(took), Jobs.alike(begins + took, *rest)


def _shares(costs: Costs, kind: str) -> tuple[tuple[float, float], int]:
    """What one of this kind takes: of the node beside its event loop, of endpoints; of the event loop."""
    whole, loop, ends = (getattr(prices, kind) for prices in (costs.node, costs.loop, costs.ends))
    return (max(0.0, whole - loop) * S_NS, ends * S_NS if costs.shared else 0.0), round(loop * S_NS)


def _turns(beside: tuple[float, float], count: int) -> list[tuple[int, int]]:
    """So many turns of the node and of the endpoints. Each is served whole; others come between them."""
    node, ends = (round(time / count) for time in beside)
    return count * ([(ENDS, ends), (WORK, node)] if ends else [(WORK, node)])


def _messages(
    crowd: Crowd, part: Part, costs: Costs, courses: Sequence[Course], seed: int, chance: np.random.Generator
) -> tuple[Jobs, Jobs]:
    """Messages that ask for an answer, and the others. Each visit is met in a course of its own."""
    phases = np.random.default_rng(seed).integers(LENGTH_NS, size=len(crowd))
    asks, others = [], []
    for number, course in enumerate(courses):
        which = (crowd.screens == number) & (crowd.begins < part.end) & (crowd.ends > part.begin)
        begins, ends = crowd.begins[which], crowd.ends[which]
        first, last = np.maximum(begins, part.begin), np.minimum(ends, part.end)
        within, is_ask, whose = course.between((phases[which] + first - begins) % LENGTH_NS, last - first)
        at = first[whose] + within
        if costs.shared:
            # Many people's own computers have no timer in common.
            at = -(-at // _TICK_NS) * _TICK_NS
        asks.append(at[is_ask])
        others.append(at[~is_ask])
    asked = np.concatenate(asks)
    there = _way(costs)
    back = there
    both = Jobs.alike(asked, *there, *back).waiting(_drawn(costs.delay, chance, len(asked)))
    return both, Jobs.alike(np.concatenate(others), *there)


def _way(costs: Costs) -> list[tuple[int, int]]:
    """The steps of one message: one end, node, other end; the ends where they share the processors."""
    node, ends = (round(prices.session / costs.message_rate * S_NS) for prices in (costs.node, costs.ends))
    if not costs.shared:
        return [(WORK, node)]
    return [(ENDS, ends // 2), (WORK, node), (ENDS, ends // 2)]


def _upkeep(agents: int, part: Part, costs: Costs, chance: np.random.Generator) -> Iterator[Jobs]:
    """What is to be done whoever is there, and for agents that wait."""
    base, agent = (_shares(costs, kind) for kind in ("base", "agent"))
    each_second = np.array([*base[0], base[1]]) + agents * np.array([*agent[0], agent[1]])
    for kind, time in zip((WORK, ENDS, LOOP), each_second, strict=True):
        pieces = int(time * (part.end - part.begin) / S_NS / _UPKEEP_NS)
        yield Jobs.alike(chance.integers(part.begin, part.end, size=pieces), (kind, _UPKEEP_NS))


def _run(groups: Sequence[Jobs], processors: int) -> tuple[list[Times], int]:
    """When the jobs of each group were over, and how long processors were busy."""
    at = np.concatenate([group.at for group in groups])
    lengths = np.repeat([len(group.kinds) for group in groups], [len(group.at) for group in groups])
    order = at.argsort(kind="stable")
    first = np.concatenate([[0], lengths[order].cumsum()])
    # Where each job's steps begin among all, in the order in which the groups name their jobs.
    begins = np.empty(len(at), np.int64)
    begins[order] = first[:-1]
    kinds, takes = (np.empty(first[-1], np.int64) for _ in range(2))
    last, done = [], 0
    for group in groups:
        places = begins[done : done + len(group.at), None] + np.arange(len(group.kinds))
        done += len(group.at)
        kinds[places] = group.kinds
        takes[places] = group.takes
        last.append(places[:, -1])
    node = Node(processors, at[order], first, kinds, takes, round(GATHER_S * S_NS), usual_threads(processors))
    busy = node.run()
    ends = np.asarray(node.ends)
    return [ends[place] for place in last], busy


def _drawn(rows: Rows, chance: np.random.Generator, count: int) -> Times:
    """Values of a histogram by chance, in nanoseconds."""
    values, counts = np.array(rows, np.int64).reshape(-1, 2).T
    return chance.choice(values, count, p=counts / counts.sum()) * _US_NS
