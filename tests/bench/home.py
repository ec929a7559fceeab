"""A client of one of the scene's agents, and the viewers at its door, without an event loop."""

import json
import select
import socket
from collections.abc import Sequence
from pathlib import Path
from struct import unpack
from types import TracebackType
from typing import Final, Self, TypeVar

from telerelay_core import Client, Dial, DoorOpen, Finished, Stopped, format_computer_id
from tests.bench.driver import DriverError
from tests.kit.rfb import GREETING, KEY_A, LET_IN, encodings, request
from tests.kit.screen import SET_FORMAT, Encoding

_WAIT_S: Final = 20.0
_READ: Final = 256 * 1024

_Event = TypeVar("_Event", DoorOpen, Stopped)


class Home:
    """The client with this number of the organisation in `folder`. It ends with its last viewer.

    `node`: the address at which it finds the node, where that is another than the node tells.
    """

    def __init__(self, folder: Path, number: int, node: str | None = None) -> None:
        computer = format_computer_id(number.to_bytes(10, "big"))
        device = folder / "clients" / f"{computer}.pem"
        cluster = json.loads((folder / "cluster.json").read_text())
        nodes = [(one["name"], [node] if node else one["addresses"]) for one in cluster["nodes"]]
        pins = [bytes.fromhex(pin) for pin in cluster["pins"]]
        self._client = Client(
            dial=Dial(nodes=nodes, pins=pins, chain=device, key=device),
            root=(folder / "root.der").read_bytes(),
            computer=computer,
            service="rfb",
            door="tcp:127.0.0.1:0",
            program="telerelay-bench/1",
        )
        self._client.start()
        host, _, port = self._told(DoorOpen).address.rpartition(":")
        self._door = (host, int(port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.stop()
        self._told(Stopped)

    def viewer(self, *asked: Encoding) -> "Viewer":
        """A viewer that understands these encodings."""
        return Viewer(self._door, asked)

    def _told(self, kind: type[_Event]) -> _Event:
        """The next event of this kind. Raises DriverError where the client ends instead, or tells nothing."""
        while select.select([self._client.event_fd()], [], [], _WAIT_S)[0]:
            for event in self._client.events():
                if isinstance(event, kind):
                    return event
                if isinstance(event, Finished) and kind is not Stopped:
                    raise DriverError(f"the client ended with {event.code}")
        raise DriverError(f"no {kind.__name__} of the client within {_WAIT_S:g} s")


class Viewer:
    """A viewer that looks at nothing: it counts what comes. `taken`: bytes so far."""

    def __init__(self, door: tuple[str, int], asked: Sequence[Encoding]) -> None:
        self.taken = 0
        self._socket = socket.create_connection(door, _WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb", _READ)
        self._socket.sendall(GREETING + b"\x01\x01")
        if self._read(len(LET_IN)) != LET_IN:
            raise DriverError("the agent shows no desktop")
        width, height, name = unpack(">HH16xI", self._read(24))
        self.size = (width, height)
        self._read(name)
        self._socket.sendall(SET_FORMAT + encodings(*asked))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def say(self, message: bytes) -> None:
        """Send it as it is."""
        self._socket.sendall(message)

    def ask(self, *, whole: bool = True) -> None:
        """Ask for a picture."""
        self.say(request(self.size, whole=whole))

    def press(self) -> None:
        """Press a key."""
        self._socket.sendall(KEY_A)

    def take(self, length: int) -> None:
        """Read so many bytes of what is shown, and drop them."""
        while length:
            length -= len(self._read(min(length, _READ)))

    def frame(self) -> None:
        """Read one update, and ask for the next as soon as this one begins."""
        if (kind := self._read(1)[0]) != 0:
            raise DriverError(f"message {kind} in front of a picture")
        (count,) = unpack(">xH", self._read(3))
        self.ask(whole=False)
        while count:
            count -= 1
            encoding, body = self._rectangle()
            if encoding == Encoding.LAST_RECT:
                return
            self.take(body)

    def _rectangle(self) -> tuple[int, int]:
        """The encoding of the next one, and how many bytes are behind its head."""
        width, height, encoding = unpack(">4xHHi", self._read(12))
        match encoding:
            case Encoding.RAW:
                return encoding, 4 * width * height
            case Encoding.COPY_RECT:
                return encoding, 4
            case Encoding.ZRLE:
                return encoding, int.from_bytes(self._read(4))
            case Encoding.LAST_RECT:
                return encoding, 0
        raise DriverError(f"encoding {encoding} was never asked for")

    def _read(self, length: int) -> bytes:
        content: bytes = self._stream.read(length)
        if len(content) < length:
            raise DriverError("the session has ended")
        self.taken += length
        return content
