"""The command `connect`: sessions to one computer behind a local door, with a viewer, until none is left."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog

import telerelay_core as core
from telerelay_client import __version__
from telerelay_client.notices import Notices
from telerelay_client.telling import Telling
from telerelay_client.viewer import Viewer
from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.handle import told
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.processes import end_group
from telerelay_endpoint.settings import PathChoice

PROGRAM: Final = f"telerelay-client/{__version__}"
_VIEWER_STOP_S: Final = LIMITS["viewer_stop_s"]
_SESSION_END_S: Final = LIMITS["viewer_session_end_s"]


@dataclass(frozen=True)
class _Failure:
    """How the attempt that decides the exit code ended."""

    stage: str
    detail: str
    retry_after_s: int | None
    place: int | None


async def connect(
    credentials: Credentials,
    computer: str,
    door: str,
    path: PathChoice,
    viewer: Viewer | None,
    telling: Telling,
    notices: Notices,
) -> None:
    """Open `computer` and stay until no session is left, or SIGTERM.

    Raises TelerelayError: the code that the session or its attempt ended with, unless that is exit code 0;
    INTERRUPTED after Ctrl-C; MACHINE when the viewer cannot be used; ADDRESS_IN_USE for the door.
    """
    client = core.Client(
        dial=credentials.dial(),
        root=encode_certificate(credentials.root),
        computer=computer,
        service="rfb",
        door=door,
        program=PROGRAM,
        path=path,
    )
    run = _Run(client, viewer, telling, notices)
    run.stop_on_signals()
    client.start()
    try:
        async with aclosing(told(client)) as events:
            async for event in events:
                if isinstance(event, core.Stopped):
                    break
                await run.tell(event)
    finally:
        await run.close()
    run.conclude()


class _Run:
    """What one run of `connect` remembers."""

    def __init__(
        self, client: core.Client, viewer: Viewer | None, telling: Telling, notices: Notices
    ) -> None:
        self._client = client
        self._viewer = viewer
        self._telling = telling
        self._notices = notices
        self._log = structlog.get_logger("client")
        self._ends: dict[str, _Failure] = {}
        self._error: TelerelayError | None = None
        self._process: Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def stop_on_signals(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal end the sessions in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._client.stop)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)

    async def tell(
        self,
        event: core.StageReached
        | core.AskedAgain
        | core.NoticeAsked
        | core.SessionOpened
        | core.SessionEnded
        | core.DoorOpen
        | core.DoorRefused
        | core.Finished,
    ) -> None:
        """Something happened."""
        match event:
            case core.StageReached():
                self._telling.reached(event.attempt, event.stage, event.elapsed_ms, event.detail)
            case core.AskedAgain():
                self._telling.asked_again(event.attempt)
            case core.NoticeAsked():
                self._notices.asked(event)
            case core.SessionOpened():
                self._log.info("session opened", attempt=event.attempt, path_kind=event.path_kind)
                self._telling.opened(event.attempt, event.session, event.rules, event.path_kind)
            case core.SessionEnded():
                self._ended(event)
            case core.DoorOpen():
                self._telling.door(event.address)
                await self._open_viewer(event.address)
            case core.DoorRefused():
                self._telling.door_refused()
            case core.Finished():
                self._finished(event)

    async def close(self) -> None:
        """Ask no more, and close the viewer that we opened."""
        await self._notices.close()
        if self._watching is not None:
            self._watching.cancel()
        if self._process is not None:
            await end_group(self._process, _VIEWER_STOP_S)

    def conclude(self) -> None:
        """Raise what the command ends with, unless all is well."""
        end = self._error or TelerelayError("DONE")
        self._telling.finished(end.code, end.exit_code)
        if end.exit_code != 0:
            raise end

    def _interrupt(self) -> None:
        self._error = TelerelayError("INTERRUPTED")
        self._client.stop()

    def _ended(self, event: core.SessionEnded) -> None:
        self._log.info(
            "session ended",
            attempt=event.attempt,
            path_kind=event.path_kind,
            code=event.code,
            stage=event.stage,
            duration_ms=event.duration_ms,
        )
        self._telling.ended(
            event.attempt,
            event.code,
            event.stage,
            path_kind=event.path_kind,
            duration_ms=event.duration_ms,
            bytes_sent=event.bytes_sent,
            bytes_received=event.bytes_received,
            retry_after_s=event.retry_after_s,
            place=event.place,
            detail=event.detail,
        )
        self._ends[event.attempt] = _Failure(event.stage, event.detail, event.retry_after_s, event.place)

    def _finished(self, event: core.Finished) -> None:
        if self._error is None:
            end = self._ends.get(event.attempt)
            self._error = TelerelayError(
                event.code,
                self._where(event.code, end) if end else "",
                attempt=event.attempt or None,
                retry_after_s=end.retry_after_s if end else None,
            )
        self._over.set()
        self._client.stop()

    def _where(self, code: str, end: _Failure) -> str:
        why = self._notices.why if code == "NOTICES" else ""
        return self._telling.where(end.stage, why or end.detail, end.place, end.retry_after_s)

    async def _open_viewer(self, door: str) -> None:
        if self._viewer is None:
            return
        command = self._viewer.command(door)
        # A group of its own: Ctrl-C at the terminal reaches us, and we close it in order.
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, process_group=0
        )
        self._telling.viewer(self._viewer.program, self._process.pid)
        self._watching = asyncio.create_task(self._watch(self._process, self._viewer.program))

    async def _watch(self, process: Process, program: str) -> None:
        """A viewer that never got to the door leaves nothing to stay for."""
        _, said = await process.communicate()
        if process.returncode == 0:
            return
        try:
            # It may have failed because its session ended: the session's own code says more.
            await asyncio.wait_for(self._over.wait(), _SESSION_END_S)
        except TimeoutError:
            if self._error is not None:
                return
            lines = said.decode(errors="replace").strip().splitlines()
            reason = f": {lines[-1]}" if lines else ""
            self._error = TelerelayError("MACHINE", f"{program} ended with {process.returncode}{reason}")
            self._client.stop()
