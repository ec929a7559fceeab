"""A desktop that shows as much as it is told to, on threads of its own: its agent has all it can do."""

import contextlib
import socket
import threading
from struct import pack
from types import TracebackType
from typing import Final, Self

from tests.kit.rfb import LET_IN, introduction
from tests.kit.screen import Encoding


def update(*rectangles: bytes) -> bytes:
    """What a desktop shows at once (RFC 6143 §7.6.1)."""
    return pack(">BxH", 0, len(rectangles)) + b"".join(rectangles)


def raw(side: int) -> bytes:
    """A square of pixels of 32 bits."""
    return pack(">HHHHi", 0, 0, side, side, Encoding.RAW) + bytes(4 * side * side)


def zrle(length: int) -> bytes:
    """A square of so many compressed bytes, which are none: nobody shows them."""
    return pack(">HHHHiI", 0, 0, 64, 64, Encoding.ZRLE, length) + bytes(length)


class Desk:
    """`shown` is sent `times` times to whoever asks for a picture, `echo` to whoever presses a key."""

    shown = b""
    times = 1
    echo: Final = update(raw(16))

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever waits in accept() is woken by this, and not by the end of the descriptor.
        self._listener.shutdown(socket.SHUT_RD)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        """One session, until its agent leaves."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as told, contextlib.suppress(ConnectionError):
            connection.sendall(LET_IN)
            # The version, the security type, ClientInit.
            told.read(14)
            connection.sendall(introduction())
            while kind := told.read(1):
                match kind[0]:
                    case 0:
                        told.read(19)
                    case 2:
                        told.read(4 * int.from_bytes(told.read(3)[1:]))
                    case 3:
                        told.read(9)
                        for _ in range(self.times):
                            connection.sendall(self.shown)
                    case 4:
                        told.read(7)
                        connection.sendall(self.echo)
                    case _:
                        raise AssertionError(f"no viewer of ours says {kind!r}")
