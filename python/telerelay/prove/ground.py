"""What every try stands on: the way to the desktop, a watch on it, and a session beside that must live on."""

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from telerelay.prove.messages import key, pointer
from telerelay.prove.verdicts import NotTestedError, Said
from telerelay.prove.viewer import Viewer
from telerelay.prove.watch import Watch
from telerelay.prove.way import RefusedError, Way, open_way
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

SILENCE_S: Final = LIMITS["prove_silence_ms"] / 1000
END_S: Final = LIMITS["prove_end_s"]
DESKTOP_ENDS: Final = ("DESKTOP_LOST", "DESKTOP_PROTOCOL", "DONE")
"""How a session ends whose desktop has ended it: what was said had reached it."""
GUARD_ENDS: Final = ("POLICY_FILE", "POLICY_UNKNOWN", "UNSUPPORTED")
"""How a session ends that the guard refuses behind its screen's first answer (GUARD.md §10)."""
TEXT_CAME: Final = Said("a text of the office came home", "職場の文字列が自宅側に届いた")
_SESSIONS_RULE: Final = "sessions=1"
_WATERMARK_RULE: Final = "watermark"


@dataclass(frozen=True)
class Asked:
    """What the auditor asked for. Computer IDs are as shown; None: there is none to try."""

    computer: str
    watch: str | None = None
    """The X display of the desktop."""
    not_granted: str | None = None
    """A computer of the organisation that this device is not granted."""
    expired: str | None = None
    """One whose grant to this device has ended."""
    closed: str | None = None
    """One that is granted and closed at this hour."""
    view_only: bool = False
    """The rules say that this device only looks."""


class Ground:
    """Opened by `stand`. `watch` is None where nobody watches the desktop."""

    def __init__(self, credentials: Credentials, asked: Asked, watch: Watch | None) -> None:
        self.credentials = credentials
        self.asked = asked
        self._watch = watch
        self._stack = AsyncExitStack()
        self._way: Way | None = None
        self._neighbour: Viewer | None = None
        self._fresh: list[Viewer] = []
        self._kept: dict[str, Viewer] = {}

    @property
    def watch(self) -> Watch:
        """The observer on the desktop. Raises NotTestedError where there is none."""
        if self._watch is None:
            raise NotTestedError(
                "nobody watched the desktop: run it with --watch", "デスクトップを監視していません (--watch)"
            )
        return self._watch

    @property
    def has_watermark(self) -> bool:
        """Whether the agent says that it draws the screen anew, with a mark over it."""
        return self._way is not None and _WATERMARK_RULE in self._way.rules

    async def stand(self) -> None:
        """Open the way, unless it is open, with the session beside.

        Raises TelerelayError where no session can be had at all: the code that says why.
        """
        beside = self._neighbour
        if beside is not None and not beside.is_over and not beside.heard.strange:
            return
        await self.leave()
        self._way = await self._stack.enter_async_context(open_way(self.credentials, self.asked.computer))
        answer = await self._way.answer()
        if answer.code is not None:
            raise TelerelayError(
                answer.code, answer.detail, attempt=answer.attempt, retry_after_s=answer.retry_after_s
            )
        if _SESSIONS_RULE in self._way.rules:
            raise TelerelayError("SESSIONS", "two are needed side by side, the rules allow one")
        try:
            self._neighbour = Viewer(await self._way.session())
            await self._neighbour.begin()
        except RefusedError as error:
            raise TelerelayError(error.answer.code or "INTERNAL", attempt=error.answer.attempt) from error
        except NotTestedError as error:
            raise TelerelayError(await self._why_none(), str(error)) from error

    async def fresh(self, encodings: Sequence[int] = ()) -> Viewer:
        """A session of its own whose screen answers. Raises NotTestedError."""
        viewer = await self.ungreeted()
        await viewer.begin(encodings)
        return viewer

    async def ungreeted(self) -> Viewer:
        """A session of its own in which nothing was said yet. Raises NotTestedError."""
        if self._way is None:
            raise AssertionError("nobody stands yet")
        try:
            viewer = Viewer(await self._way.session())
        except RefusedError as error:
            code = error.answer.code
            raise NotTestedError(f"no session: {code}", f"接続できません: {code}") from error
        except TelerelayError as error:
            raise NotTestedError(f"no session: {error.code}", f"接続できません: {error.code}") from error
        self._fresh.append(viewer)
        return viewer

    async def kept(self, name: str, encodings: Sequence[int] = ()) -> Viewer:
        """A session that tries share which leave it alive."""
        viewer = self._kept.get(name)
        if viewer is None or viewer.is_over:
            viewer = await self.fresh(encodings)
            self._fresh.remove(viewer)
            self._kept[name] = viewer
        return viewer

    async def neighbour(self) -> Viewer:
        """The session beside, which lives and answers. Raises NotTestedError where it does not."""
        if self._neighbour is None:
            raise AssertionError("nobody stands yet")
        await self._neighbour.settle()
        return self._neighbour

    async def harm(self) -> list[Said]:
        """What came since the last try or of this one, whatever it was about, each told once.

        What came back and is no screen, in whichever session and however late; a desktop taken down.
        """
        beside = self._neighbour
        viewers = [*self._fresh, *self._kept.values(), *([beside] if beside else [])]
        harm = [Said(one, one) for viewer in viewers for one in viewer.heard.strange]
        if any(viewer.heard.has_text for viewer in viewers):
            harm.append(TEXT_CAME)
        for viewer in viewers:
            viewer.heard.texts.clear()
            viewer.heard.needles.clear()
        if beside is not None and beside.is_over:
            code = await beside.session.end(END_S)
            if code in DESKTOP_ENDS:
                harm.append(Said(f"the session beside: {code}", f"並行する接続: {code}"))
        return harm

    async def tidy(self) -> None:
        """Leave the sessions of one try, and those that others cannot use any more."""
        spoilt = [name for name, viewer in self._kept.items() if viewer.is_over or viewer.heard.strange]
        for viewer in [*self._fresh, *(self._kept.pop(name) for name in spoilt)]:
            await viewer.close()
        self._fresh.clear()

    async def leave(self) -> None:
        """Leave everything."""
        await self.tidy()
        for viewer in [*self._kept.values(), *([self._neighbour] if self._neighbour else [])]:
            await viewer.close()
        self._kept.clear()
        self._neighbour = None
        await self._stack.aclose()

    async def _why_none(self) -> str:
        """The code with which the session beside ended before it had a screen."""
        code = await self._neighbour.session.end(END_S) if self._neighbour else None
        return code or "DESKTOP_ABSENT"


def canary() -> bytes:
    """A text that is nowhere else."""
    return f"canary-{secrets.token_hex(12)}".encode()


def type_word(viewer: Viewer, word: Sequence[tuple[str, int]]) -> None:
    """Press and release these keys."""
    for _, keysym in word:
        viewer.say(key(keysym, down=True) + key(keysym, down=False))


def click(viewer: Viewer, place: tuple[int, int], inside: int = 4) -> None:
    """Click a few pixels inside a window whose corner is at `place`."""
    x, y = place[0] + inside, place[1] + inside
    viewer.say(pointer(x, y) + pointer(x, y, buttons=1) + pointer(x, y))
