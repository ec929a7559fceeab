"""A real desktop for demo and tests: TigerVNC's Xvnc on a loopback port, with programs on its screen.

X is closed to other users by a cookie. The RFB port is open to everyone on this machine unless a password is
set: whoever starts a shell on such a desktop lends it to them.
"""

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from telerelay_endpoint.processes import end_group

# Xvnc is ready in 60 ms; ten seconds is a machine in trouble.
START_TIMEOUT: Final = 10.0
# After SIGTERM; X programs have nothing to save.
STOP_TIMEOUT: Final = 5.0
# Another process may take the port between our look and Xvnc's: then another port.
_PORT_TRIES: Final = 5


class DesktopError(Exception):
    """Xvnc or a program on its screen is missing, or did not start."""


@dataclass(frozen=True)
class _Place:
    """Where the programs of one desktop live: their folder, their uid (None for our own)."""

    folder: Path
    user: int | None

    @property
    def cookies(self) -> Path:
        return self.folder / "Xauthority"

    @property
    def log(self) -> Path:
        return self.folder / "desktop.log"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
        return {**kept, "HOME": str(self.folder), "XAUTHORITY": str(self.cookies)}


class Desktop:
    """A running Xvnc. `host` and `port`: where it speaks RFB. `display`: its X name, such as ":3"."""

    def __init__(
        self,
        place: _Place,
        programs: AsyncExitStack,
        process: Process,
        address: tuple[str, int],
        display: str,
    ) -> None:
        self.host, self.port = address
        self.display = display
        self.process = process
        self._place = place
        self._programs = programs

    @property
    def folder(self) -> Path:
        """Files of this desktop, removed with it; its home folder."""
        return self._place.folder

    async def start(self, *command: str) -> Process:
        """Start a program on the screen; it ends with the desktop."""
        process = await _start(self._place, command, DISPLAY=self.display)
        self._programs.push_async_callback(end_group, process, STOP_TIMEOUT)
        return process

    async def run(self, *command: str) -> str:
        """Run a program on the screen to its end; its standard output. Raises DesktopError when it fails."""
        return (await _run(self._place, command, DISPLAY=self.display)).decode()


@asynccontextmanager
async def open_desktop(
    *,
    size: tuple[int, int] = (1024, 768),
    host: str = "127.0.0.1",
    password: str | None = None,
    user: int | None = None,
    switches: Sequence[str] = (),
) -> AsyncIterator[Desktop]:
    """Start Xvnc; end it and everything on its screen with the context.

    `size` in pixels. With `password` (at most 8 characters count) the security type is VncAuth, else None.
    `user`: the uid that runs it, for which we must be root. `switches`: more of Xvnc's own.
    Raises DesktopError.
    """
    place = _Place(Path(tempfile.mkdtemp(prefix="telerelay-desktop-")), user)
    try:
        _hand_over(place.folder, user)
        cookie = secrets.token_hex(16)
        await _add_cookie(place, ":0", cookie)
        own = [*await _security(place, password), *switches]
        async with AsyncExitStack() as stack:
            process, address, display = await _start_xvnc(place, stack, host, size, own)
            # Xvnc accepts the cookie by its value; a program looks it up by the name of its display.
            await _add_cookie(place, display, cookie)
            programs = await stack.enter_async_context(AsyncExitStack())
            yield Desktop(place, programs, process, address, display)
    finally:
        shutil.rmtree(place.folder)


async def _start_xvnc(
    place: _Place, stack: AsyncExitStack, host: str, size: tuple[int, int], switches: list[str]
) -> tuple[Process, tuple[str, int], str]:
    for _ in range(_PORT_TRIES):
        port = _free_port(host)
        # The number of the display comes on standard output when Xvnc is ready; nothing when it ends before.
        command = [
            "Xvnc", "-displayfd", "1", "-geometry", f"{size[0]}x{size[1]}", "-depth", "24",
            "-interface", host, "-rfbport", str(port), *switches, "-AlwaysShared",
            "-auth", str(place.cookies), "-nolisten", "tcp",
        ]  # fmt: skip
        process = await _start(place, command, stdout=PIPE)
        stack.push_async_callback(end_group, process, STOP_TIMEOUT)
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        number = await asyncio.wait_for(process.stdout.readline(), START_TIMEOUT)
        if number:
            return process, (host, port), f":{int(number)}"
    raise DesktopError(f"Xvnc did not start: {place.log.read_text(errors='replace').strip()}")


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def _add_cookie(place: _Place, display: str, cookie: str) -> None:
    # Through standard input, because everyone on the machine may read arguments.
    command = f"add {display} . {cookie}\n"
    await _run(place, ("xauth", "-q", "-f", str(place.cookies), "source", "-"), command.encode())


async def _security(place: _Place, password: str | None) -> list[str]:
    if password is None:
        return ["-SecurityTypes", "None"]
    file = place.folder / "passwd"
    file.touch(mode=0o600)
    file.write_bytes(await _run(place, ("vncpasswd", "-f"), f"{password}\n".encode()))
    _hand_over(file, place.user)
    return ["-SecurityTypes", "VncAuth", "-PasswordFile", str(file)]


def _hand_over(path: Path, user: int | None) -> None:
    if user is not None:
        os.chown(path, user, user)


async def _start(
    place: _Place, command: Sequence[str], stdout: int | None = None, **environment: str
) -> Process:
    with place.log.open("ab") as log:
        return await _spawn(place, command, environment, DEVNULL, log if stdout is None else stdout, log)


async def _run(place: _Place, command: Sequence[str], said: bytes = b"", **environment: str) -> bytes:
    process = await _spawn(place, command, environment, PIPE, PIPE, PIPE)
    try:
        out, error = await asyncio.wait_for(process.communicate(said), START_TIMEOUT)
    finally:
        await end_group(process, STOP_TIMEOUT)
    if process.returncode != 0:
        reason = error.decode(errors="replace").strip()
        raise DesktopError(f"{command[0]} ended with {process.returncode}: {reason}")
    return out


async def _spawn(
    place: _Place,
    command: Sequence[str],
    environment: Mapping[str, str],
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            env={**place.environment, **environment},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            # A group of its own, so that Ctrl-C at a terminal reaches us and we end it in order.
            process_group=0,
            user=place.user,
            group=place.user,
            extra_groups=None if place.user is None else [],
        )
    except FileNotFoundError as error:
        raise DesktopError(f"{command[0]} is not installed") from error
