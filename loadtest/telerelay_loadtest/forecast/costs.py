"""What people cost a node by what runs have measured: each kind of event has its price, and prices add up."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np

from telerelay_endpoint.limits import LIMITS
from telerelay_loadtest.forecast.courses import course
from telerelay_loadtest.forecast.runs import Run
from telerelay_loadtest.models import load_model
from telerelay_loadtest.play.generating import STAGES
from telerelay_loadtest.play.histogram import Rows, total, value_at

GATHER_S: Final = LIMITS["audit_group_ms"] / 1_000
"""From one writing of audit records to the next one, at the least: who finds the disk idle does not wait."""
_WINDOW: Final = 5
"""Seconds looked at together: nodes are read once a second, so that one's work may be told of in the next."""
_FASTEST: Final = 0.1
"""The share of set-ups that hardly waited for anything: what they took is work, and the rest is waiting."""


@dataclass(frozen=True)
class Kinds:
    """A number for each kind of what there is: how often, or what one of it costs.

    `base`: each second; `agent`, `session`: each second of one that is there; `come`: an agent that comes;
    `set_up`: a session that begins; `end`: one that ends.
    """

    base: float = 0.0
    agent: float = 0.0
    come: float = 0.0
    set_up: float = 0.0
    end: float = 0.0
    session: float = 0.0

    def at(self, prices: "Kinds") -> float:
        """What so much costs at these prices."""
        return float(np.dot(astuple(self), astuple(prices)))


@dataclass(frozen=True)
class Costs:
    """`node`: seconds of processor time, of which `loop` is the event loop's own; `ends`: the generator's.

    `memory`: bytes. `set_up`, `delay`: histograms of the run with the least load, where hardly anything
    waited; `stages`: seconds that those of its fastest set-ups took. `message_rate`: messages a second of its
    sessions, both ways. `processors`: of the machine that was measured; `shared`: whether the generator took
    turns at them.
    """

    node: Kinds
    loop: Kinds
    ends: Kinds
    memory: Kinds
    set_up: Rows
    delay: Rows
    stages: Mapping[str, float]
    message_rate: float
    processors: int
    shared: bool


def calibrate(runs: Sequence[Run]) -> Costs:
    """The costs that explain these runs best. Raises ValueError where they are of different machines."""
    least = min(runs, key=lambda run: max(second.sessions for second in run.seconds))
    if any(run.machine != least.machine or run.models.keys() != least.models.keys() for run in runs):
        raise ValueError("runs to calibrate by are of one machine and of the same screens")
    stretches = [stretch for run in runs for stretch in (_coming(run), *_windows(run))]
    return Costs(
        node=_fitted([(stretch.counted, stretch.node_s) for stretch in stretches]),
        loop=_fitted([(stretch.counted, stretch.loop_s) for stretch in stretches]),
        ends=_fitted(
            [(stretch.counted, stretch.ends_s) for stretch in stretches if stretch.ends_s is not None]
        ),
        memory=_fitted([row for run in runs for row in _held(run)]),
        set_up=_fastest(least.set_up.rows, 1 - _gathering(least)),
        delay=least.delay.rows,
        stages={name: (value_at(least.stages[name].rows, _FASTEST) or 0) / 1e6 for name in STAGES},
        message_rate=_message_rate(least.models),
        processors=least.machine.processors,
        shared=least.machine.shared,
    )


def _message_rate(models: Mapping[str, float]) -> float:
    """At the mean of these screens."""
    rates = [share * course(load_model(name), 0).rate for name, share in models.items()]
    return sum(rates) / sum(models.values())


# ---------------------------------------------------------------- what runs say


def _gathering(run: Run) -> float:
    """The share of a run's set-ups whose record found a group just written, and gathered for the next one.

    Records come by chance, one as a session begins and one as it ends. Each group that finds others behind it
    is followed by another: by e^(rate * gather) on the mean, before the disk is idle until somebody comes.
    """
    waited = begun = 0.0
    for counted in (stretch.counted for stretch in _windows(run)):
        during = (counted.set_up + counted.end) / counted.base * GATHER_S
        busy = during * math.exp(during)
        waited += counted.set_up * busy / (1 + busy)
        begun += counted.set_up
    return waited / begun if begun else 0.0


def _fastest(rows: Rows, share: float) -> Rows:
    """This share of them: whoever gathered is, but for few, among the slowest."""
    left, kept = math.ceil(share * total(rows)), []
    for value, count in rows:
        kept.append((value, min(count, left)))
        left -= kept[-1][1]
        if left == 0:
            break
    return kept


@dataclass(frozen=True)
class _Stretch:
    """What happened in a while, and the processor time that went into it; None where it was not seen."""

    counted: Kinds
    node_s: float
    loop_s: float
    ends_s: float | None


def _coming(run: Run) -> _Stretch:
    """From before anybody came until all agents of a run waited."""
    lasted = run.before.at_s - run.alone.at_s
    return _Stretch(
        Kinds(base=lasted, agent=lasted * run.before.agents / 2, come=run.before.agents),
        run.before.node_cpu_s - run.alone.node_cpu_s,
        run.before.node_loop_s - run.alone.node_loop_s,
        None,
    )


def _windows(run: Run) -> Iterator[_Stretch]:
    """Every few seconds of the play."""
    began, most = run.before.at_s, run.before.agents
    for first in range(0, len(run.seconds) - _WINDOW + 1, _WINDOW):
        window = run.seconds[first : first + _WINDOW]
        lasted, began = window[-1].at_s - began, window[-1].at_s
        each = lasted / _WINDOW
        # Whose agent has a session, or is just taking the next connection, has not gone.
        before, most = most, max(most, *(second.agents for second in window))
        yield _Stretch(
            Kinds(
                base=lasted,
                agent=each * sum(second.agents for second in window),
                come=most - before,
                set_up=sum(second.set_ups for second in window),
                end=sum(second.ended for second in window),
                session=each * sum(second.sessions for second in window),
            ),
            sum(second.node_cpu_s for second in window),
            sum(second.node_loop_s for second in window),
            sum(second.generator_cpu_s for second in window),
        )


def _held(run: Run) -> Iterator[tuple[Kinds, float]]:
    """How much memory nodes had, and who was there."""
    for still in (run.alone, run.before):
        yield Kinds(base=1, agent=still.agents), still.node_rss_bytes
    for second in run.seconds:
        there = Kinds(base=1, agent=second.agents, session=second.sessions)
        yield there, second.node_rss_bytes


def _fitted(rows: Sequence[tuple[Kinds, float]]) -> Kinds:
    """Least squares, none below zero: whatever would be is left out, the least first."""
    given = np.array([astuple(counted) for counted, _ in rows], np.float64)
    wanted = np.array([cost for _, cost in rows], np.float64)
    kept = [place for place in range(given.shape[1]) if given[:, place].any()]
    while True:
        found = np.linalg.lstsq(given[:, kept], wanted, rcond=None)[0]
        if (found >= 0).all():
            break
        del kept[int(found.argmin())]
    prices = np.zeros(given.shape[1])
    prices[kept] = found
    return Kinds(*(float(price) for price in prices))
