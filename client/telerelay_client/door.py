"""Where the local door is: a Unix socket that only its person can open, or a loopback port."""

import ipaddress
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telerelay_client.viewer import Viewer
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.places import runtime_folder

_ANY_PORT = "tcp:127.0.0.1:0"
_PORTS = range(65536)


@contextmanager
def choose_door(listen: str | None, socket: Path | None, viewer: Viewer | None) -> Iterator[str]:
    """The door as the core takes it, "unix:/path" or "tcp:HOST:PORT"; its folder, if made here, ends with us.

    Raises TelerelayError(USAGE).
    """
    if listen is not None and socket is not None:
        raise TelerelayError("USAGE", "--listen and --socket exclude each other")
    if listen is not None:
        yield f"tcp:{_loopback(listen)}"
    elif socket is not None:
        yield f"unix:{socket.absolute()}"
    elif viewer is not None and not viewer.unix:
        yield _ANY_PORT
    else:
        # Mode 0700, and under /tmp where there is no runtime folder: a socket's path has 107 bytes at most.
        with tempfile.TemporaryDirectory(prefix="telerelay-", dir=runtime_folder()) as folder:
            yield f"unix:{folder}/desktop"


def _loopback(listen: str) -> str:
    host, colon, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if not colon or not address.is_loopback or int(port) not in _PORTS:
            raise ValueError
    except ValueError:
        raise TelerelayError(
            "USAGE", f"--listen {listen}: a loopback address and a port are needed, such as 127.0.0.1:5901"
        ) from None
    return listen
