"""Forecasts as the command tells them: a run beside its forecast, and many people on many nodes."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from telerelay_endpoint.console import Console, columns
from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.forecast.cluster import Outlook, busiest_share, least_nodes, outlook, work_by_second
from telerelay_loadtest.forecast.costs import Costs, Kinds, calibrate
from telerelay_loadtest.forecast.courses import Course, course
from telerelay_loadtest.forecast.crowd import Crowd, decided
from telerelay_loadtest.forecast.playing import S_NS, Part, play, quantile_ms
from telerelay_loadtest.forecast.runs import Figures, measured, read_run
from telerelay_loadtest.models.form import read_model
from telerelay_loadtest.scenario.file import Scenario
from telerelay_loadtest.scenario.plan import Plan
from telerelay_loadtest.screens import screens_of

_MINUTE_NS: Final = 60 * S_NS
_MIB: Final = 2**20
_LEAST: Final = 2
"""Nodes: one may be lost."""
_WORDS: Final = {
    "set_up_p50_ms": ("set-up p50, ms", "接続時間 p50, ms"),
    "set_up_p99_ms": ("set-up p99, ms", "接続時間 p99, ms"),
    "delay_p50_ms": ("message delay p50, ms", "応答時間 p50, ms"),
    "delay_p99_ms": ("message delay p99, ms", "応答時間 p99, ms"),
    "cpu_s": ("processor time, s", "CPU時間, s"),
    "memory_mib": ("memory, MiB", "メモリ, MiB"),
    "most_sessions": ("most sessions", "最大接続数"),
    "agents": ("office PCs", "職場PC"),
    "processors_used": ("processors in use", "使用CPU数"),
    "descriptors": ("descriptors", "ファイル記述子"),
}


@dataclass(frozen=True)
class Asked:
    """What is to be forecast. `by`: results of runs to calibrate by."""

    scenario: Scenario
    plan: Plan
    by: Sequence[Path]
    seed: int

    @property
    def agents(self) -> int:
        """All that wait."""
        return sum(party.agents for party in self.plan.parties)

    @property
    def seconds(self) -> int:
        """How long the plan is."""
        return math.ceil(self.plan.length_ms / 1000)


def compare(to: Console, asked: Asked, against: Path) -> None:
    """Tell what one node comes to, beside the run of the same plan. Raises TelerelayError(USAGE)."""
    costs, (crowd, courses) = _costs(asked.by), _crowd(to, asked)
    expected = asdict(_figures(to, asked, crowd, courses, costs))
    seen = asdict(measured(read_run(against)))
    off = {name: expected[name] / seen[name] - 1 if seen[name] else None for name in expected}
    header = ("", to.text("forecast", "予測"), to.text("measured", "実測"), to.text("off by", "差"))
    rows = [
        (to.text(*_WORDS[name]), _number(expected[name]), _number(seen[name]), _percent(off[name]))
        for name in (field.name for field in fields(Figures))
    ]
    record = {"forecast": expected, "measured": seen, "off": off, "costs": _record(costs)}
    to.data("forecast-compared", record, columns(header, rows))


def look_ahead(to: Console, asked: Asked, nodes: int | None) -> None:
    """Tell what the busiest of many nodes comes to, whole and with one lost. Raises TelerelayError(USAGE)."""
    node, goals = asked.scenario.node, asked.scenario.goals
    # A generator took turns at the processors that were measured; nobody does at these.
    costs = replace(_costs(asked.by), processors=node.processors, shared=False)
    crowd, courses = _crowd(to, asked)

    @cache
    def of(count: int, *, one_lost: bool) -> Outlook:
        to.progress(f"playing the busiest of {count} nodes", f"ノード {count} 台のうち最も忙しい1台を計算中")
        share = busiest_share(crowd, asked.agents, count, asked.seed)
        return outlook(share, asked.seconds, count, costs, courses, seed=asked.seed, one_lost=one_lost)

    def is_enough(count: int) -> bool:
        return not of(count, one_lost=True).beyond(goals, node)

    if nodes is None:
        busiest = work_by_second(crowd, asked.seconds, costs).max()
        at_least = max(_LEAST, math.ceil(busiest / (node.busy * node.processors)))
        most = max(at_least, asked.agents)
        try:
            nodes = least_nodes(is_enough, at_least, most)
        except ValueError:
            what = _listed(to, of(most, one_lost=True).beyond(goals, node))
            raise TelerelayError("USAGE", f"no number of nodes is enough: each lacks {what}") from None
    whole, lost = of(nodes, one_lost=False), of(nodes, one_lost=True) if nodes > 1 else None
    header = (
        to.text(f"busiest of {nodes} nodes", f"最も忙しいノード (全 {nodes} 台)"),
        to.text("all there", "全台稼働"),
        to.text("one lost", "1台停止"),
    )
    rows = [
        (to.text(*_WORDS[name]), _number(getattr(whole, name)), _number(getattr(lost, name, None)))
        for name in (field.name for field in fields(Outlook))
    ]
    lacks = (lost or whole).beyond(goals, node)
    fewer = of(nodes - 1, one_lost=True).beyond(goals, node) if nodes > _LEAST else []
    record = {
        "agents": asked.agents,
        "visits": len(crowd),
        "nodes": nodes,
        "all_there": asdict(whole),
        "one_lost": None if lost is None else asdict(lost),
        "lacks": lacks,
        "one_fewer_lacks": fewer,
        "costs": _record(costs),
    }
    text = [columns(header, rows)]
    if lacks:
        text.append(to.text("these are not enough: ", "不足: ") + _listed(to, lacks))
    if fewer:
        text.append(to.text("one node fewer lacks: ", "1台少ない場合の不足: ") + _listed(to, fewer))
    to.data("forecast", record, "\n".join(text))


# ---------------------------------------------------------------- what is played


def _costs(by: Sequence[Path]) -> Costs:
    try:
        return calibrate([read_run(path) for path in by])
    except ValueError as error:
        raise TelerelayError("USAGE", str(error)) from None


def _crowd(to: Console, asked: Asked) -> tuple[Crowd, list[Course]]:
    """Who comes, and when sessions speak, by the numbers of their screens."""
    count = len(asked.plan.visits)
    to.progress(f"deciding on {count:,} visits", f"{count:,} 件の接続を判定中")
    screens = screens_of(asked.scenario)
    courses = [course(read_model(text.encode()), asked.seed) for text in screens.values()]
    return decided(asked.plan, list(screens)), courses


def _figures(to: Console, asked: Asked, crowd: Crowd, courses: Sequence[Course], costs: Costs) -> Figures:
    """What one node comes to over the whole plan, played minute by minute."""
    length = asked.seconds * S_NS
    played = []
    for begin in range(0, length, _MINUTE_NS):
        to.progress(f"playing minute {begin // _MINUTE_NS + 1}", f"{begin // _MINUTE_NS + 1} 分目を計算中")
        part = Part(begin, min(begin + _MINUTE_NS, length))
        played.append(play(crowd, asked.agents, part, costs, courses, seed=asked.seed))
    set_ups = np.concatenate([one.set_ups for one in played])
    delays = np.concatenate([one.delays for one in played])
    most = int(crowd.live(asked.seconds).max())
    ends = np.minimum(crowd.ends, length)
    counted = Kinds(
        base=asked.seconds,
        agent=asked.agents * asked.seconds,
        set_up=len(crowd),
        end=len(crowd),
        session=float((ends - crowd.begins).sum()) / S_NS,
    )
    return Figures(
        set_up_p50_ms=quantile_ms(set_ups, 0.5),
        set_up_p99_ms=quantile_ms(set_ups, 0.99),
        delay_p50_ms=quantile_ms(delays, 0.5),
        delay_p99_ms=quantile_ms(delays, 0.99),
        cpu_s=counted.at(costs.node),
        memory_mib=Kinds(base=1, agent=asked.agents, session=most).at(costs.memory) / _MIB,
        most_sessions=most,
    )


# ---------------------------------------------------------------- how it is written


def _record(costs: Costs) -> dict[str, object]:
    """What machines are told of the costs: not the histograms, which stand in the results."""
    return {name: value for name, value in asdict(costs).items() if name not in ("set_up", "delay")}


def _listed(to: Console, names: Sequence[str]) -> str:
    return ", ".join(to.text(*_WORDS[name]) for name in names)


def _number(value: float | None) -> str:
    """Whole numbers as they are."""
    return "" if value is None else f"{value:,}" if type(value) is int else f"{value:,.2f}"


def _percent(off: float | None) -> str:
    return "" if off is None else f"{100 * off:+.1f} %"
