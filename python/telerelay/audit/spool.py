"""Makes records durable: one thread that appends groups to files and syncs each group once (PROTOCOL.md §14).

A record counts as durable when `fdatasync` behind it has returned. What cannot be written is tried again in
its order; whoever waits for it is told at once that it is not there. Numbers are given when a group is
written, so that the record of something that was given up leaves no hole. Behind every
`audit_checkpoint_rows` records, `audit_checkpoint_s` seconds, and at the end stands the node's signature over
all before it.
"""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from telerelay.audit.chain import Head, fingerprint
from telerelay.audit.checkpoints import CHECKPOINT_ROWS, CHECKPOINT_S, Notary
from telerelay.audit.records import RECORD_MAXIMUM, Record, checkpoint
from telerelay.audit.spool_files import SpoolFile, file_name
from telerelay.metrics.distribution import Counted, Histogram
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

GROUP_S: Final = LIMITS["audit_group_ms"] / 1_000
GROUP_ROWS: Final = LIMITS["audit_group_rows"]
FILE_BYTES: Final = LIMITS["audit_file_bytes"]
BACKLOG_BYTES: Final = LIMITS["audit_backlog_files"] * FILE_BYTES
WAITING_MAXIMUM: Final = LIMITS["audit_waiting"]
_GROUPS: Final = (1, 2, 5, 10, 20, 50, 100)
RETRY_S: Final = LIMITS["audit_disk_retry_s"]
_SALT_SIZE: Final = 16

Told = Callable[[str | None], None]
"""Called in the event loop: None when the record is durable, or the code that says why it is not."""


@dataclass(slots=True)
class _Waiting:
    record: Record
    time_ms: int
    told: Told | None
    keep: bool


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is written at once: records, and whether a checkpoint behind them, for whom."""

    group: list[_Waiting]
    seal: bool
    sealers: list[Told]


class Spool:
    """Takes records in the event loop, writes them in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        head: Head,
        notary: Notary,
        *,
        file_bytes: int = FILE_BYTES,
        backlog_bytes: int = BACKLOG_BYTES,
        checkpoint_rows: int = CHECKPOINT_ROWS,
        checkpoint_s: float = CHECKPOINT_S,
        progressed: Callable[[], None] = lambda: None,
    ) -> None:
        """Go on behind `head`. `progressed` is called in the event loop after each group.

        Starts the thread; the disk waits.
        """
        self._folder = folder
        self._notary = notary
        self._checkpoint_rows = checkpoint_rows
        self._checkpoint_s = checkpoint_s
        self._file_bytes = file_bytes
        self._backlog_bytes = backlog_bytes
        self._progressed = progressed
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger("audit")
        self._changed = threading.Condition()
        # Guarded by `_changed`:
        self._head = head
        self._sealers: list[Told] = []
        self._waiting: deque[_Waiting] = deque()
        self._files: deque[SpoolFile] = deque()
        self._backlog = 0
        self._failing = False
        self._failures = 0
        self._stopping = False
        self._dropped = 0
        self._written = 0
        self._synced_s = Histogram()
        self._grouped = Histogram(_GROUPS)
        self._thread = threading.Thread(target=self._run, name="audit-spool")
        self._thread.start()

    # ------------------------------------------------------------ in the event loop

    def append(self, record: Record, told: Told | None = None) -> None:
        """Queue a record that must be kept whatever happens; `told` hears whether it is durable."""
        self._append(_Waiting(record, _now_ms(), told, keep=True))

    async def write(self, records: Sequence[Record]) -> None:
        """Return when the records are durable. They are given up otherwise.

        Raises TelerelayError(AUDIT_UNAVAILABLE).
        """
        # In portions, so that a change of many records leaves room for those of sessions.
        for begin in range(0, len(records), WAITING_MAXIMUM // 10):
            outcomes: list[asyncio.Future[str | None]] = []
            for record in records[begin : begin + WAITING_MAXIMUM // 10]:
                outcome: asyncio.Future[str | None] = self._loop.create_future()
                outcomes.append(outcome)
                self._append(_Waiting(record, _now_ms(), _settle(outcome), keep=False))
            codes = [code for code in await asyncio.gather(*outcomes) if code is not None]
            if codes:
                raise TelerelayError(codes[0], "the record of this change cannot be written")

    async def seal(self) -> Head:
        """Return when a checkpoint covers all that is durable by now; where the chain stands then.

        Raises TelerelayError(AUDIT_UNAVAILABLE).
        """
        outcome: asyncio.Future[str | None] = self._loop.create_future()
        with self._changed:
            self._sealers.append(_settle(outcome))
            self._changed.notify()
        if (code := await outcome) is not None:
            raise TelerelayError(code, "the checkpoint cannot be written")
        return self.head

    @property
    def head(self) -> Head:
        """Where the durable chain stands."""
        with self._changed:
            return self._head

    @property
    def failing(self) -> bool:
        """Whether the disk refuses records."""
        with self._changed:
            return self._failing

    def unmoved(self) -> list[SpoolFile]:
        """The files, oldest first, each with its durable length; all but the last are finished."""
        with self._changed:
            return [SpoolFile(file.path, file.size) for file in self._files]

    def moved(self, size: int, file: SpoolFile | None) -> None:
        """`size` more bytes are in SQL; `file` is finished and was removed."""
        with self._changed:
            self._backlog -= size
            if file is not None:
                self._files.popleft()

    def statistics(self) -> dict[str, int]:
        """What an operator looks at: records, unmoved bytes and their limit, whether the disk refuses."""
        with self._changed:
            return {
                "audit_records": self._written,
                "audit_waiting": len(self._waiting),
                "audit_dropped": self._dropped,
                "audit_backlog_bytes": self._backlog,
                "audit_backlog_limit_bytes": self._backlog_bytes,
                "audit_failing": int(self._failing),
                "audit_failures": self._failures,
            }

    def distributions(self) -> dict[str, Counted]:
        """Seconds to write and sync a group, and how many records shared one."""
        with self._changed:
            return {"audit_sync": self._synced_s.read(), "audit_group": self._grouped.read()}

    async def stop(self) -> None:
        """Write what waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        # What the thread told last stands in the loop's queue before the join's own result.
        await asyncio.to_thread(self._thread.join)

    def _append(self, entry: _Waiting) -> None:
        with self._changed:
            full = len(self._waiting) >= WAITING_MAXIMUM
            refused = full or self._failing
            told = entry.told
            if refused:
                entry.told = None
            if full and entry.keep:
                self._dropped += 1
            elif entry.keep or not refused:
                self._waiting.append(entry)
                if len(self._waiting) in (1, GROUP_ROWS):
                    self._changed.notify()
        if refused and told is not None:
            told("AUDIT_UNAVAILABLE")

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        writer = _Writer(self._folder, self._head, self._notary, self._file_bytes)
        last_sync = last_checkpoint = time.monotonic() - GROUP_S
        while True:
            turn = self._next_turn(writer, last_sync, last_checkpoint)
            if turn is None:
                writer.close()
                return
            last_sync = time.monotonic()
            try:
                self._require_room()
                written = writer.write(
                    [(entry.record, entry.time_ms) for entry in turn.group], seal=turn.seal
                )
            except OSError as error:
                if self._failed(error, turn.sealers):
                    writer.close()
                    return
            else:
                if written.signed is not None:
                    last_checkpoint = last_sync
                    self._keep(written.sealed, written.signed)
                self._succeeded(turn, written.size, writer, last_sync)

    def _next_turn(self, writer: "_Writer", last_sync: float, last_checkpoint: float) -> _Turn | None:
        """Up to GROUP_ROWS of what waits, not removed yet; nothing when it is time to end."""
        with self._changed:
            due = last_checkpoint + self._checkpoint_s if writer.uncovered else None
            self._changed.wait_for(
                lambda: self._waiting or self._sealers or self._stopping or self._failing,
                None if due is None else max(due - time.monotonic(), 0),
            )
            # A record that finds the disk idle goes at once; only those behind it gather.
            pause = (last_sync + GROUP_S) - time.monotonic()
            self._changed.wait_for(lambda: len(self._waiting) >= GROUP_ROWS or self._stopping, max(pause, 0))
            group = [self._waiting[index] for index in range(min(len(self._waiting), GROUP_ROWS))]
            sealers, self._sealers = self._sealers, []
            uncovered = writer.uncovered + len(group)
            last = self._stopping and len(group) == len(self._waiting)
            # Where nothing waits, a checkpoint finds out whether the disk takes records again.
            probe = self._failing and not group and not self._stopping
            seal = probe or (
                uncovered > 0
                and bool(
                    sealers
                    or last
                    or uncovered >= self._checkpoint_rows
                    or (due is not None and time.monotonic() >= due)
                )
            )
            if last and not (group or seal or sealers):
                return None
            return _Turn(group, seal, sealers)

    def _keep(self, head: Head, signed: bytes) -> None:
        try:
            self._notary.keep(head, signed)
        except OSError as error:
            # The chain holds it; the copy is renewed with the next one.
            self._log.error("the newest checkpoint is not kept beside the database", reason=str(error))

    def _require_room(self) -> None:
        with self._changed:
            if self._backlog >= self._backlog_bytes:
                raise OSError(f"{self._backlog} bytes of records wait for the database")

    def _succeeded(self, turn: _Turn, size: int, writer: "_Writer", began: float) -> None:
        with self._changed:
            for _ in turn.group:
                self._waiting.popleft()
            self._head = writer.head
            self._written += len(turn.group)
            self._grouped.observe(len(turn.group))
            self._synced_s.observe(time.monotonic() - began)
            self._backlog += size
            if size:
                if not self._files or self._files[-1].path != writer.path:
                    self._files.append(SpoolFile(writer.path, 0))
                self._files[-1] = SpoolFile(writer.path, writer.size)
            recovered, self._failing = self._failing, False
        if recovered:
            self._log.warning("audit records are written again")
        self._tell([entry.told for entry in turn.group if entry.told is not None] + turn.sealers, None)

    def _failed(self, error: OSError, sealers: Sequence[Told]) -> bool:
        """Tell whoever waits; whether the spool ends with it."""
        with self._changed:
            first, self._failing = not self._failing, True
            self._failures += 1
            waiters = [entry.told for entry in self._waiting if entry.told is not None]
            for entry in self._waiting:
                entry.told = None
            self._waiting = deque(entry for entry in self._waiting if entry.keep)
        if first:
            self._log.error("audit records cannot be written: nobody is joined", reason=str(error))
        self._tell([*waiters, *sealers], "AUDIT_UNAVAILABLE")
        with self._changed:
            ends = self._changed.wait_for(lambda: self._stopping, RETRY_S) and not first
            if ends:
                self._log.error("audit records are lost", records=len(self._waiting))
        return ends

    def _tell(self, waiters: Sequence[Told], code: str | None) -> None:
        def tell() -> None:
            for told in waiters:
                told(code)
            self._progressed()

        self._loop.call_soon_threadsafe(tell)


@dataclass(frozen=True, slots=True)
class _Written:
    """Bytes that are durable now, and the checkpoint among them: what it covers, and the signature."""

    size: int
    sealed: Head
    signed: bytes | None


class _Writer:
    """The file that is being written, and the chain in it. Only the spool's thread has it."""

    def __init__(self, folder: Path, head: Head, notary: Notary, file_bytes: int) -> None:
        self._folder = folder
        self._notary = notary
        self._file_bytes = file_bytes
        self._descriptor: int | None = None
        self.head = head
        self.path = folder
        self.size = 0

    @property
    def uncovered(self) -> int:
        """How many records stand behind the newest checkpoint."""
        return max(self.head.seq - self._notary.last_seq, 0)

    def write(self, records: Sequence[tuple[Record, int]], *, seal: bool) -> _Written:
        """Append and sync, with a checkpoint behind the records. After an OSError nothing of it counts."""
        head = self.head
        lines: list[bytes] = []
        for record, time_ms in records:
            lines.append(record.encode(head, time_ms, os.urandom(_SALT_SIZE)))
            head = head.after(fingerprint(lines[-1][:-1]))
        sealed, signed = head, None
        if seal:
            now_ms = _now_ms()
            signed = self._notary.sign(head, now_ms // 1000)
            lines.append(checkpoint(signed).encode(head, now_ms, os.urandom(_SALT_SIZE)))
            head = head.after(fingerprint(lines[-1][:-1]))
        if lines:
            self._append(lines)
        self.head = head
        return _Written(sum(map(len, lines)), sealed, signed)

    def _append(self, lines: Sequence[bytes]) -> None:
        block = b"".join(lines)
        if max(map(len, lines)) > RECORD_MAXIMUM:
            raise ValueError(f"a record has more than {RECORD_MAXIMUM} bytes")
        if self._descriptor is not None and self.size + len(block) > self._file_bytes:
            self.close()
        descriptor = self._open() if self._descriptor is None else self._descriptor
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fdatasync(descriptor)
        except OSError:
            # The kernel may forget pages that it failed to write: this file is never continued.
            self._give_up(descriptor)
            raise
        self.size += len(block)

    def close(self) -> None:
        """The file is finished."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        self.path = self._folder / file_name(self.head.seq + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        self._descriptor, self.size = descriptor, 0
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return descriptor

    def _give_up(self, descriptor: int) -> None:
        self._descriptor = None
        try:
            os.ftruncate(descriptor, self.size)
        finally:
            os.close(descriptor)


def _settle(outcome: "asyncio.Future[str | None]") -> Told:
    def told(code: str | None) -> None:
        if not outcome.done():
            outcome.set_result(code)

    return told


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
