"""Many people on many nodes, one of which is lost: what the busiest of the others comes to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from telerelay_endpoint.limits import LIMITS
from telerelay_loadtest.forecast.costs import Costs, Kinds
from telerelay_loadtest.forecast.courses import Course
from telerelay_loadtest.forecast.crowd import Crowd
from telerelay_loadtest.forecast.playing import S_NS, Jobs, Part, play, quantile_ms, work
from telerelay_loadtest.play.capacity import MEMORY_SHARE, SOCKETS
from telerelay_loadtest.scenario.file import Goals, Node

_RETURN_WINDOW_NS: Final = LIMITS["return_window_cap_s"] * S_NS
"""Over which those who lost their node come to another one."""
_BEFORE_S: Final = 5
"""So long before the busiest second a node is played, so that its queues are as they would be."""
_BEHIND_S: Final = 10
_MIB: Final = 2**20


@dataclass(frozen=True)
class Share:
    """What one node of many has to do: visits, and the agents that wait at it."""

    crowd: Crowd
    agents: int


@dataclass(frozen=True)
class Outlook:
    """What the busiest node comes to in its busiest seconds. `descriptors`: at least."""

    agents: int
    most_sessions: int
    processors_used: float
    set_up_p99_ms: float
    delay_p99_ms: float
    memory_mib: float
    descriptors: int

    def beyond(self, goals: Goals, node: Node) -> list[str]:
        """Which of these figures are more than they may be."""
        bounds = {
            "processors_used": node.busy * node.processors,
            "set_up_p99_ms": goals.set_up_p99.ms,
            "delay_p99_ms": goals.delay_p99.ms,
            "memory_mib": 1024 * node.memory_gib * MEMORY_SHARE,
            "descriptors": node.descriptors,
        }
        return [name for name, bound in bounds.items() if getattr(self, name) > bound]


def busiest_share(crowd: Crowd, agents: int, nodes: int, seed: int) -> Share:
    """Of the nodes that agents chose by chance the one with the most visits.

    A session is joined where its agent waits, so that people are spread as agents are.
    """
    chosen = np.random.default_rng(seed).integers(nodes, size=agents)
    visited = chosen[crowd.people]
    most = np.bincount(visited, minlength=nodes).argmax()
    return Share(crowd.of(visited == most), int((chosen == most).sum()))


def work_by_second(crowd: Crowd, seconds: int, costs: Costs) -> NDArray[np.float64]:
    """Seconds of processor time that set-ups, sessions and their ends need, in each second of a plan."""
    prices = costs.node
    needed: NDArray[np.float64] = (
        crowd.set_ups(seconds) * prices.set_up
        + crowd.live(seconds) * prices.session
        + crowd.ended(seconds) * prices.end
    )
    return needed


def outlook(
    share: Share,
    seconds: int,
    nodes: int,
    costs: Costs,
    courses: Sequence[Course],
    *,
    seed: int,
    one_lost: bool,
) -> Outlook:
    """Play the busiest part of a node's morning; `one_lost`: another node is gone from its busiest second on.

    Then its share of that node's agents comes within the return window, and of the people who had a session.
    """
    busiest = int(work_by_second(share.crowd, seconds, costs).argmax())
    part = Part(max(0, busiest - _BEFORE_S) * S_NS, (busiest + _BEHIND_S) * S_NS)
    crowd, agents, besides = share.crowd, share.agents, list[Jobs]()
    if one_lost:
        chance = np.random.default_rng(seed)
        newcomers = math.ceil(share.agents / (nodes - 1))
        crowd = crowd.with_(_cut_off(crowd, busiest * S_NS, nodes, chance))
        agents += newcomers
        at = busiest * S_NS + chance.integers(_RETURN_WINDOW_NS, size=newcomers)
        besides.append(Jobs.alike(at[part.holds(at)], *work(costs, "come")))
    played = play(crowd, agents, part, costs, courses, seed=seed, besides=besides)
    most = int(crowd.live(seconds).max())
    return Outlook(
        agents=agents,
        most_sessions=most,
        processors_used=played.busy_ns / (part.end - part.begin),
        set_up_p99_ms=quantile_ms(played.set_ups, 0.99),
        delay_p99_ms=quantile_ms(played.delays, 0.99),
        memory_mib=Kinds(base=1, agent=agents, session=most).at(costs.memory) / _MIB,
        descriptors=agents + (SOCKETS - 1) * most,
    )


def least_nodes(is_enough: Callable[[int], bool], at_least: int, at_most: int) -> int:
    """The least number of nodes between these that is enough; more are as well.

    Raises ValueError where `at_most` are not enough.
    """
    least, most = at_least - 1, at_least
    while not is_enough(most):
        if most >= at_most:
            raise ValueError(f"{most} nodes are not enough")
        least, most = most, min(2 * most, at_most)
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if is_enough(middle) else (middle, most)
    return most


def _cut_off(crowd: Crowd, at: int, nodes: int, chance: np.random.Generator) -> Crowd:
    """Who had a session at the node that was lost, which was like this one, and comes to this one."""
    live = np.flatnonzero((crowd.begins <= at) & (crowd.ends > at))
    come = crowd.of(chance.choice(live, math.ceil(len(live) / (nodes - 1)), replace=False))
    begins = at + chance.integers(_RETURN_WINDOW_NS, size=len(come))
    return Crowd(begins, np.maximum(come.ends, begins + 1), come.people, come.screens)
