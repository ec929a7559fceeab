"""The observer on the office desktop: what can be pasted there, which keys arrive, what its screen shows.

It is a program of the desktop's X display (`--watch`): it sees what the desktop has, whoever brought it.
xclip, xloadimage, xdotool and xev do its work.
"""

import asyncio
import contextlib
import os
import re
import secrets
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from telerelay.prove.verdicts import NotTestedError
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.processes import end_group

_PROGRAM_S: Final = LIMITS["prove_program_s"]
_LOOK_S: Final = 0.05
_SELECTIONS: Final = ("clipboard", "primary")
# Colours that a screen of any depth shows as they are, and that a watermark does not turn into one another.
_COLOURS: Final = [bytes((red, green, blue)) for red in (0, 255) for green in (0, 255) for blue in (0, 255)]
_TO_ITS_COLOURS: Final = (128 * [0] + 128 * [255]) * 3
"""For red, green and blue: what a watermark has drawn towards white or black is what it was."""
_PATTERN: Final = (48, 32)
_GEOMETRY: Final = f"{_PATTERN[0]}x{_PATTERN[1]}+24+24"
# Keys that write nothing and start nothing: the marker's window has the focus.
_KEYS: Final = {f"F{number}": 0xFFBD + number for number in range(5, 10)}
_OWN_KEY: Final = "F12"
"""Pressed by the watch itself, to see that it sees."""
_WORD_LENGTH: Final = 8
_KEY_SEEN: Final = re.compile(r"\(keysym 0x[0-9a-f]+, (\w+)\)")


@dataclass(frozen=True)
class Marker:
    """A window with a random pattern on the watched screen, and the keys that were seen in it."""

    window: str
    pattern: Image.Image
    seen: list[str]

    @property
    def typed(self) -> list[str]:
        """Those that the watch has not pressed itself."""
        return [name for name in self.seen if name != _OWN_KEY]

    def find(self, picture: Image.Image) -> tuple[int, int] | None:
        """Its upper left corner in a picture of the screen, also below a watermark."""
        picture = picture.point(_TO_ITS_COLOURS)
        row = self.pattern.crop((0, 0, self.pattern.width, 1)).tobytes()
        pixels, wide = picture.tobytes(), 3 * picture.width
        at = pixels.find(row)
        while at >= 0:
            y, x = at // wide, at % wide // 3
            if at % 3 == 0:
                part = picture.crop((x, y, x + self.pattern.width, y + self.pattern.height))
                if part.tobytes() == self.pattern.tobytes():
                    return x, y
            at = pixels.find(row, at + 1)
        return None

    @staticmethod
    def word() -> list[tuple[str, int]]:
        """Keys to type, by name and keysym: nobody types the same by accident."""
        return [secrets.choice(list(_KEYS.items())) for _ in range(_WORD_LENGTH)]

    def has(self, word: Sequence[tuple[str, int]]) -> bool:
        """Whether these keys were seen, in this order."""
        names, typed = [name for name, _ in word], self.typed
        return any(typed[at : at + len(names)] == names for at in range(len(typed)))


class Watch:
    """Looks at one X display. Its methods raise NotTestedError where the display does not answer."""

    def __init__(self, display: str, folder: Path, stack: AsyncExitStack) -> None:
        self._environment = {**os.environ, "DISPLAY": display}
        self._folder = folder
        self._stack = stack
        self._marker: Marker | None = None

    @property
    def marker(self) -> Marker:
        """What `mark` has put on the screen."""
        if self._marker is None:
            raise AssertionError("a watch begins with its marker")
        return self._marker

    async def sees(self, word: Sequence[tuple[str, int]], within: float) -> bool:
        """Whether these keys are typed into the marker's window within so many seconds."""

        async def seen() -> bool:
            return self.marker.has(word)

        return await _comes_true(seen, within)

    async def sees_any(self, before: int, within: float) -> bool:
        """Whether more than so many keys are typed into the marker's window within so many seconds."""

        async def seen() -> bool:
            return len(self.marker.typed) > before

        return await _comes_true(seen, within)

    async def focus(self) -> None:
        """Give the marker's window pointer and focus: whatever is typed is typed there, and is seen."""
        marker, before = self.marker, len(self.marker.seen)
        await self._run("xdotool", "mousemove", "--window", marker.window, "4", "4")
        await self._run("xdotool", "windowfocus", marker.window)

        async def seen() -> bool:
            await self._run("xdotool", "key", _OWN_KEY)
            return len(marker.seen) > before

        await self._must(seen)

    async def gets(self, text: bytes, other: bytes, within: float) -> bool:
        """Whether somebody at the office could paste this text within so many seconds.

        `other` was copied before. Where neither can be pasted nobody has looked: raises NotTestedError.
        """

        async def came() -> bool:
            return any(text in selection for selection in await self._selections())

        if await _comes_true(came, within):
            return True
        last = await self._selections()
        if any(text in selection for selection in last):
            return True
        if not all(other in selection for selection in last):
            raise NotTestedError(
                "what was copied on the watched desktop cannot be pasted there any more",
                "監視中のデスクトップでコピーした文字列を貼り付けられなくなりました",
            )
        return False

    async def copy(self, text: bytes) -> None:
        """Copy a text at the office, and see that it can be pasted there."""
        for name in _SELECTIONS:
            process = await self._start("xclip", "-i", "-quiet", "-selection", name, stdin=PIPE)
            if process.stdin is None:
                raise AssertionError("a pipe was asked for")
            process.stdin.write(text)
            process.stdin.close()

        async def copied() -> bool:
            return all(text in selection for selection in await self._selections())

        if not await _comes_true(copied, _PROGRAM_S):
            raise NotTestedError(
                "nothing could be copied on the watched desktop", "監視中のデスクトップでコピーできません"
            )

    async def mark(self) -> None:
        """Show a pattern that nobody can guess, and watch the keys that its window gets."""
        name = f"telerelay-prove-{secrets.token_hex(4)}"
        size = _PATTERN[0] * _PATTERN[1]
        pattern = Image.frombytes("RGB", _PATTERN, b"".join(secrets.choice(_COLOURS) for _ in range(size)))
        file = self._folder / f"{name}.ppm"
        pattern.save(file)
        await self._start("xloadimage", "-quiet", "-title", name, "-geometry", _GEOMETRY, str(file))
        found = await self._run("xdotool", "search", "--sync", "--onlyvisible", "--name", name)
        window = found.decode().split()[0]
        watcher = await self._start("stdbuf", "-oL", "xev", "-id", window, "-event", "keyboard", stdout=PIPE)
        marker = Marker(window, pattern, [])
        reading = asyncio.create_task(_note_keys(watcher, marker.seen))
        self._stack.push_async_callback(_cancel, reading)
        self._marker = marker

        async def watched() -> bool:
            await self._run("xdotool", "key", "--window", window, _OWN_KEY)
            return bool(marker.seen)

        await self._must(watched)

    async def _must(self, check: Callable[[], Awaitable[bool]]) -> None:
        if not await _comes_true(check, _PROGRAM_S):
            raise NotTestedError(
                "keys of the watched desktop are not seen", "監視中のデスクトップのキー入力を確認できません"
            )

    async def _selections(self) -> Sequence[bytes]:
        return await asyncio.gather(*map(self._selection, _SELECTIONS))

    async def _selection(self, name: str) -> bytes:
        # It fails where nobody has copied anything, and waits for an owner that does not answer. That nothing
        # came shows nothing by itself: whoever asks looks for what must be there as well.
        process = await self._spawn("xclip", "-o", "-selection", name, stdout=PIPE)
        try:
            async with asyncio.timeout(_PROGRAM_S):
                out, _ = await process.communicate()
        except TimeoutError:
            return b""
        finally:
            await end_group(process, _PROGRAM_S)
        return out

    async def _run(self, *command: str) -> bytes:
        process = await self._spawn(*command, stdout=PIPE)
        try:
            async with asyncio.timeout(_PROGRAM_S):
                out, _ = await process.communicate()
        except TimeoutError:
            out = b""
        finally:
            await end_group(process, _PROGRAM_S)
        if process.returncode != 0:
            raise NotTestedError(
                f"{command[0]} failed on the watched desktop", f"監視中のデスクトップで {command[0]} が失敗"
            )
        return out

    async def _start(self, *command: str, stdin: int = DEVNULL, stdout: int = DEVNULL) -> Process:
        process = await self._spawn(*command, stdin=stdin, stdout=stdout)
        self._stack.push_async_callback(end_group, process, _PROGRAM_S)
        return process

    async def _spawn(self, *command: str, stdin: int = DEVNULL, stdout: int = DEVNULL) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=stdin,
                stdout=stdout,
                stderr=DEVNULL,
                env=self._environment,
                # A group of its own: Ctrl-C at a terminal reaches us, and we end it in order.
                process_group=0,
            )
        except FileNotFoundError:
            raise TelerelayError("MACHINE", f"--watch needs {command[0]}, which is not installed") from None


@asynccontextmanager
async def open_watch(display: str) -> AsyncIterator[Watch]:
    """Watch a display until the context ends. Raises TelerelayError: MACHINE, DESKTOP_ABSENT."""
    with tempfile.TemporaryDirectory(prefix="telerelay-prove-") as folder:
        async with AsyncExitStack() as stack:
            watch = Watch(display, Path(folder), stack)
            try:
                await watch.mark()
            except NotTestedError as error:
                raise TelerelayError("DESKTOP_ABSENT", f"--watch {display}: {error}") from error
            yield watch


async def _comes_true(check: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Look again and again for so many seconds: X tells its own clients alone, its programs tell nobody."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while not await check():  # noqa: ASYNC110 — as above
                await asyncio.sleep(_LOOK_S)
            return True
    return False


async def _note_keys(watcher: Process, seen: list[str]) -> None:
    """Take what xev writes; a release bears the same name as its press, in the line of its own event."""
    if watcher.stdout is None:
        raise AssertionError("a pipe was asked for")
    pressed = False
    async for line in watcher.stdout:
        text = line.decode(errors="replace")
        if "event, serial" in text:
            pressed = text.startswith("KeyPress")
        elif pressed and (found := _KEY_SEEN.search(text)):
            seen.append(found[1])


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
