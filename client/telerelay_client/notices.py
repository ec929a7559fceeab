"""The notices of an organisation: shown and confirmed before a session opens (PROTOCOL.md §8.1)."""

import asyncio
import os
import re
import sys
import termios
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from telerelay_client.telling import Telling
from telerelay_core import NoticeAsked
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

_ANSWER_S: Final = LIMITS["notice_s"]
_SHOWN_DIGITS: Final = 16
"""Digits of a notice's number that name it to a person: 64 bits."""
_NUMBER: Final = re.compile(f"[0-9a-f]{{{_SHOWN_DIGITS},64}}")
_LINE_SIZE: Final = 4096
"""Of a terminal (termios(3))."""
_YES: Final = ("y", "yes", "はい")


def read_numbers(given: Collection[str]) -> list[str]:
    """Numbers of notices (SHA-256, at least the digits that are shown). Raises TelerelayError(USAGE)."""
    for number in given:
        if _NUMBER.fullmatch(number) is None:
            raise TelerelayError(
                "USAGE", f"{number!r} is no number of a notice: {_SHOWN_DIGITS} hex digits at least"
            )
    return list(given)


class Notices:
    """Asks about one notice after the other. What was answered stands for the whole run of `connect`."""

    def __init__(self, telling: Telling, confirmed: Collection[str], *, somebody: bool) -> None:
        """`confirmed`: numbers of texts that need no question. `somebody`: whether a person sits there."""
        self._telling = telling
        self._given = confirmed
        self._somebody = somebody
        self._waiting: asyncio.Queue[NoticeAsked] = asyncio.Queue()
        self._answers: dict[bytes, bool] = {}
        self._asking: asyncio.Task[None] | None = None
        self.why = ""
        """Why a notice was not confirmed, where the person did not say no."""

    def asked(self, notice: NoticeAsked) -> None:
        """A session waits for this one."""
        self._waiting.put_nowait(notice)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking

    async def _ask_all(self) -> None:
        while True:
            notice = await self._waiting.get()
            if notice.hash not in self._answers:
                self._telling.notice(notice.attempt, notice.hash, notice.text)
                self._answers[notice.hash] = await self._is_confirmed(notice.hash.hex())
            confirmed = self._answers[notice.hash]
            self._telling.answered(notice.attempt, notice.hash, confirmed=confirmed)
            notice.answer(confirmed)

    async def _is_confirmed(self, number: str) -> bool:
        if any(number.startswith(given) for given in self._given):
            return True
        if not self._somebody:
            self.why = f"nobody to ask; --confirm-notice {number[:_SHOWN_DIGITS]} confirms it"
            return False
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._ask()
        except TimeoutError:
            self.why = f"no answer within {_ANSWER_S} s"
            return False

    async def _ask(self) -> bool:
        self._telling.question("Do you confirm that you have read it? [y/N] ", "内容を確認しましたか [y/N] ")
        answer = ""
        try:
            answer = await _typed()
        finally:
            if not answer:
                self._telling.question("\n", "\n")
        return answer.strip().lower() in _YES


async def _typed() -> str:
    """The next line of the terminal; nothing at its end. A thread that reads could not be given up."""
    terminal = sys.stdin.fileno()
    # What was typed before the text was shown answers nothing.
    termios.tcflush(terminal, termios.TCIFLUSH)
    come = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(terminal, come.set)
    try:
        await come.wait()
    finally:
        loop.remove_reader(terminal)
    return os.read(terminal, _LINE_SIZE).decode(errors="replace")
