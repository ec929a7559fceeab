"""Connections of the API: uvicorn's protocol over what the core decrypted, or the operator's socket."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from telerelay.node.core import Identity
from telerelay_endpoint.limits import LIMITS

METRICS_CONNECTIONS: Final = LIMITS["metrics_connections"]
KEEP_ALIVE_S: Final = LIMITS["api_keep_alive_s"]
CROWD: Final = LIMITS["api_connections"] - LIMITS["api_spare"]
_GOODBYE: Final = ((b"connection", b"close"), (b"retry-after", str(LIMITS["api_return_s"]).encode()))
_PRIVATE_UMASK: Final = 0o177


class Connections:
    """The open connections of one application."""

    def __init__(self, app: ASGIApp, hurry: Callable[[], None] = lambda: None) -> None:
        """`hurry` is called for each connection that is accepted while they are a crowd: it makes room."""
        self._app = app
        self._hurry = hurry
        self._config = Config(
            app=self._answer,
            interface="asgi3",
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            # It tells of broken requests only, and whoever wants to fill a log can send those.
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        self._config.load()
        self._state = ServerState()
        self._tasks: set[asyncio.Task[None]] = set()
        self.evicted = 0
        """Connections that had to go because there were too many (`serve`)."""

    def accept(self, descriptor: int, identity: Identity | None, address: str) -> None:
        """Serve a stream socket that carries plaintext; it is owned from here."""
        connection = socket.socket(fileno=descriptor)
        connection.settimeout(0)
        task = asyncio.create_task(self._serve(connection, {"identity": identity, "address": address}))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._is_crowd:
            self._hurry()

    async def listen(self, path: Path) -> asyncio.Server:
        """Serve the operator on a Unix socket of mode 0600. Raises OSError."""
        await asyncio.to_thread(path.unlink, missing_ok=True)  # a crash leaves it
        loop = asyncio.get_running_loop()
        umask = os.umask(_PRIVATE_UMASK)
        try:
            return await loop.create_unix_server(
                lambda: self._protocol({"identity": None, "address": "operator"}), str(path)
            )
        finally:
            os.umask(umask)

    async def serve(self, listening: socket.socket) -> asyncio.Server:
        """Serve whoever connects to a socket, `METRICS_CONNECTIONS` at once: the oldest has to go."""
        newest: deque[HttpToolsProtocol] = deque(maxlen=METRICS_CONNECTIONS)

        def protocol() -> HttpToolsProtocol:
            if len(newest) == newest.maxlen and newest[0] in self._state.connections:
                newest[0].transport.abort()
                self.evicted += 1
            newest.append(self._protocol({"identity": None, "address": "metrics"}))
            return newest[-1]

        return await asyncio.get_running_loop().create_server(protocol, sock=listening)

    async def close(self, timeout_s: float) -> None:
        """Finish the requests that run, for `timeout_s` at most, and close."""
        for connection in list(self._state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(timeout_s):
                while self._state.tasks:
                    await asyncio.wait(self._state.tasks)
        except TimeoutError:
            for task in list(self._state.tasks):
                task.cancel()

    @property
    def _is_crowd(self) -> bool:
        """Whether so few places are left that whoever has its answer shall leave."""
        return len(self._state.connections) > CROWD

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's answer; in a crowd it ends its connection and says when to come back."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_crowd:
                message["headers"] = [*message["headers"], *_GOODBYE]
            await send(message)

        await self._app(scope, receive, answer)

    async def _serve(self, connection: socket.socket, state: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self._protocol(state), connection)
        except OSError:
            # The other end went before we began; there is nobody left to tell.
            connection.close()

    def _protocol(self, state: dict[str, Any]) -> HttpToolsProtocol:
        return HttpToolsProtocol(self._config, self._state, state)
