"""A tap: stands between a viewer and what it looks at, and notes when how much passes which way.

What passes is handed on and forgotten: a reading has no room for it. It listens on a Unix socket that only
its user can open, as the client's own door does, and takes one session.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.models.sampling import Side
from telerelay_loadtest.recording.readings import Reading

_READ: Final = 65_536
Address: TypeAlias = Path | tuple[str, int]
"""A Unix socket, or a host and a port."""


def read_address(text: str) -> Address:
    """`HOST:PORT` or a path. Raises TelerelayError(USAGE)."""
    host, _, port = text.rpartition(":")
    if "/" in text or not host:
        return Path(text)
    if not port.isdecimal():
        raise TelerelayError("USAGE", f"{text} is neither HOST:PORT nor the path of a socket")
    return host.strip("[]"), int(port)


class Tap:
    """Records one session. `noted` is called with each reading."""

    def __init__(self, door: Path, desktop: Address, noted: Callable[[Reading], None]) -> None:
        self._door = door
        self._desktop = desktop
        self._noted = noted
        self._began = 0

    async def run(self) -> None:
        """Return when the session has ended. Raises OSError, which names the socket that cannot be had."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.settimeout(0)
            with _naming(self._door):
                listener.bind(str(self._door))
            try:
                # Nobody is let in before it listens.
                self._door.chmod(0o600)
                listener.listen(1)
                viewer, _ = await loop.sock_accept(listener)
            finally:
                self._door.unlink()
        with viewer, self._socket() as desktop:
            viewer.settimeout(0)
            with _naming(self._desktop):
                await loop.sock_connect(desktop, self._target())
            self._began = time.monotonic_ns()
            await self._carry(viewer, desktop)

    def _socket(self) -> socket.socket:
        if isinstance(self._desktop, Path):
            kind = socket.AF_UNIX
        else:
            kind = socket.AF_INET6 if ":" in self._desktop[0] else socket.AF_INET
        made = socket.socket(kind)
        made.settimeout(0)
        if kind != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _target(self) -> str | tuple[str, int]:
        return str(self._desktop) if isinstance(self._desktop, Path) else self._desktop

    async def _carry(self, viewer: socket.socket, desktop: socket.socket) -> None:
        ways = [
            asyncio.create_task(self._pass(viewer, desktop, "up")),
            asyncio.create_task(self._pass(desktop, viewer, "down")),
        ]
        try:
            # Whoever leaves leaves for both: a desktop may wait for the other half for ever.
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ended:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, source: socket.socket, target: socket.socket, side: Side) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while piece := await loop.sock_recv(source, _READ):
                self._noted(Reading((time.monotonic_ns() - self._began) // 1_000, side, len(piece)))
                await loop.sock_sendall(target, piece)


@contextmanager
def _naming(address: Address) -> Iterator[None]:
    """Systems do not say of which socket an error is."""
    try:
        yield
    except OSError as error:
        error.filename = str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"
        raise
