"""The keeper's journal: which key used which invite. It makes an invite good for one machine only."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint import foreign_json
from telerelay_endpoint.durable_lines import DurableLines, open_lines, whole_lines
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind
from telerelay_endpoint.lines import from_base64url, to_base64url


@dataclass(frozen=True)
class Entry:
    """One used invite. `invite`: 16 bytes; `device`: 32; `chain`: DER, leaf first; `time` in Unix seconds."""

    invite: bytes
    device: bytes
    kind: InviteKind
    label: str
    computer: bytes | None
    time: int
    chain: tuple[bytes, ...]


class Journal:
    """An append-only file, one entry a line, each durable before its chain leaves this machine.

    Raises TelerelayError(MACHINE) when the file is damaged or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Mapping[bytes, Entry]:
        """All entries, by invite id."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        return _parse(self._path, whole_lines(content).splitlines())

    @contextmanager
    def opened(self) -> Iterator["OpenJournal"]:
        """The journal for one decision: nobody else, service or person, decides meanwhile."""
        with open_lines(self._path, wait=True) as lines:
            yield OpenJournal(self._path, lines)


class OpenJournal:
    """A journal under its lock."""

    def __init__(self, path: Path, lines: DurableLines) -> None:
        self._file = lines
        self.entries: Mapping[bytes, Entry] = _parse(path, lines.lines)

    def append(self, entry: Entry) -> None:
        """Make an entry durable."""
        self._file.append(_format(entry))


def _format(entry: Entry) -> bytes:
    record: dict[str, Any] = {
        "invite": to_base64url(entry.invite),
        "device": to_base64url(entry.device),
        "kind": entry.kind,
        "label": entry.label,
        "computer": None if entry.computer is None else format_computer_id(entry.computer),
        "time": entry.time,
        "chain": [to_base64url(der) for der in entry.chain],
    }
    return json.dumps(record, ensure_ascii=False).encode()


def _parse(path: Path, lines: Sequence[bytes]) -> Mapping[bytes, Entry]:
    found: dict[bytes, Entry] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = foreign_json.read(line)
            computer = record["computer"]
            entry = Entry(
                invite=from_base64url(record["invite"]),
                device=from_base64url(record["device"]),
                kind=InviteKind(record["kind"]),
                label=record["label"],
                computer=None if computer is None else parse_computer_id(computer),
                time=record["time"],
                chain=tuple(from_base64url(der) for der in record["chain"]),
            )
        except (ValueError, KeyError, TypeError, CoreError) as error:
            # Going on without an entry would let its invite be used twice.
            raise TelerelayError("MACHINE", f"{path} is damaged in line {number}") from error
        found[entry.invite] = entry
    return found
