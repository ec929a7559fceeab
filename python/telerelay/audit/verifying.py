"""Finds what was done to records: altered, removed, inserted, moved, cut off, signed by somebody else.

It reads the lines of `proof` one by one, holds none of them, and believes nothing but the cluster's CA.
Each break names the records between which the truth was lost (docs/AUDIT.md §4).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cryptography import x509

from telerelay.audit.chain import LINK_SIZE, Head, fingerprint
from telerelay.audit.checkpoints import CHECKPOINT_ROWS, CheckpointRefusedError, verify_checkpoint
from telerelay.audit.proof import SCHEMA, read_head
from telerelay.audit.records import CHECKPOINT, EXPORT
from telerelay.audit.spool import GROUP_ROWS
from telerelay.audit.spool_files import Line, parse
from telerelay_endpoint import foreign_json
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import from_base64url

BREAKS_MAXIMUM: Final = LIMITS["audit_breaks"]


class BreakKind(StrEnum):
    """What was done."""

    ALTERED = "altered"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REWRITTEN = "rewritten"
    """The chain is whole, and not the one that the node signed."""
    UNSIGNED = "unsigned"
    """More records than a node leaves without a checkpoint."""
    FORGED = "forged"
    """A checkpoint that no node of the cluster signed for this place."""
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Break:
    """What was done to the records `first` to `last` of `node`."""

    kind: BreakKind
    node: str
    first: int
    last: int
    detail: str = ""


@dataclass(slots=True)
class Verdict:
    """What was found. `heads`: where each node's chain stands at the end; times are those of records.

    `scope`: what an export says that it holds, its own record says so too; empty for everything of a node.
    """

    scope: Mapping[str, Any]
    records: int = 0
    foreign: int = 0
    checkpoints: int = 0
    begin: str = ""
    end: str = ""
    heads: dict[str, Head] = field(default_factory=dict)
    breaks: list[Break] = field(default_factory=list)


def verify(lines: Iterable[bytes], ca: x509.Certificate, known: Head | None = None) -> Verdict:
    """Check an export, or everything that a node has. `known`: a head that somebody kept from before.

    Raises TelerelayError(USAGE) when it does not begin as an export does.
    """
    numbered = iter(lines)
    scope = _header(next(numbered, b""))
    reading = _Reading(ca, known, scope)
    for line in numbered:
        reading.take(line.removesuffix(b"\n"))
    reading.finish()
    return reading.verdict


def _header(line: bytes) -> Mapping[str, Any]:
    try:
        scope = foreign_json.read(line)
    except ValueError:
        scope = None
    if not isinstance(scope, dict) or scope.pop("schema", None) != SCHEMA:
        raise TelerelayError("USAGE", f"this is no export of audit records: it does not begin with {SCHEMA}")
    return scope


class _Reading:
    """One file or stream: its segments, and at the end what it promised."""

    def __init__(self, ca: x509.Certificate, known: Head | None, scope: Mapping[str, Any]) -> None:
        self.verdict = Verdict(scope)
        self._ca = ca
        self._known = known
        self._scope = scope
        self._segment: _Segment | None = None
        self._ended = False
        self._own: Mapping[str, Any] | None = None
        self._shown = 0

    def take(self, line: bytes) -> None:
        """One line behind the header."""
        value = _object(line)
        try:
            if "segment" in value:
                self._begin(read_head(value["segment"]))
            elif "end" in value:
                self._ended = self._within().ends(read_head(value["end"]))
            elif "fingerprint" in value:
                self._within().foreign(_exactly(bytes.fromhex(value["fingerprint"])))
                self.verdict.foreign += 1
            else:
                record = parse(line, "the line")
                self._within().record(record)
                self._count(record)
        except (ValueError, KeyError, TypeError, TelerelayError):
            self._within().unreadable(fingerprint(line))

    def finish(self) -> None:
        """Nothing follows."""
        segment = self._segment
        self._close()
        if "organisation" in self._scope:
            self._compare_with_its_own_record(segment)
        elif not self._ended:
            self._cut_off(segment, "the node's last word is not there")
        if self._known is not None:
            self._compare_with_known(self._known)

    def _begin(self, head: Head) -> "_Segment":
        self._close()
        self._segment = _Segment(head, self._ca, self._known, self._found)
        return self._segment

    def _within(self) -> "_Segment":
        # What stands before the first segment belongs to nothing.
        return self._segment or self._begin(Head.of_nothing(""))

    def _close(self) -> None:
        if self._segment is None:
            return
        self._segment.finish(must_be_sealed="organisation" in self._scope)
        self.verdict.heads[self._segment.head.node] = self._segment.head
        self.verdict.checkpoints += self._segment.checkpoints

    def _count(self, record: Line) -> None:
        self.verdict.records += 1
        self._shown += record.fields["kind"] != CHECKPOINT
        time = record.fields["time"]
        self.verdict.begin = min(self.verdict.begin or time, time)
        self.verdict.end = max(self.verdict.end, time)
        if record.fields["kind"] == EXPORT:
            self._own = record.fields

    def _compare_with_its_own_record(self, segment: "_Segment | None") -> None:
        """An export tells of itself in its last record: the scope, and how many records it holds."""
        own = self._own
        if own is None or not self._scope.items() <= own.items():
            self._cut_off(segment, "the export's own record is not there")
            return
        shown = self._shown - 1
        if shown != own["exported"]:
            self._cut_off(segment, f"{own['exported']} records were exported, {shown} are there")

    def _compare_with_known(self, known: Head) -> None:
        """What was there once is there still; that it is the same, the segment has seen."""
        reached = self.verdict.heads.get(known.node, Head.of_nothing(known.node))
        if reached.seq < known.seq:
            detail = "they were seen before"
            self._found(Break(BreakKind.TRUNCATED, known.node, reached.seq + 1, known.seq, detail))

    def _cut_off(self, segment: "_Segment | None", why: str) -> None:
        head = segment.head if segment else Head("", 0, b"")
        self._found(Break(BreakKind.TRUNCATED, head.node, head.seq + 1, head.seq + 1, why))

    def _found(self, broken: Break) -> None:
        if len(self.verdict.breaks) < BREAKS_MAXIMUM:
            self.verdict.breaks.append(broken)


class _Segment:
    """Consecutive records of one node."""

    def __init__(
        self, head: Head, ca: x509.Certificate, known: Head | None, found: Callable[[Break], None]
    ) -> None:
        self.head = head
        self.checkpoints = 0
        self._ca = ca
        self._known = known if known is not None and known.node == head.node else None
        self._found = found
        self._gaps: list[range] = []
        # The last record whose bytes the one behind it confirmed, and what waits for one more word.
        self._confirmed = head.seq
        self._suspect: int | None = None
        self._unread = False
        self._covered = head.seq
        self._sealed = False
        self._unsigned_told = False
        if head.seq == 0 and head != Head.of_nothing(head.node):
            self._say(BreakKind.ALTERED, 0, 0, "the chain does not begin where it should")

    def record(self, line: Line) -> None:
        """A record that is shown."""
        if line.fields["node"] != self.head.node:
            self._say(BreakKind.INSERTED, self.head.seq + 1, self.head.seq + 1, "it is of another node")
            return
        if line.seq <= self.head.seq:
            self._out_of_place(line.seq)
            return
        if line.seq > self.head.seq + 1:
            self._gaps.append(range(self.head.seq + 1, line.seq))
            self._settle_suspicion(None)
            self.head = Head(self.head.node, line.seq - 1, line.prev)
            self._confirmed = self._covered = line.seq - 1
        self._confirm(line.prev)
        if line.fields["kind"] == CHECKPOINT:
            self._checkpoint(line)
        self._advance(fingerprint(line.encoded), sealed=line.fields["kind"] == CHECKPOINT)

    def foreign(self, print_: bytes) -> None:
        """A record that is not shown."""
        self._advance(print_, sealed=False)

    def unreadable(self, print_: bytes) -> None:
        """What stands where a record should is none."""
        self._say(BreakKind.ALTERED, self.head.seq + 1, self.head.seq + 1, "it cannot be read")
        self._settle_suspicion(None)
        self._advance(print_, sealed=False)
        self._unread = True

    def ends(self, head: Head) -> bool:
        """The node says that its chain stands here; whether it is this chain that it speaks of."""
        if head.node != self.head.node:
            return False
        if head.seq > self.head.seq:
            self._settle_suspicion(None)
            self._say(BreakKind.TRUNCATED, self.head.seq + 1, head.seq, "the node has them")
        elif head.seq < self.head.seq:
            self._say(BreakKind.INSERTED, head.seq + 1, self.head.seq, "the node does not know them")
        else:
            self._confirm(head.link)
        return True

    def finish(self, *, must_be_sealed: bool) -> None:
        """The segment ends here."""
        self._settle_suspicion(None)
        for gap in self._gaps:
            if gap:
                self._say(BreakKind.MISSING, gap.start, gap.stop - 1)
        if must_be_sealed and not self._sealed:
            self._say(BreakKind.TRUNCATED, self.head.seq + 1, self.head.seq + 1, "no checkpoint closes it")

    def _advance(self, print_: bytes, *, sealed: bool) -> None:
        self.head = self.head.after(print_)
        self._sealed = sealed
        known = self._known
        if known is not None and known.seq == self.head.seq and known.link != self.head.link:
            self._say(BreakKind.REWRITTEN, 1, known.seq, "another chain was seen before")
        if self.head.seq - self._covered > CHECKPOINT_ROWS + GROUP_ROWS and not self._unsigned_told:
            self._unsigned_told = True
            self._say(BreakKind.UNSIGNED, self._covered + 1, self.head.seq)

    def _out_of_place(self, seq: int) -> None:
        for index, gap in enumerate(self._gaps):
            if seq in gap:
                self._gaps[index : index + 1] = [range(gap.start, seq), range(seq + 1, gap.stop)]
                self._say(BreakKind.REORDERED, seq, seq, f"it stands behind record {self.head.seq}")
                return
        self._say(BreakKind.INSERTED, seq, seq, f"behind record {self.head.seq} stands another {seq}")

    def _confirm(self, prev: bytes) -> None:
        """What stands next says which link it has before it."""
        if self._suspect is not None:
            self._settle_suspicion(prev)
        elif self._unread:
            self._confirmed = self.head.seq
        elif prev != self.head.link:
            # Either the record before is not what it was, or this one's own word is not: the next one tells.
            self._suspect = self.head.seq
        else:
            self._confirmed = self.head.seq
        self._unread = False
        self.head = Head(self.head.node, self.head.seq, prev)

    def _settle_suspicion(self, prev: bytes | None) -> None:
        """Two neighbours contradict each other. Where a third agrees with the second, it was the first."""
        if self._suspect is None:
            return
        second_holds = prev is None or prev == self.head.link
        altered = self._suspect if second_holds else self.head.seq
        first = self._confirmed + 1 if second_holds else self._suspect + 1
        self._say(BreakKind.ALTERED, first, altered)
        self._suspect = None
        self._confirmed = self.head.seq

    def _checkpoint(self, line: Line) -> None:
        """The node's signature over the chain before this record."""
        try:
            checkpoint = verify_checkpoint(from_base64url(line.fields["signed"]), self._ca)
            if (checkpoint.head.node, checkpoint.head.seq) != (self.head.node, self.head.seq):
                raise CheckpointRefusedError(f"it was signed for record {checkpoint.head.seq}")
        except ValueError as error:
            self._say(BreakKind.FORGED, line.seq, line.seq, str(error))
            return
        if checkpoint.head != self.head:
            self._say(BreakKind.REWRITTEN, self._covered + 1, self.head.seq)
        self.checkpoints += 1
        self._covered = line.seq
        self._unsigned_told = False

    def _say(self, kind: BreakKind, first: int, last: int, detail: str = "") -> None:
        self._found(Break(kind, self.head.node, first, last, detail))


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        value = foreign_json.read(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _exactly(print_: bytes) -> bytes:
    if len(print_) != LINK_SIZE:
        raise ValueError("no fingerprint")
    return print_
