"""A hostile viewer: says anything, and takes note of whatever comes back.

It reads Raw rectangles only. Everything that no desktop may send (a cut text, an encoding or message that is
no screen) is noted; behind what has no length that it knows it goes on looking for texts in the bare bytes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from struct import calcsize, unpack
from typing import Final

from PIL import Image

from telerelay.prove import messages
from telerelay.prove.messages import PIXEL_SIZE, Clipboard, Encoding, Security
from telerelay.prove.verdicts import NotTestedError
from telerelay.prove.way import Session
from telerelay_endpoint.limits import LIMITS

ANSWER_S: Final = LIMITS["prove_answer_s"]
_CORNER_SIZE: Final = 16
"""Pixels in square that are asked for where only the answer counts."""
_PIECE_SIZE: Final = 65_536
_PIXEL_MODE: Final = "RGBX"
_PIXELS_MAXIMUM: Final = LIMITS["prove_pixels"]
_BARE_RECTANGLES: Final = {Encoding.LAST_RECTANGLE, Encoding.QEMU_KEY}


@dataclass
class Heard:
    """What came from the other side, beside pixels."""

    texts: list[bytes] = field(default_factory=list)
    """The cut texts, as their messages had them."""
    strange: list[str] = field(default_factory=list)
    """Messages and rectangles that a viewer of a bare screen never gets."""
    needles: set[bytes] = field(default_factory=set)
    """Those of the texts looked for that came, in whatever disguise."""
    updates: int = 0
    pixels: int = 0
    bare: int = 0
    """Bytes that were read as no message."""

    @property
    def has_text(self) -> bool:
        """Whether a text came, in whatever form."""
        return bool(self.texts or self.needles)


class Viewer:
    """A viewer on one session. Every wait raises NotTestedError where the session breaks off before."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.heard = Heard()
        self.offered = b""
        self.size = (0, 0)
        self.offer: bytes | None = None
        """The text that the desktop gets when it asks for this viewer's clipboard."""
        self._image = Image.new("RGB", (1, 1))
        self._needles: set[bytes] = set()
        self._tail = b""
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None
        self.is_over = False

    # ------------------------------------------------------------ from the first byte to a screen

    async def greet(self) -> None:
        """The version, and which security types are offered."""
        async with self._in_time():
            await self._take(len(messages.VERSION))
            self.say(messages.VERSION)
            (count,) = await self._take(1)
            self.offered = await self._take(count)

    async def begin(self, encodings: Sequence[int] = ()) -> None:
        """Everything up to a screen that answers; `encodings` are asked for beside Raw."""
        await self.greet()
        async with self._in_time():
            self.say(bytes([Security.NONE]))
            await self._take(4)
            self.say(bytes([True]))
            width, height = await self._unpack(">HH16x")
            if not 0 < width * height <= _PIXELS_MAXIMUM:
                raise NotTestedError(
                    f"a screen of {width} x {height} pixels", f"画面が {width} x {height} 画素"
                )
            self.size = (width, height)
            self._image = Image.new("RGB", self.size)
            await self._take((await self._unpack(">I"))[0])
        self.say(
            messages.set_pixel_format(messages.PIXELS) + messages.set_encodings([*encodings, Encoding.RAW])
        )
        self._reading = asyncio.create_task(self._read())
        await self.settle()

    def say(self, said: bytes) -> None:
        """Send it as it is."""
        self.session.writer.write(said)

    async def flush(self) -> None:
        """Until this machine has taken what was said."""
        async with self._in_time():
            await self.session.writer.drain()

    async def go_bare(self) -> None:
        """Read no messages any more, only bytes: whatever is said next, nobody knows where they begin."""
        await self._stop_reading()
        self._reading = asyncio.create_task(self._read_bytes())

    async def close(self) -> None:
        """Leave."""
        await self._stop_reading()
        self.session.writer.close()

    async def _stop_reading(self) -> None:
        if self._reading is None:
            return
        self._reading.cancel()
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.result()

    # ------------------------------------------------------------ what comes back

    async def is_answered(self) -> bool:
        """Whether a byte comes before the session's end, where no screen is read yet."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                return bool(await self.session.reader.read(1))
        return False

    def look_for(self, text: bytes) -> None:
        """Note this text wherever it comes."""
        self._needles.add(text)

    async def settle(self) -> None:
        """Ask for a corner and see it: whatever was said before has been dealt with at the other end."""
        before = self.heard.updates
        self.say(messages.request(_CORNER_SIZE, _CORNER_SIZE))
        await self._until(lambda: self.heard.updates > before)

    async def stir(self) -> None:
        """See any bytes come: where no messages are read, that is what shows life.

        A desktop that has fences sends no more pixels where its own are not answered, yet it answers ours.
        """
        before = self.heard.bare
        self.say(messages.request(_CORNER_SIZE, _CORNER_SIZE) + messages.fence(b"alive"))
        await self._until(lambda: self.heard.bare > before)

    async def picture(self) -> Image.Image:
        """The whole screen as it is now, RGB."""
        wanted = self.heard.pixels + self.size[0] * self.size[1]
        self.say(messages.request(*self.size))
        await self._until(lambda: self.heard.pixels >= wanted)
        return self._image.copy()

    async def hears(self, check: Callable[[Heard], bool], within: float) -> bool:
        """Whether that is heard within so many seconds."""
        async with self._news:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._news.wait_for(lambda: check(self.heard) or self.is_over)
        return check(self.heard)

    async def _until(self, check: Callable[[], bool]) -> None:
        async with self._in_time(), self._news:
            await self._news.wait_for(lambda: check() or self.is_over or bool(self.heard.strange))
        if not check():
            raise NotTestedError("the session did not answer any more", "接続が応答しなくなりました")

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(ANSWER_S):
                yield
        except TimeoutError:
            raise NotTestedError(f"no answer within {ANSWER_S} s", f"{ANSWER_S} 秒以内に応答なし") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise NotTestedError("the session ended too early", "接続が途中で終了") from None

    # ------------------------------------------------------------ messages from the desktop

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._message():
                await self._tell()
            await self._tell()
        await self._read_bytes()

    async def _read_bytes(self) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await self.session.reader.read(_PIECE_SIZE):
                self._scan(piece)
                self.heard.bare += len(piece)
                await self._tell()
        self.is_over = True
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _message(self) -> bool:
        """Read one; False behind one whose end nobody knows."""
        (kind,) = await self._take(1)
        match kind:
            case 0:
                return await self._update()
            case 1:
                _, colours = await self._unpack(">xHH")
                await self._take(6 * colours)
            case 2 | 150:
                pass
            case 3:
                (length,) = await self._unpack(">3xi")
                self._text(length, await self._take(abs(length)))
            case 248:
                _, length = await self._unpack(">3xIB")
                await self._take(length)
            case _:
                self.heard.strange.append(f"message {kind}")
                return False
        return True

    async def _update(self) -> bool:
        (count,) = await self._unpack(">xH")
        for _ in range(count):
            x, y, width, height, encoding = await self._unpack(">HHHHi")
            if encoding in _BARE_RECTANGLES:
                if encoding == Encoding.LAST_RECTANGLE:
                    break
            elif encoding == Encoding.EXTENDED_DESKTOP_SIZE:
                (screens,) = await self._unpack(">B3x")
                await self._take(screens * messages.SCREEN_SIZE)
            elif encoding == Encoding.RAW:
                body = await self._take(width * height * PIXEL_SIZE)
                if body:
                    part = Image.frombytes("RGB", (width, height), body, "raw", _PIXEL_MODE)
                    self._image.paste(part, (x, y))
                self.heard.pixels += width * height
            else:
                self.heard.strange.append(f"encoding {encoding}")
                return False
        self.heard.updates += 1
        return True

    def _text(self, length: int, content: bytes) -> None:
        """A cut text came. The extended form asks and offers: play along, as whoever wants the text would."""
        self.heard.texts.append(content)
        if length >= 0 or len(content) < calcsize(">I"):
            return
        (flags,) = unpack(">I", content[:4])
        if flags & Clipboard.CAPS:
            self.say(messages.capabilities())
        elif flags & Clipboard.NOTIFY:
            self.say(messages.clipboard(Clipboard.REQUEST))
        elif flags & Clipboard.REQUEST and self.offer is not None:
            self.say(messages.provide(self.offer))

    async def _unpack(self, layout: str) -> tuple[int, ...]:
        return unpack(layout, await self._take(calcsize(layout)))

    async def _take(self, length: int) -> bytes:
        content = await self.session.reader.readexactly(length)
        self._scan(content)
        return content

    def _scan(self, content: bytes) -> None:
        if not self._needles:
            return
        whole = self._tail + content
        self.heard.needles |= {needle for needle in self._needles if needle in whole}
        self._tail = whole[-max(map(len, self._needles)) :]
