"""The command `harden`: lists what would change, asks, changes or undoes it, and says what is left to do."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import typer

from telerelay_agent.harden.changing import Step, Undoing, apply, plan_undo, undo
from telerelay_agent.harden.journal import Entry, open_journal
from telerelay_agent.harden.plan import Row, Standing, changes, look
from telerelay_agent.harden.settings import settings_of_this_machine
from telerelay_endpoint.console import Console, local_time, rfc3339
from telerelay_endpoint.doctor.findings import NOT_MET
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.escaping import escape

_SCHEMA: Final = "harden"
_APPLY: Final = "telerelay-agent harden --apply"


class Task(StrEnum):
    """What one run is for."""

    CHECK = "check"
    APPLY = "apply"
    UNDO = "undo"


def harden(console: Console, data: Path, task: Task, *, agreed: bool) -> None:
    """Do the task. `data`: the agent's folder; `agreed`: nobody has to be asked.

    Exits NOT_MET when a setting is not as it should be, or could not be put back. Raises TelerelayError:
    USAGE when it was not agreed to, ADDRESS_IN_USE, MACHINE; OSError.
    """
    match task:
        case Task.CHECK:
            _report(console, task, look(settings_of_this_machine(data)))
        case Task.APPLY:
            _apply(console, data, agreed=agreed)
        case Task.UNDO:
            _undo(console, data, agreed=agreed)


# ---------------------------------------------------------------- check, apply


def _apply(console: Console, data: Path, *, agreed: bool) -> None:
    settings = settings_of_this_machine(data)
    with open_journal(data) as journal:
        planned = changes(rows := look(settings))
        if planned:
            listed = "\n".join(_line(console, row) for row in rows if row.standing is Standing.OPEN)
            console.note(listed, listed)
            question = (f"Change {_count(rows)} settings?", f"{_count(rows)} 件の設定を変更しますか")
            _agree(console, question, agreed=agreed)
        for left in apply(planned, journal, int(time.time())):
            console.warn(
                f"{left.place.address} changed while it was being asked about: it was left alone",
                f"{left.place.address} は確認中に変更されたため、そのままにしました",
            )
        if planned:
            console.note(
                "Programs that are running take it up when they are started anew.",
                "動作中のプログラムには、次回の起動時から適用されます。",
            )
    _report(console, Task.APPLY, look(settings))


def _count(rows: Sequence[Row]) -> int:
    return sum(row.standing is Standing.OPEN for row in rows)


def _report(console: Console, task: Task, rows: Sequence[Row]) -> None:
    met = all(row.is_met for row in rows)
    record = {"task": task, "met": met, "settings": [_record(row) for row in rows]}
    console.data(_SCHEMA, record, "\n".join(_table(console, rows)))
    if not met:
        raise typer.Exit(NOT_MET)


def _table(console: Console, rows: Sequence[Row]) -> Sequence[str]:
    there = [_line(console, row) for row in rows if row.standing is not Standing.ABSENT]
    absent = dict.fromkeys(row.setting.program for row in rows if row.standing is Standing.ABSENT)
    return [
        *there,
        *(
            f"{Standing.ABSENT:<8}{program}: {console.text('not installed', 'インストールされていません')}"
            for program in absent
        ),
    ]


def _line(console: Console, row: Row) -> str:
    """The setting in a line; where it is not met, why it should be, and what to do, each in one more."""
    setting = row.setting
    becomes = "" if row.is_met else f" → {_shown(setting.wanted)}"
    lines = [
        f"{row.standing:<8}{setting.id:<34}{setting.place.address} {setting.key}: {_values(row)}{becomes}",
    ]
    if not row.is_met:
        lines.append(f"{console.text('why', '理由')}: {console.text(*setting.why)}")
    if do := _do(row):
        lines.append(f"{console.text('do', '対処')}: {console.text(*do)}")
    return f"\n{'':<8}".join(escape(line) for line in lines)


def _do(row: Row) -> tuple[str, str] | None:
    address = row.setting.place.address
    match row.standing:
        case Standing.LOCKED if os.geteuid() != 0:
            return (f"sudo {_APPLY}",) * 2
        case Standing.LOCKED:
            return (f"findmnt -T {address}",) * 2
        case Standing.BY_HAND:
            return (
                f"set it in {address} by hand: {row.hindrance}",
                f"{address} を手作業で変更してください: {row.hindrance}",
            )
        case _:
            return None


def _values(row: Row) -> str:
    if row.now is None:
        return "?"
    return ", ".join(_shown(value) for value in row.now) or _shown(None)


def _shown(value: str | None) -> str:
    return "–" if value is None else value or '""'


def _record(row: Row) -> Mapping[str, Any]:
    setting = row.setting
    do = _do(row)
    return {
        "id": setting.id,
        "program": setting.program,
        "place": setting.place.address,
        "key": str(setting.key),
        "standing": row.standing,
        "now": None if row.now is None else list(row.now),
        "wanted": setting.wanted,
        "why": dict(zip(("en", "ja"), setting.why, strict=True)),
        "do": None if do is None else dict(zip(("en", "ja"), do, strict=True)),
    }


# ---------------------------------------------------------------- undo

_UNDONE: Final = {
    Undoing.RESTORE: ("byte for byte as it was", "元の内容どおり"),
    Undoing.DONE: ("as it was before already", "すでに元の設定"),
    Undoing.FOREIGN: (
        "changed since, or out of reach, so it stays: put its settings back by hand, then run this again",
        "その後変更されたか、読み書きできないため、そのままです。手作業で元に戻してから再実行してください",
    ),
}


def _undo(console: Console, data: Path, *, agreed: bool) -> None:
    settings = settings_of_this_machine(data)
    with open_journal(data) as journal:
        steps = plan_undo(journal.entries, settings)
        if any(step.undoing is Undoing.RESTORE for step in steps):
            listed = "\n".join(_step_line(console, step, step.undoing) for step in steps)
            console.note(listed, listed)
            _agree(console, ("Put this back?", "元に戻しますか"), agreed=agreed)
        left = undo(steps, journal)
    came_to = {step: Undoing.FOREIGN if step in left else step.undoing for step in steps}
    record = {
        "task": Task.UNDO,
        "met": not left,
        "places": [_step_record(step, undoing) for step, undoing in came_to.items()],
    }
    nothing = console.text("nothing to undo", "元に戻すものはありません")
    told = [_step_line(console, step, undoing) for step, undoing in came_to.items()]
    console.data(_SCHEMA, record, "\n".join(told) or nothing)
    if left:
        raise typer.Exit(NOT_MET)


def _step_line(console: Console, step: Step, undoing: Undoing) -> str:
    entry = step.entry
    line = f"{undoing:<8}{entry.address} ({local_time(entry.time)}) {console.text(*_UNDONE[undoing])}"
    if undoing is Undoing.FOREIGN:
        line += f": {', '.join(entry.settings)}"
    return escape(line)


def _step_record(step: Step, undoing: Undoing) -> Mapping[str, Any]:
    entry: Entry = step.entry
    return {
        "place": entry.address,
        "settings": list(entry.settings),
        "time": rfc3339(entry.time),
        "came_to": undoing,
    }


# ---------------------------------------------------------------- consent


def _agree(console: Console, question: tuple[str, str], *, agreed: bool) -> None:
    """Ask, unless it was agreed beforehand. Raises TelerelayError(USAGE)."""
    if agreed:
        return
    # Where nobody sits, nobody was asked.
    if not sys.stdin.isatty():
        raise TelerelayError("USAGE", "nothing was changed: nobody to ask; --yes agrees to what is listed")
    if not typer.confirm(console.text(*question), default=False, err=True):
        raise TelerelayError("USAGE", "nothing was changed: it was not agreed to")
