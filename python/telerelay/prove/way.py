"""The way to the office desktop that a granted device has: the core's client, sessions at its local door."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import telerelay_core as core
from telerelay import __version__
from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.handle import told
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.places import runtime_folder

PROGRAM: Final = f"telerelay-prove/{__version__}"
_OPEN_S: Final = LIMITS["prove_open_s"]


@dataclass(frozen=True)
class Answer:
    """How a request for a session was answered: `code` is None where a session opened.

    `decided_ms`: from the node's WELCOME, which the request rode behind, to the answer.
    """

    attempt: str
    code: str | None
    detail: str = ""
    retry_after_s: int | None = None
    decided_ms: int = 0

    async def pause(self) -> bool:
        """Wait as long as a node asks a busy device to; False, and at once, where it asks for nothing."""
        if self.code != "THROTTLED" or self.retry_after_s is None:
            return False
        await asyncio.sleep(self.retry_after_s)
        return True


class RefusedError(Exception):
    """No session was opened."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class Session:
    """One connection to the door, and the session that it is."""

    def __init__(
        self, way: "Way", attempt: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.attempt = attempt
        self.reader = reader
        self.writer = writer
        self._way = way

    async def end(self, within: float) -> str | None:
        """The code that it ends with; None while it still lives after so many seconds."""
        return await self._way.end_of(self.attempt, within)


class Way:
    """A running client. Each connection to its door is a session of its own."""

    def __init__(self, client: core.Client) -> None:
        self._client = client
        self._door: Path | None = None
        self._answers: list[Answer] = []
        self._given = 0
        self._welcomed: dict[str, int] = {}
        self._rules: list[str] = []
        self._ends: dict[str, str] = {}
        self._over = False
        self._news = asyncio.Condition()
        self._opening = asyncio.Lock()

    @property
    def rules(self) -> list[str]:
        """What the agent tells of its rules."""
        return self._rules

    async def answer(self) -> Answer:
        """How the client's first request was answered. Raises TelerelayError(UNREACHABLE) where it is not."""
        await self._wait(lambda: bool(self._answers))
        return self._answers[0]

    async def session(self) -> Session:
        """A session. Waits where this device asks too often. Raises RefusedError, TelerelayError."""
        # One at a time: otherwise nobody knew whose session opens.
        async with self._opening:
            while True:
                await self._wait(lambda: self._door is not None)
                reader, writer = await asyncio.open_unix_connection(self._door)
                await self._wait(lambda: len(self._answers) > self._given)
                answer = self._answers[self._given]
                self._given += 1
                if answer.code is None:
                    return Session(self, answer.attempt, reader, writer)
                writer.close()
                if not await answer.pause():
                    raise RefusedError(answer)

    async def end_of(self, attempt: str, within: float) -> str | None:
        """The code that the session of an attempt ended with; None while it lives after so many seconds."""
        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: attempt in self._ends or self._over)
        except TimeoutError:
            return None
        return self._ends.get(attempt, "INTERNAL")

    async def listen(self) -> None:
        """Take what the client tells until it has stopped."""
        async with aclosing(told(self._client)) as events:
            async for event in events:
                async with self._news:
                    self._take(event)
                    self._news.notify_all()
                if isinstance(event, core.Stopped):
                    return

    def _take(self, event: Any) -> None:
        match event:
            case core.StageReached(stage="hello"):
                self._welcomed[event.attempt] = event.elapsed_ms
            case core.SessionOpened():
                self._rules = event.rules
                self._answers.append(Answer(event.attempt, None))
            case core.SessionEnded():
                self._ended(event)
            case core.DoorOpen():
                self._door = Path(event.address)
            case core.Stopped():
                self._over = True

    def _ended(self, event: core.SessionEnded) -> None:
        self._ends[event.attempt] = event.code
        if any(answer.attempt == event.attempt for answer in self._answers):
            return
        self._answers.append(
            Answer(
                event.attempt,
                event.code,
                event.detail,
                event.retry_after_s,
                event.duration_ms - self._welcomed.get(event.attempt, 0),
            )
        )

    async def _wait(self, check: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(_OPEN_S), self._news:
                await self._news.wait_for(lambda: check() or self._over)
        except TimeoutError:
            raise TelerelayError("UNREACHABLE", f"no answer within {_OPEN_S} s") from None
        if not check():
            raise TelerelayError("PATH_LOST", "the client has ended")


@asynccontextmanager
async def open_way(credentials: Credentials, computer: str) -> AsyncIterator[Way]:
    """Run a client of `computer` (ID as shown). Its first request is on its way. Raises TelerelayError."""
    # Mode 0700: nobody else of this machine is at the door.
    with tempfile.TemporaryDirectory(prefix="telerelay-", dir=runtime_folder()) as folder:
        client = core.Client(
            dial=credentials.dial(),
            root=encode_certificate(credentials.root),
            computer=computer,
            service="rfb",
            door=f"unix:{folder}/desktop",
            program=PROGRAM,
        )
        way = Way(client)
        client.start()
        listening = asyncio.create_task(way.listen())
        try:
            yield way
        finally:
            client.stop()
            await listening


async def ask(credentials: Credentials, computer: str) -> Answer:
    """Ask for a session with `computer`, and leave where one opens. Raises TelerelayError."""
    while True:
        async with open_way(credentials, computer) as way:
            answer = await way.answer()
        if not await answer.pause():
            return answer
