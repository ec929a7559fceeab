"""A desktop that is a plain TCP server: echoes, streams, and knows every byte that it was ever given."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Serve = Callable[["FakeDesktop", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeDesktop:
    """`received`: all application bytes as they came. `sent`: how many left, where `serve` counts them."""

    address: str = ""
    sent: int = 0
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def kill(self) -> None:
        """End every connection by a reset."""
        for writer in self.connections:
            if not writer.is_closing():
                writer.transport.abort()


async def echo(desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back whatever comes, then end."""
    while piece := await reader.read(65_536):
        desktop.received += piece
        writer.write(piece)
        await writer.drain()


async def greet(desktop: FakeDesktop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak first, as an RFB server does: what a desktop says must not reach a stranger either."""
    writer.write(b"RFB 003.008\n")
    await echo(desktop, reader, writer)


@asynccontextmanager
async def open_desktop(serve: Serve = greet) -> AsyncIterator[FakeDesktop]:
    """A desktop on a port of its own."""
    desktop = FakeDesktop()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        desktop._tasks.append(task)
        desktop.connections.append(writer)
        try:
            await serve(desktop, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever left does not come back
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    desktop.address = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
    async with server:
        yield desktop
        server.close()
        desktop.kill()
        await asyncio.gather(*desktop._tasks)
