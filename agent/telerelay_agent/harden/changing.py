"""Changing this machine and putting it back: each step is in the journal before it is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from telerelay_agent.harden.editors import ByHandError
from telerelay_agent.harden.journal import Entry, Journal
from telerelay_agent.harden.places import FilePlace, Place
from telerelay_agent.harden.plan import Change
from telerelay_agent.harden.registry import RegistryPlace, windows_registry
from telerelay_agent.harden.settings import Setting


def apply(changes: Sequence[Change], journal: Journal, time: int) -> Sequence[Change]:
    """Make the changes; the result are those left alone, because the place changed since it was read.

    `time` in Unix seconds. Raises OSError; what was done by then is in the journal.
    """
    return [change for change in changes if not _apply(change, journal, time)]


def _apply(change: Change, journal: Journal, time: int) -> bool:
    try:
        if change.place.read() != change.before:
            return False
    except ByHandError:
        return False
    journal.append(
        Entry(change.place.kind, change.place.address, change.settings, change.before, change.after, time)
    )
    change.place.write(change.after)
    return True


class Undoing(StrEnum):
    """What becomes of an entry."""

    RESTORE = "restore"
    """The place is as it was left: it gets back what stood there, byte for byte."""
    DONE = "done"
    """The settings are as before already: the change was never made, or somebody took it back."""
    FOREIGN = "foreign"
    """Somebody changed the place since, whose work would be lost, or it cannot be read: it stays."""


@dataclass(frozen=True)
class Step:
    """One entry of the journal and what becomes of it."""

    number: int
    entry: Entry
    place: Place
    undoing: Undoing


def plan_undo(entries: Mapping[int, Entry], settings: Sequence[Setting]) -> Sequence[Step]:
    """What undoing all entries comes to, newest first."""
    by_id = {setting.id: setting for setting in settings}
    stands: dict[Place, bytes | None] = {}
    steps = []
    for number, entry in sorted(entries.items(), reverse=True):
        place = _place(entry)
        try:
            now = stands[place] if place in stands else place.read()
            undoing = _undoing(entry, now, by_id)
        except (OSError, ByHandError):
            # As nobody left it; the others are undone all the same.
            undoing = Undoing.FOREIGN
        else:
            stands[place] = entry.before if undoing is Undoing.RESTORE else now
        steps.append(Step(number, entry, place, undoing))
    return steps


def undo(steps: Sequence[Step], journal: Journal) -> Sequence[Step]:
    """Take the steps; the result are those whose place stays as it is.

    Raises OSError where the journal cannot be written.
    """
    return [step for step in steps if not _undo(step, journal)]


def _undo(step: Step, journal: Journal) -> bool:
    try:
        is_undone = _put_back(step)
    except (OSError, ByHandError):
        return False
    if is_undone:
        journal.strike(step.number)
    return is_undone


def _put_back(step: Step) -> bool:
    step.place.tidy()
    match step.undoing:
        case Undoing.RESTORE:
            if step.place.read() != step.entry.after:
                return False
            step.place.write(step.entry.before)
        case Undoing.FOREIGN:
            return False
        case Undoing.DONE:
            pass
    return True


def _undoing(entry: Entry, now: bytes | None, by_id: Mapping[str, Setting]) -> Undoing:
    """Raises ByHandError."""
    if now == entry.after:
        return Undoing.RESTORE
    if now == entry.before or _is_as_before(entry, now, by_id):
        return Undoing.DONE
    return Undoing.FOREIGN


def _is_as_before(entry: Entry, now: bytes | None, by_id: Mapping[str, Setting]) -> bool:
    """Whether each setting has the values again that it had before. A setting that is not known has not."""
    known = [by_id[one] for one in entry.settings if one in by_id]
    return len(known) == len(entry.settings) and all(
        setting.values(now) == setting.values(entry.before) for setting in known
    )


def _place(entry: Entry) -> Place:
    if entry.kind == RegistryPlace.kind:
        return RegistryPlace(entry.address, windows_registry())
    return FilePlace(Path(entry.address))
