"""Where connections come in: TLS, the language by ALPN, HELLO and WELCOME (PROTOCOL.md §1.1, §5.1)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.kit.hostile.node.api import Api
from tests.kit.hostile.node.leg import Leg

Serve = Callable[[Leg], Awaitable[object]]


@dataclass
class Gate:
    """A listening node. `serve` has each leg behind WELCOME, for as long as it runs."""

    serve: Serve
    name: str = "first"
    welcome: dict[str, Any] = field(default_factory=dict)
    """What WELCOME says otherwise than an honest node's."""
    welcomes: bool = True
    """Whether WELCOME is sent at all."""
    api: Api = field(default_factory=Api)
    port: int = 0
    legs: list[Leg] = field(default_factory=list)
    """Every leg that ever came."""
    _server: asyncio.Server | None = None
    _open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def open(self, context: ssl.SSLContext) -> AsyncIterator["Gate"]:
        """Listen until the end of the block. An error of a leg's task is raised there."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=context, backlog=16
        )
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await self.die()

    async def die(self) -> None:
        """Listen no more, and end every connection by a reset."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)
        await self._server.wait_closed()
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            tls = writer.get_extra_info("ssl_object")
            if tls.selected_alpn_protocol() == "http/1.1":
                await self.api.serve(reader, writer)
            elif tls.getpeercert(binary_form=True) is not None:
                await self._greet(Leg(reader, writer))
        finally:
            writer.close()
            del self._open[task]

    async def _greet(self, leg: Leg) -> None:
        self.legs.append(leg)
        hello = await leg.receive()
        if hello is None:
            return
        assert hello.name == "HELLO"
        leg.hello = hello.fields
        honest = {
            "version": 1,
            "features": [],
            "node": self.name,
            "keepalive": 45,
            "nodes_version": 0,
            "return_window": 1,
        }
        if self.welcomes:
            await leg.send("WELCOME", **honest | self.welcome)
        await self.serve(leg)
