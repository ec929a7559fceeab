"""The real agent and client in this process, and everything that they tell."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from typing_extensions import override

from telerelay_core import (
    Agent,
    AgentOnline,
    Client,
    Dial,
    DoorOpen,
    Finished,
    Incoming,
    Node,
    SessionEnded,
    SessionRules,
    Stopped,
    format_computer_id,
)
from tests.kit.hostile.certified import Certified

Event = TypeVar("Event")
RULES = SessionRules(sessions=8, resume_limit_s=0, idle_timeout_s=0, shown=["sessions=8"])
PROGRAM = "telerelay-test/1"


class Told:
    """Everything that a handle has told, in order."""

    def __init__(self, handle: Agent | Client | Node) -> None:
        self._handle = handle
        self._changed = asyncio.Condition()
        self.events: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(handle.event_fd(), self._take)

    def of(self, kind: type[Event]) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def wait(self, kind: type[Event], count: int = 1, timeout: float = 20) -> Event:
        """The event of this kind with this number, counted from 1."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: len(self.of(kind)) >= count)
        except TimeoutError:
            told = ", ".join(map(_shown, self.events))
            raise AssertionError(
                f"no {kind.__name__} number {count} within {timeout} s; told: {told}"
            ) from None
        return self.of(kind)[count - 1]

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._handle.event_fd())

    def heard(self, event: Any) -> None:
        """One event came."""
        self.events.append(event)

    def _take(self) -> None:
        for event in self._handle.events():
            self.heard(event)
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _shown(event: object) -> str:
    """An event of the core with what it says: it has no text of its own."""
    fields = {name: getattr(event, name) for name in dir(event) if not name.startswith("_")}
    return f"{type(event).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


class RunningAgent(Told):
    """An agent that lets everybody in, or answers as `verdict` says: a code refuses, None says nothing."""

    def __init__(self, handle: Agent) -> None:
        super().__init__(handle)
        self.handle = handle
        self.verdict: Callable[[Incoming], SessionRules | str | None] = lambda _incoming: RULES

    @override
    def heard(self, event: Any) -> None:
        super().heard(event)
        if isinstance(event, Incoming):
            answer = self.verdict(event)
            if isinstance(answer, SessionRules):
                self.handle.allow(event.path, answer)
            elif answer is not None:
                self.handle.refuse(event.path, answer)


class RunningClient(Told):
    """A client and its door."""

    def __init__(self, handle: Client) -> None:
        super().__init__(handle)
        self.handle = handle
        self._viewers: list[asyncio.StreamWriter] = []

    async def viewer(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the door, once it is open."""
        door = await self.wait(DoorOpen)
        host, _, port = door.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._viewers.append(writer)
        return reader, writer

    async def leave(self) -> None:
        """Close whatever viewer is still there."""
        for writer in self._viewers:
            writer.close()
            with contextlib.suppress(ConnectionError):  # it broke before, as its session did
                await writer.wait_closed()

    async def code(self) -> str:
        """What `connect` would exit with."""
        return (await self.wait(Finished)).code


@asynccontextmanager
async def running_agent(
    own: Certified,
    root: bytes,
    dial: dict[str, Any],
    desktop: str,
    *,
    guarded: bool = False,
    password: bytes | None = None,
) -> AsyncIterator[RunningAgent]:
    """Run an agent from its first ready connection on. Unless `guarded`, a desktop is a plain byte stream.

    `password`: what the guard logs in to the desktop with.
    """
    handle = Agent(
        dial=Dial(chain=own.chain, key=own.key, **dial),
        root=root,
        computer=format_computer_id(own.computer),
        desktop=desktop,
        password=password,
        service="rfb",
        program=PROGRAM,
    )
    told = RunningAgent(handle)
    if guarded:
        handle.start()
    else:
        handle.start_open()
    try:
        yield told
    finally:
        handle.stop()
        await told.wait(Stopped)
        told.close()


@asynccontextmanager
async def running_client(
    own: Certified, root: bytes, dial: dict[str, Any], computer: bytes, program: str = PROGRAM
) -> AsyncIterator[RunningClient]:
    """Run a client of `computer`."""
    handle = Client(
        dial=Dial(chain=own.chain, key=own.key, **dial),
        root=root,
        computer=format_computer_id(computer),
        service="rfb",
        door="tcp:127.0.0.1:0",
        program=program,
    )
    told = RunningClient(handle)
    handle.start()
    try:
        yield told
    finally:
        handle.stop()
        await told.wait(Stopped)
        told.close()
        await told.leave()


async def online(agent: RunningAgent, count: int = 1) -> None:
    """The ready connection stands, for the `count`th time."""
    await agent.wait(AgentOnline, count)


async def end_of(told: Told, count: int = 1) -> SessionEnded:
    """The end of a session or attempt."""
    return await told.wait(SessionEnded, count)
