"""A run as JSON (schema telerelay.loadtest/1): verdict, goals, proof, and all that charts and forecasts need.

Everything is counted of all organisations and nodes together. Processor time is in seconds, memory in bytes.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from telerelay_endpoint import files, foreign_json
from telerelay_endpoint.console import rfc3339
from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest import __version__
from telerelay_loadtest.play.capacity import Memory, reckon
from telerelay_loadtest.play.generating import STAGES
from telerelay_loadtest.play.histogram import Rows, summary
from telerelay_loadtest.play.observing import Look, SetUp
from telerelay_loadtest.play.playing import Played
from telerelay_loadtest.play.verdict import judge
from telerelay_loadtest.report.machine import Machine
from telerelay_loadtest.scenario.file import Scenario
from telerelay_loadtest.scenario.plan import Plan
from telerelay_loadtest.scenario.words import clock
from telerelay_loadtest.scraping import Watched
from telerelay_loadtest.target import Target

SCHEMA: Final = "telerelay.loadtest/1"
JSON_FILE, PAGE_FILE = "result.json", "report.html"
_READABLE: Final = 0o644
_WINDOWS: Final = 60
"""Into so many windows of the play set-ups are put for the chart of their times."""
_S_MS: Final = 1_000
_S_NS: Final = 1_000_000_000
_KILLED: Final = "killed: it could not write its end"
"""What a result says that was written on the way and never replaced."""


@dataclass(frozen=True)
class Run:
    """What a run was: everything that is known before it begins. `began`: Unix seconds."""

    scenario: Scenario
    plan: Plan
    target: Target
    machine: Machine
    began: int


def result_of(run: Run, played: Played, watched: Sequence[Watched], *, whole: bool) -> dict[str, Any]:
    """The result. `whole`: whether the play went on to its end."""
    seconds, standing = played.observation.seconds, played.last.standing
    plan = run.plan
    planned, processors = len(plan.visits), run.machine.processors
    verdict = judge(run.scenario.goals, standing, seconds, planned, processors, whole=whole)
    return {
        "schema": SCHEMA,
        "program": f"telerelay-loadtest {__version__}",
        "verdict": verdict.word,
        "goals": [asdict(finding) for finding in verdict.goals],
        "proof": [asdict(finding) for finding in verdict.proof],
        "stopped": None if whole else played.stopped or _KILLED,
        "scenario": run.scenario.name,
        "title": run.scenario.head.title,
        "played": {
            "from": clock(plan.begin_ms),
            "length_s": plan.length_ms / _S_MS,
            "speed": plan.speed,
            "seed": run.scenario.head.seed,
        },
        "time": rfc3339(run.began),
        "target": [{"name": node.name, "addresses": list(node.addresses)} for node in run.target.line.nodes],
        "machine": asdict(run.machine),
        "staff": sum(party.agents for party in plan.parties),
        "clients": sum(party.clients for party in plan.parties),
        "planned": planned,
        "planned_at_once": plan.most_live(),
        "begun": standing.begun,
        "sessions_opened": standing.opened,
        "under_way": standing.under_way,
        "sessions_most": max((second.sessions for second in seconds), default=0),
        "models": _shares([visit.screen for visit in plan.visits]),
        "links": _shares([visit.link for visit in plan.visits]),
        "stages": {name: _histogram(standing.histograms[name]) for name in STAGES},
        **{
            name: _histogram(standing.histograms[name])
            for name in ("set_up", "delay", "late", "message_late")
        },
        "errors": _by_code(standing.failed),
        "failures": [
            {"stage": stage, "code": code, "count": count}
            for (stage, code), count in sorted(standing.failed.items())
        ],
        "ended": dict(sorted(standing.ended.items())),
        "unanswered": standing.unanswered,
        "lost_events": standing.lost_events,
        "faults": [{"name": name, "at_s": round(at_s, 3)} for name, at_s in played.happened],
        "alone": _alone(played, watched),
        "before": _before(played.first),
        "seconds": [
            {"planned": planned, **asdict(second)}
            for second, planned in zip(seconds, _planned(plan, len(seconds)), strict=True)
        ],
        "windows": _windows(plan, played.observation.set_ups),
        "unread": [{"url": node.url, "missed": node.missed} for node in watched],
        "capacity": _capacity(run, played, watched),
    }


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write result.json, whole, in the place of an older one. Raises OSError."""
    content = json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    files.replace(folder / JSON_FILE, content.encode(), _READABLE)


def read_result(folder: Path) -> dict[str, Any]:
    """The result that lies in a folder. Raises TelerelayError(USAGE)."""
    path = folder / JSON_FILE
    try:
        result: dict[str, Any] = foreign_json.read(path.read_text(encoding="utf-8"))
        if result["schema"] != SCHEMA:
            raise ValueError(f"its schema is {result['schema']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TelerelayError("USAGE", f"{path} is no result of a run: {error}") from error
    return result


def _histogram(rows: Rows) -> dict[str, Any]:
    return {**summary(rows), "rows": [list(row) for row in rows]}


def _shares(names: Sequence[str]) -> dict[str, float]:
    return {name: round(count / len(names), 4) for name, count in sorted(Counter(names).items())}


def _by_code(failed: Mapping[tuple[str, str], int]) -> dict[str, int]:
    codes: Counter[str] = Counter()
    for (_, code), count in failed.items():
        codes[code] += count
    return dict(sorted(codes.items()))


def _alone(played: Played, watched: Sequence[Watched]) -> dict[str, Any] | None:
    """The nodes before anybody came. None where they were not seen."""
    samples = [node.samples[0] for node in watched if node.samples]
    if not samples or len(samples) < len(watched):
        return None
    return {
        "at_s": round(samples[0].at_s - played.observation.begin_ns / _S_NS, 3),
        "node_cpu_s": sum(sample.cpu_s for sample in samples),
        "node_loop_s": sum(sample.loop_s for sample in samples),
        "node_rss_bytes": sum(sample.memory for sample in samples),
    }


def _before(look: Look) -> dict[str, Any]:
    """How it stood when the first visit could be due, all office PCs being there unless they come with it."""
    return {
        "at_s": round(look.at_s, 3),
        "agents": look.standing.agents,
        "node_cpu_s": look.node_cpu_s,
        "node_loop_s": look.node_loop_s,
        "node_rss_bytes": look.node_rss_bytes,
        "generator_cpu_s": round(look.generator_cpu_s, 6),
    }


def _planned(plan: Plan, seconds: int) -> list[int]:
    """How many visits were to begin in each second."""
    counted = Counter(visit.at_ms // _S_MS for visit in plan.visits)
    return [counted[number] for number in range(seconds)]


def _windows(plan: Plan, set_ups: Sequence[SetUp]) -> list[dict[str, Any]]:
    """Set-ups by the moment that was meant: how many, milliseconds of the whole and of each stage."""
    length_s = max(1.0, plan.length_ms / _S_MS / _WINDOWS)
    windows: dict[int, list[SetUp]] = {}
    for set_up in set_ups:
        windows.setdefault(int(set_up.intended_s / length_s), []).append(set_up)
    return [
        {
            "at_s": round(number * length_s, 3),
            "set_ups": len(own),
            "p50_ms": _at([one.total_us for one in own], 0.50),
            "p99_ms": _at([one.total_us for one in own], 0.99),
            "stages_p99_ms": {
                name: _at([one.stages[place] for one in own], 0.99) for place, name in enumerate(STAGES)
            },
        }
        for number, own in sorted(windows.items())
    ]


def _at(several_us: Sequence[int], share: float) -> float:
    """What a share of them did not exceed, milliseconds."""
    ordered = sorted(several_us)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


def _capacity(run: Run, played: Played, watched: Sequence[Watched]) -> dict[str, Any] | None:
    alone = sum(node.samples[0].memory for node in watched if node.samples)
    staff = sum(party.agents for party in run.plan.parties)
    if played.first.node_rss_bytes is None or not run.plan.visits:
        return None
    reckoned = reckon(
        played.observation.seconds,
        Memory(alone, played.first.node_rss_bytes),
        agents=played.first.standing.agents,
        at_once=run.plan.most_live() / staff,
        node=run.scenario.node,
    )
    return None if reckoned is None else {**asdict(reckoned), "node": _node(run.scenario)}


def _node(scenario: Scenario) -> dict[str, Any]:
    node = scenario.node
    return {name: getattr(node, name) for name in node.__struct_fields__}
