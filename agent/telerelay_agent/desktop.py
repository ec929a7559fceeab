"""Which desktop the agent serves: one address on this very machine, and nothing else."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from telerelay_endpoint import files
from telerelay_endpoint.errors import TelerelayError

_UNIX = "unix:"
_PORTS = range(1, 65536)


@dataclass(frozen=True)
class Desktop:
    """What is served. `address` as the core takes it; `password`: what it asks for, where it does.

    `lock`: the command that locks it; empty: it cannot be locked.
    """

    address: str
    password: bytes | None = field(default=None, repr=False)
    lock: tuple[str, ...] = ()


def read_password(file: Path) -> bytes:
    """The desktop's password, the first line of a file. Raises TelerelayError: KEY_FILE, USAGE."""
    try:
        password, *_ = files.read_private(file).splitlines() or [b""]
    except files.ReadableByOthersError as error:
        raise TelerelayError("KEY_FILE", str(error)) from None
    except OSError as error:
        raise TelerelayError("USAGE", f"{file}: {error.strerror}") from None
    if not password:
        raise TelerelayError("USAGE", f"{file} has no password")
    return password


def parse_desktop(text: str) -> str:
    """A desktop's address as the core takes it: "127.0.0.1:5900", "[::1]:5900" or "unix:/path".

    Raises TelerelayError(USAGE): an address elsewhere would make this PC a way into the office network.
    """
    if text.startswith(_UNIX):
        if not text.removeprefix(_UNIX).startswith("/"):
            raise TelerelayError("USAGE", f"desktop {text}: the path of a socket begins with /")
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        raise TelerelayError("USAGE", f"desktop {text}: not HOST:PORT, for example 127.0.0.1:5900")
    return f"{_loopback(text, host)}:{int(port)}"


def _loopback(text: str, host: str) -> str:
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise TelerelayError(
            "USAGE", f"desktop {text}: a number such as 127.0.0.1 is needed, names are not looked up"
        ) from None
    if not address.is_loopback:
        raise TelerelayError("USAGE", f"desktop {text}: only this machine's own desktop is served")
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - the version of IP
