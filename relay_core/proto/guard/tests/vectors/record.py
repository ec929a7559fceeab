"""Records conversations with real desktops as the guard's vectors: `python3 record.py` (docs/GUARD.md §11).

Needs Xvnc, vncpasswd and vncconfig (TigerVNC), x11vnc, xclip, xsetroot, xrandr. Each line of a vector is a
kind and bytes in hexadecimal. The parser here is its own: it says what the guard has to do and shares nothing
with it.

c  the client says it to the guard, and it does not reach the desktop as it is
>  the client says it, and it reaches the desktop unchanged
g  the guard's own words to the desktop
<  the desktop says it, and it reaches the viewer unchanged
-  the desktop says it, and it does not reach the viewer as it is
v  the guard's own words to the viewer
"""  # noqa: INP001 - a script beside its vectors

import contextlib
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack, unpack
from typing import Final

HERE: Final = Path(__file__).resolve().parent
DISPLAY: Final = ":77"
PORT: Final = 5977
OTHER_PORT: Final = 5978
"""Of an x11vnc that shows what Xvnc has."""
QUIET_S: Final = 1.2
"""After so long a silence the desktop has said everything."""
PASSWORD: Final = "secret12"
MARK: Final = b"telerelay-guard\0"
PSEUDO: Final = (-239, -223, -224, -307, -308, -312, -313, -258)
FOUR_BYTES: Final = bytes([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])
ONE_BYTE: Final = bytes([8, 6, 0, 1, 0, 3, 0, 3, 0, 3, 4, 2, 0, 0, 0, 0])


class Talk:
    """One connection to the desktop, and the lines that it makes."""

    def __init__(self, port: int = PORT) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.pending = b""
        self.lines: list[str] = []
        self.pixel = 4
        self.fences = 0
        self.screen = 0

    def note(self, kind: str, content: bytes) -> None:
        self.lines.append(f"{kind} {content.hex()}")

    def tell(self, kind: str, content: bytes) -> None:
        """Something that reaches the desktop, of kind `>` or `g`."""
        self.note(kind, content)
        self.socket.sendall(content)

    def read(self, length: int) -> bytes:
        while len(self.pending) < length:
            piece = self.socket.recv(65536)
            assert piece, "the desktop is gone"
            self.pending += piece
        content, self.pending = self.pending[:length], self.pending[length:]
        return content

    def hear(self, length: int) -> bytes:
        """Part of the desktop's handshake."""
        content = self.read(length)
        self.note("-", content)
        return content

    def is_quiet(self) -> bool:
        return not self.pending and not select.select([self.socket], [], [], QUIET_S)[0]

    def listen(self) -> None:
        """Messages until the desktop has no more to say."""
        while not self.is_quiet():
            self.message()

    def message(self) -> None:
        kind = self.read(1)
        match kind[0]:
            case 0:
                head = kind + self.read(3)
                self.note("<", head)
                (rectangles,) = unpack(">H", head[2:])
                while rectangles and self.rectangle():
                    rectangles -= 1
            case 2 | 150:
                self.note("<", kind)
            case 3:
                head = kind + self.read(7)
                (length,) = unpack(">i", head[4:])
                self.note("-", head + self.read(abs(length)))
            case 248:
                head = kind + self.read(8)
                payload = self.read(head[8])
                self.note("-" if payload == MARK else "<", head + payload)
                self.answer(head, payload)
            case _:
                raise AssertionError(f"message {kind.hex()}")

    def answer(self, head: bytes, payload: bytes) -> None:
        if payload == MARK:
            self.pixel = 1
        elif head[4] & 0x80:
            self.fences += 1
            self.tell(">", head[:4] + bytes([0]) + head[5:7] + bytes([head[7] & 3]) + head[8:] + payload)

    def rectangle(self) -> bool:
        """Whether another one may follow."""
        head = self.read(12)
        width, height, encoding = unpack(">HHi", head[4:])
        match encoding:
            case 0:
                body = self.read(width * height * self.pixel)
            case 1:
                body = self.read(4)
            case 6 | 16:
                length = self.read(4)
                body = length + self.read(int.from_bytes(length))
            case -239:
                body = self.read(width * height * self.pixel + (width + 7) // 8 * height)
            case -308:
                screens = self.read(4)
                body = screens + self.read(16 * screens[0])
                (self.screen,) = unpack(">I", body[4:8])
            case -307:
                length = self.read(4)
                body = length + self.read(int.from_bytes(length))
            case -223 | -224 | -258:
                body = b""
            case _:
                raise AssertionError(f"encoding {encoding}")
        self.note("<", head + body)
        return bool(encoding != -224)

    def begin(self, version: bytes, *, secret: bool) -> None:
        """Both handshakes; the desktop's with the oldest version that `version` names."""
        self.note("v", b"RFB 003.008\n")
        self.note("c", b"RFB 003.008\n")
        self.note("v", bytes([1, 1]))
        self.note("c", bytes([1]))
        self.note("v", bytes(4))
        self.note("c", bytes([1]))
        assert self.hear(12) == b"RFB 003.008\n"
        if version != b"RFB 003.008\n":
            # An older desktop greets with its own version; Xvnc then speaks it.
            self.lines[-1] = f"- {version.hex()}"
        self.tell("g", version)
        if version == b"RFB 003.003\n":
            self.hear(4)
        else:
            self.hear(self.hear(1)[0])
            self.tell("g", bytes([2 if secret else 1]))
        if secret:
            self.tell("g", answered(self.hear(16)))
        if secret or version == b"RFB 003.008\n":
            assert self.hear(4) == bytes(4)
        self.tell("g", bytes([1]))
        head = self.hear(24)
        name = self.hear(int.from_bytes(head[20:]))
        self.note("v", head + name)

    def ask(self, *encodings: int) -> None:
        """SetEncodings as a viewer says it: with what the guard takes out."""
        asked = (7, *encodings, *PSEUDO, 5, -1063131698, -23)
        self.note("c", pack(f">BxH{len(asked)}i", 2, len(asked), *asked))
        passing = (*encodings, *PSEUDO)
        self.tell("g", pack(f">BxH{len(passing)}i", 2, len(passing), *passing))

    def request(self, *, again: bool) -> None:
        self.tell(">", pack(">BBHHHH", 3, not again, 0, 0, 1000, 1000))


def answered(challenge: bytes) -> bytes:
    """VncAuth by OpenSSL: DES-ECB, which is 3DES with one key three times."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in PASSWORD.encode().ljust(8, b"\0")).hex()
    command = ["openssl", "enc", "-des-ede3", "-nopad", "-K", key * 3]
    return subprocess.run(command, input=challenge, capture_output=True, check=True).stdout


@contextlib.contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    """A program that listens on this port as long as the block runs."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(2)
            # x11vnc may wait for its display for ever.
            server.kill()


def desktop(*switches: str) -> contextlib.AbstractContextManager[None]:
    """Xvnc on `PORT`."""
    where = ["-interface", "127.0.0.1", "-rfbport", str(PORT), "-ac", "-nolisten", "tcp"]
    what = ["-geometry", "40x24", "-depth", "24", "-desktop", "office", "-AlwaysShared"]
    return serving(["Xvnc", DISPLAY, *where, *what, *switches], PORT)


def other_desktop() -> contextlib.AbstractContextManager[None]:
    """x11vnc on `OTHER_PORT`, of the same screen."""
    where = ["-display", DISPLAY, "-localhost", "-no6", "-rfbport", str(OTHER_PORT)]
    what = [
        "-desktop",
        "office",
        "-shared",
        "-forever",
        "-noxdamage",
        "-xrandr",
        "newfbsize",
        "-nopw",
        "-norc",
    ]
    return serving(["x11vnc", *where, *what], OTHER_PORT)


def run(*command: str, text: str = "") -> None:
    environment = {**os.environ, "DISPLAY": DISPLAY}
    subprocess.run(command, input=text.encode(), env=environment, check=True, stdout=subprocess.DEVNULL)


def colourful(talk: Talk) -> None:
    """Each encoding that Xvnc has, cut texts both ways, another pixel size in the middle."""
    talk.begin(b"RFB 003.008\n", secret=False)
    talk.tell(">", bytes(4) + FOUR_BYTES)
    talk.ask(16, 1, 0)
    talk.request(again=True)
    talk.listen()
    run("xsetroot", "-solid", "#204060")
    talk.request(again=False)
    talk.listen()
    run("xclip", "-selection", "clipboard", text="not to be seen at home")
    talk.listen()
    talk.note("c", pack(">B3xi", 6, 9) + b"forbidden")
    talk.note("c", pack(">B3xi", 6, -6) + bytes(6))
    talk.tell(">", pack(">BBHI", 4, 1, 0, 0xFF2A))
    talk.tell(">", pack(">BBHI", 4, 0, 0, 0xFF2A))
    talk.tell(">", pack(">BBHII", 255, 0, 1, 0xFF22, 0x79))
    talk.tell(">", pack(">BBHII", 255, 0, 0, 0xFF22, 0x79))
    talk.tell(">", pack(">BBHH", 5, 0, 7, 9))
    run("vncconfig", "-set", "desktop=渋谷")
    talk.ask(0)
    talk.request(again=True)
    talk.listen()
    talk.tell(">", pack(">BBHHHH", 150, 1, 0, 0, 40, 24))
    run("xsetroot", "-solid", "#806040")
    talk.listen()
    # Another pixel size while updates flow: the guard's fence goes before it.
    talk.tell("g", pack(">B3xIB", 248, 0x80000004, len(MARK)) + MARK)
    talk.tell(">", bytes(4) + ONE_BYTE)
    run("xsetroot", "-solid", "#406080")
    talk.request(again=True)
    talk.listen()
    talk.tell(">", pack(">BxHHBxIHHHHI", 251, 64, 48, 1, talk.screen, 0, 0, 64, 48, 0))
    talk.listen()
    talk.tell(">", pack(">BBHHHH", 150, 0, 0, 0, 0, 0))
    talk.listen()
    assert talk.fences, "Xvnc has asked with a fence"
    assert talk.pixel == 1, "the mark was answered"


def zlib(talk: Talk) -> None:
    """What Xvnc does not have: an x11vnc with zlib and its own way to say another size."""
    talk.begin(b"RFB 003.008\n", secret=False)
    talk.tell(">", bytes(4) + FOUR_BYTES)
    talk.ask(6)
    for colour in ("#204060", "#806040"):
        run("xsetroot", "-solid", colour)
        talk.request(again=True)
        talk.listen()
    run("xrandr", "-s", "640x480")
    for _ in range(2):
        talk.request(again=False)
        talk.listen()


def plain(version: bytes, *, secret: bool) -> Callable[[Talk], None]:
    """A handshake of that version, and one picture."""

    def record(talk: Talk) -> None:
        talk.begin(version, secret=secret)
        talk.ask(16)
        talk.request(again=True)
        talk.listen()

    return record


def main() -> None:
    """Write the vectors beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        hidden = subprocess.run(
            ["vncpasswd", "-f"], input=PASSWORD.encode(), capture_output=True, check=True
        ).stdout
        password.write_bytes(hidden)
        with_secret = ("-SecurityTypes", "VncAuth", "-PasswordFile", str(password))
        without = ("-SecurityTypes", "None", "-AcceptSetDesktopSize")
        for name, switches, record in (
            ("xvnc-session", without, colourful),
            ("xvnc-3.8-secret", with_secret, plain(b"RFB 003.008\n", secret=True)),
            ("xvnc-3.7-secret", with_secret, plain(b"RFB 003.007\n", secret=True)),
            ("xvnc-3.7", without, plain(b"RFB 003.007\n", secret=False)),
            ("xvnc-3.3-secret", with_secret, plain(b"RFB 003.003\n", secret=True)),
            ("xvnc-3.3", without, plain(b"RFB 003.003\n", secret=False)),
        ):
            with desktop(*switches):
                talk = Talk()
                record(talk)
                talk.socket.close()
            write(name, talk)
    with desktop("-SecurityTypes", "None"), other_desktop():
        talk = Talk(OTHER_PORT)
        zlib(talk)
        talk.socket.close()
        write("x11vnc-zlib", talk)


def write(name: str, talk: Talk) -> None:
    (HERE / f"{name}.txt").write_text("\n".join(talk.lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
