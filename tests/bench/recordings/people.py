"""What somebody does in front of a screen, with the pauses that people make."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from telerelay.demo.desktop import Desktop

_LINE: Final = "the office sends a letter to every household about the new garbage calendar"
_PAGES: Final = (
    "i=0; while [ $i -lt 4000 ]; do i=$((i + 1)); "
    rf"printf '\033[3%dm%d\033[0m {_LINE}\n' $((i % 8)) $i; done"
)
_FONT: Final = ("-fa", "Monospace", "-fs", "11")
_EDITOR: Final = (60, 60)
_READER: Final = (60, 500)
_LEAST_S: Final = 3.0

Deed: TypeAlias = Callable[[float], Awaitable[None]]
"""What is done for so many seconds."""


async def furnish(office: Desktop) -> None:
    """Put on the screen what an office has: something to write in and something to read."""
    pages = office.folder / "pages"
    await office.run("sh", "-c", f"{_PAGES} >{pages}")
    await office.start("xterm", *_FONT, "-geometry", "80x16+0+0", "-e", "cat")
    wheel = "XTerm*alternateScroll: true"
    reader = ("xterm", *_FONT, "-xrm", wheel, "-geometry", "130x22+0+380", "-e", "less", "-R", str(pages))
    await office.start(*reader)
    await office.run("xdotool", "mousemove", "--sync", *map(str, _EDITOR))


class Person:
    """Somebody at home, seeded. `home` has the viewer on its screen, `office` is what it shows."""

    def __init__(self, home: Desktop, office: Desktop, seed: int) -> None:
        self._home = home
        self._office = office
        self._chance = random.Random(seed)

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """By the model that is fitted to it."""
        return {
            "idle": self._rest,
            "typing": self._type,
            "scrolling": self._scroll,
            "video": self._watch,
            "office": self._work,
        }

    async def _type(self, seconds: float) -> None:
        """Words, keys a sixth of a second apart at the median, and a look at some lines' end."""
        await self._point(_EDITOR)
        end = _now() + seconds
        while _now() < end:
            for letter in [*self._chance.choice(_LINE.split()), "space"]:
                await self._do("key", letter)
                await asyncio.sleep(self._chance.lognormvariate(-1.8, 0.5))
            if self._chance.random() < 1 / 8:
                await self._do("key", "Return")
                await asyncio.sleep(self._chance.uniform(0.3, 0.9))

    async def _scroll(self, seconds: float) -> None:
        """A wheel that is turned some notches at a time, and looks."""
        await self._point(_READER)
        end = _now() + seconds
        while _now() < end:
            notch = self._chance.choice(("4", "5", "5", "5"))
            for _ in range(self._chance.randrange(3, 12)):
                await self._do("click", notch)
                await asyncio.sleep(self._chance.lognormvariate(-2.8, 0.4))
            await asyncio.sleep(self._chance.lognormvariate(-1.2, 0.4))

    async def _watch(self, seconds: float) -> None:
        """A film."""
        film = await self._office.start(sys.executable, str(Path(__file__).with_name("film.py")))
        await asyncio.sleep(seconds)
        film.terminate()
        await film.wait()

    async def _rest(self, seconds: float) -> None:
        """Reads, telephones, thinks; a hand on the mouse now and then."""
        await self._point(_EDITOR)
        end = _now() + seconds
        while (left := end - _now()) > 0:
            await asyncio.sleep(min(self._chance.expovariate(1 / 12), left))
            await self._stir()

    async def _work(self, seconds: float) -> None:
        """Of an office: mostly looking, letters, documents, seldom a film."""
        shares = {self._rest: 0.5, self._type: 0.28, self._scroll: 0.2, self._watch: 0.02}
        end = _now() + seconds
        while (left := end - _now()) > 0:
            (deed,) = self._chance.choices(list(shares), list(shares.values()))
            await deed(min(max(self._chance.lognormvariate(2, 0.6), _LEAST_S), left))

    async def _stir(self) -> None:
        """Move the mouse for a moment: it tells of itself sixty times a second."""
        steps = []
        for _ in range(self._chance.randrange(5, 40)):
            across, down = self._chance.randrange(9), self._chance.randrange(-4, 5)
            steps += ["mousemove_relative", "--", str(across - 4), str(down), "sleep", "0.016"]
        await self._do(*steps)

    async def _point(self, place: tuple[int, int]) -> None:
        # TigerVNC tells of the pointer once a button was pressed.
        await self._do("mousemove", *map(str, place), "click", "1")

    async def _do(self, *action: str) -> None:
        await self._home.run("xdotool", *action)


def _now() -> float:
    return asyncio.get_running_loop().time()
