"""From what nodes needed to how many are needed. Pure.

A session has three sockets at its node: its client's, its agent's, and the connection on which the agent
waits meanwhile. Whoever has no session still has an agent that waits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from telerelay_loadtest.play.observing import Second
from telerelay_loadtest.scenario.file import Node

STAFF: Final = (300, 1_000, 3_000, 10_000, 100_000, 500_000)
SOCKETS: Final = 3
"""Of a session."""
_BUSY_S: Final = 10
_GIB: Final = 2**30
MEMORY_SHARE: Final = 0.75
"""Of its machine's memory a node takes as its budget (`telerelay.node.memory`)."""


@dataclass(frozen=True)
class Busiest:
    """The ten seconds in which the nodes worked most, set-ups included. `cores`: processors in use."""

    at_s: float
    cores: float
    sessions: int
    set_ups_per_s: float


@dataclass(frozen=True)
class Needed:
    """How many nodes, one of which may be lost, for so many people of whom so many have a session at once."""

    staff: int
    sessions: int
    nodes: int


@dataclass(frozen=True)
class Capacity:
    """`bound`: what runs out first at a node: `processors`, `memory` or `descriptors`."""

    busiest: Busiest
    sessions_per_core: float
    bytes_per_agent: float
    bytes_per_session: float
    """With its waiting agent."""
    sessions_per_gib: float
    staff_per_node: int
    bound: str
    needed: tuple[Needed, ...]


@dataclass(frozen=True)
class Memory:
    """Resident bytes of all nodes: before anybody came, once all agents waited."""

    alone: float
    waited_for: float


def reckon(
    seconds: Sequence[Second], memory: Memory, agents: int, at_once: float, node: Node
) -> Capacity | None:
    """`at_once`: the share of the staff that has a session at the same time.

    None where nothing can be said: no metrics were read, or nobody had a session.
    """
    busiest = _busiest(seconds)
    most = max((second.sessions for second in seconds), default=0)
    peak = max((second.node_rss_bytes or 0.0 for second in seconds), default=0.0)
    if busiest is None or busiest.cores <= 0 or busiest.sessions == 0 or most == 0 or agents == 0:
        return None
    per_core = busiest.sessions / busiest.cores
    per_agent = max(0.0, memory.waited_for - memory.alone) / agents
    per_path = max(0.0, peak - memory.waited_for) / most
    per_person = per_agent + at_once * per_path
    bounds = {
        "processors": per_core * node.processors * node.busy / at_once,
        "memory": _GIB * node.memory_gib * MEMORY_SHARE / max(per_person, 1.0),
        "descriptors": node.descriptors / (1 + (SOCKETS - 1) * at_once),
    }
    bound = min(bounds, key=lambda name: bounds[name])
    staff_per_node = max(1, math.floor(bounds[bound]))
    return Capacity(
        busiest=busiest,
        sessions_per_core=round(per_core, 1),
        bytes_per_agent=round(per_agent),
        bytes_per_session=round(per_agent + per_path),
        sessions_per_gib=round(_GIB / max(per_agent + per_path, 1.0)),
        staff_per_node=staff_per_node,
        bound=bound,
        needed=tuple(
            Needed(staff, math.ceil(staff * at_once), math.ceil(staff / staff_per_node) + 1)
            for staff in STAFF
        ),
    )


def _busiest(seconds: Sequence[Second]) -> Busiest | None:
    """None where processor time was not seen throughout."""
    length = min(_BUSY_S, len(seconds))
    found: Busiest | None = None
    for first in range(len(seconds) - length + 1 if length else 0):
        window = seconds[first : first + length]
        used = [second.node_cpu_s for second in window]
        lasted = window[-1].at_s - (seconds[first - 1].at_s if first else 0.0)
        known = [one for one in used if one is not None]
        if len(known) < len(used) or lasted <= 0:
            continue
        cores = sum(known) / lasted
        if found is None or cores > found.cores:
            set_ups = sum(second.set_ups for second in window) / lasted
            # As the processor time is: over all of the window, at whose end nobody may be left.
            sessions = round(sum(second.sessions for second in window) / length)
            found = Busiest(window[-1].at_s, round(cores, 4), sessions, round(set_ups, 2))
    return found
