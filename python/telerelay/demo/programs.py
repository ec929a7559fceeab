"""The installed commands as the demo runs them: each in a group of its own, with a log, ended in order."""

import asyncio
import json
import os
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from telerelay_endpoint.processes import end_group

# A command of the demo ends in a second or two; two cores may have fifty of them to serve.
RUN_TIMEOUT: Final = 120.0
# After SIGTERM a program ends its sessions and goes.
STOP_TIMEOUT: Final = 10.0
_TAIL_LINES: Final = 12
# A line is one JSON object; the longest names every rule of a computer.
_LINE_LIMIT: Final = 1024 * 1024
# Whoever waits for an event asks for it long before so many others came.
_EVENTS_KEPT: Final = 1024

Event = Mapping[str, Any]


class ProgramError(Exception):
    """A command failed, ended early, or did not get ready. `said` holds the last lines that it wrote."""

    def __init__(self, name: str, what: str, said: str) -> None:
        super().__init__(f"{name} {what}")
        self.said = said


@dataclass(frozen=True)
class Commands:
    """Where the commands are installed, where they log, what they find in their environment, and as whom.

    `before` stands in front of each command, such as `setpriv` with its arguments.
    """

    logs: Path
    environment: Mapping[str, str]
    folder: Path = Path(sysconfig.get_path("scripts"))
    before: tuple[str, ...] = ()

    @classmethod
    def under(cls, home: Path) -> Self:
        """Commands whose home is `home`, so that nothing of its person is read or written."""
        logs = home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
        # One language in logs and events, whatever the person's own is.
        return cls(logs, {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"})

    async def run(self, *command: str, said: str = "", timeout: float = RUN_TIMEOUT) -> str:
        """Run a command to its end with `said` on its standard input; its standard output.

        Raises ProgramError when it fails or needs more than `timeout` seconds.
        """
        status, out, error = await self.complete(*command, said=said, timeout=timeout)
        if status != 0:
            raise ProgramError(_name(command), f"ended with status {status}", _tail(error))
        return out.decode()

    async def complete(
        self, *command: str, said: str = "", timeout: float = RUN_TIMEOUT
    ) -> tuple[int | None, bytes, bytes]:
        """As `run`, whatever it ends with: its status, what it told, what it complained of.

        Raises ProgramError when it needs more than `timeout` seconds.
        """
        process = await self._spawn(command, PIPE, PIPE, PIPE)
        try:
            out, error = await asyncio.wait_for(process.communicate(said.encode()), timeout)
        except TimeoutError:
            raise ProgramError(_name(command), f"did not end within {timeout:.0f} s", "") from None
        finally:
            await end_group(process, STOP_TIMEOUT)
        return process.returncode, out, error

    @asynccontextmanager
    async def running(self, log: str, *command: str) -> AsyncIterator["Program"]:
        """Start a command that stays; it is ended with the context. What it writes goes to `log`.log."""
        path = self.logs / f"{log}.log"
        path.touch()
        process = await self._spawn(command, DEVNULL, PIPE, STDOUT)
        program = Program(log, process, path)
        reading = asyncio.create_task(program.read())
        try:
            yield program
        finally:
            await end_group(process, STOP_TIMEOUT)
            await reading

    async def _spawn(self, command: tuple[str, ...], stdin: int, stdout: int, stderr: int) -> Process:
        program = str(self.folder / command[0])
        try:
            return await asyncio.create_subprocess_exec(
                *self.before,
                program,
                *command[1:],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=dict(self.environment),
                limit=_LINE_LIMIT,
                # Ctrl-C at the terminal reaches the demo alone, which then ends its programs in order.
                process_group=0,
            )
        except FileNotFoundError:
            raise ProgramError(command[0], f"is not installed in {self.folder}", "") from None


class Program:
    """A running command that writes one JSON object a line; other lines only go to its log."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._told = 0
        self._news = asyncio.Condition()
        self._ended = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def told(self) -> list[Event]:
        """The events so far, the newest last."""
        return list(self._events)

    async def event(self, check: Callable[[Event], bool], timeout: float) -> Event:
        """The first event, past or to come, that satisfies `check`. Raises ProgramError."""
        try:
            async with asyncio.timeout(timeout), self._news:
                seen = 0
                while True:
                    unseen = min(self._told - seen, len(self._events))
                    for event in islice(self._events, len(self._events) - unseen, None):
                        if check(event):
                            return event
                    seen = self._told
                    if self._ended:
                        raise ProgramError(self.name, await self._ending(), _tail(self.log.read_bytes()))
                    await self._news.wait()
        except TimeoutError:
            said = _tail(self.log.read_bytes())
            raise ProgramError(self.name, f"was not ready within {timeout:.0f} s", said) from None

    async def end(self) -> str:
        """Wait until it ended by itself; in words how."""
        async with self._news:
            await self._news.wait_for(lambda: self._ended)
        return await self._ending()

    async def read(self) -> None:
        """Take what it writes until it ends, into the log and as events."""
        stdout = self.process.stdout
        if stdout is None:
            raise AssertionError("a pipe was asked for")
        with self.log.open("ab", buffering=0) as log:
            async for line in stdout:
                log.write(line)
                if (event := _event(line)) is not None:
                    await self._tell(event)
        async with self._news:
            self._ended = True
            self._news.notify_all()

    async def _tell(self, event: Event) -> None:
        async with self._news:
            self._events.append(event)
            self._told += 1
            self._news.notify_all()

    async def _ending(self) -> str:
        return f"ended with status {await self.process.wait()}"


def _name(command: tuple[str, ...]) -> str:
    """A command as a person tells it from the others of its program: `telerelay-agent enrol`."""
    return " ".join(command[:2])


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _tail(written: bytes) -> str:
    return "\n".join(written.decode(errors="replace").splitlines()[-_TAIL_LINES:])
