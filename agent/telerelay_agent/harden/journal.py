"""The journal of what `harden` changed: durable before each change, so that no crash leaves one that stays.

One line an entry, appended; an entry that was undone is struck out by a line of its own. What a crash cut off
at the end was never acted upon.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from telerelay_endpoint import foreign_json
from telerelay_endpoint.durable_lines import DurableLines, open_lines
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import from_base64url, to_base64url

JOURNAL_FILE: Final = "harden.journal"


@dataclass(frozen=True)
class Entry:
    """One place that changes. `settings`: IDs; `before` None: nothing stood there; `time`: Unix seconds."""

    kind: str
    address: str
    settings: Sequence[str]
    before: bytes | None
    after: bytes
    time: int


@contextmanager
def open_journal(folder: Path) -> Iterator["Journal"]:
    """The journal in the agent's folder, which is made if need be; nobody else changes anything meanwhile.

    Raises TelerelayError: ADDRESS_IN_USE while another run has it, MACHINE when it is damaged; OSError.
    """
    path = folder / JOURNAL_FILE
    with ExitStack() as stack:
        try:
            lines = stack.enter_context(open_lines(path, wait=False))
        except BlockingIOError:
            raise TelerelayError("ADDRESS_IN_USE", f"another harden is at work with {path}") from None
        yield Journal(path, lines)


class Journal:
    """A journal under its lock."""

    def __init__(self, path: Path, lines: DurableLines) -> None:
        self._file = lines
        self._lines = 0
        self._entries: dict[int, Entry] = {}
        for line in lines.lines:
            try:
                self._take(foreign_json.read(line))
            except (ValueError, KeyError, TypeError) as error:
                # Going on would forget what stood there before.
                raise TelerelayError("MACHINE", f"{path} is damaged in line {self._lines + 1}") from error
        self._forget_what_is_undone()

    @property
    def entries(self) -> Mapping[int, Entry]:
        """What is changed and not undone, by number, oldest first."""
        return self._entries

    def append(self, entry: Entry) -> None:
        """Make durable what is about to be done. Raises OSError."""
        record = {
            "kind": entry.kind,
            "address": entry.address,
            "settings": list(entry.settings),
            "before": None if entry.before is None else to_base64url(entry.before),
            "after": to_base64url(entry.after),
            "time": entry.time,
        }
        self._write(record)

    def strike(self, number: int) -> None:
        """Make durable that the entry is undone; behind the last one nothing is left. Raises OSError."""
        self._write({"undone": number})
        self._forget_what_is_undone()

    def _forget_what_is_undone(self) -> None:
        # Only once nothing is left: entries are known by their number.
        if self._lines and not self._entries:
            self._file.clear()
            self._lines = 0

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.append(json.dumps(record).encode())
        self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        if "undone" in record:
            del self._entries[record["undone"]]
        else:
            before = record["before"]
            self._entries[self._lines] = Entry(
                kind=record["kind"],
                address=record["address"],
                settings=tuple(record["settings"]),
                before=None if before is None else from_base64url(before),
                after=from_base64url(record["after"]),
                time=record["time"],
            )
        self._lines += 1
