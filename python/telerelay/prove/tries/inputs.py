"""The controls: the picture is seen, keys arrive; those of somebody who may only look do not."""

import asyncio
import contextlib
from typing import Final

from telerelay.prove import messages
from telerelay.prove.ground import END_S, SILENCE_S, Ground, click, type_word
from telerelay.prove.messages import Encoding
from telerelay.prove.trial import Try
from telerelay.prove.verdicts import NotTestedError, Said, Verdict, failed, passed
from telerelay.prove.viewer import ANSWER_S, Viewer
from telerelay.prove.watch import Marker


async def see_the_marker(ground: Ground) -> Verdict:
    """A pattern that was painted on the desktop is in the picture that comes home."""
    viewer = await ground.neighbour()
    place = await _find(ground, viewer)
    pattern = ground.watch.marker.pattern
    size = f"{pattern.width} x {pattern.height}"
    return passed(
        f"a random pattern of {size} pixels, painted on the desktop, was seen at {place}",
        f"デスクトップに描いた {size} 画素の乱数模様が位置 {place} に見えた",
        viewer.session.attempt,
    )


async def type_and_be_seen(ground: Ground) -> Verdict:
    """Keys typed at home arrive at the desktop."""
    _require_view_only(ground, wanted=False)
    viewer = await ground.neighbour()
    place = await _find(ground, viewer)
    word = Marker.word()
    click(viewer, place)
    type_word(viewer, word)
    await viewer.settle()
    if await ground.watch.sees(word, END_S):
        return passed("the keys arrived", "入力したキーが届いた", viewer.session.attempt)
    return failed(
        "the keys did not arrive: the session that the other tries stand on is dead",
        "キーが届かない: 他の試験の前提となる接続が機能していない",
        viewer.session.attempt,
    )


async def type_in_view_only(ground: Ground) -> Verdict:
    """Keys of both kinds and the pointer, where the rules allow looking only."""
    _require_view_only(ground, wanted=True)
    viewer = await ground.fresh([Encoding.QEMU_KEY])
    place = await _find(ground, viewer)
    watch = ground.watch
    await watch.focus()
    before = len(watch.marker.typed)
    click(viewer, place)
    type_word(viewer, Marker.word())
    for down in (True, False):
        # F5, and its place on an XT keyboard.
        viewer.say(messages.qemu_key(0xFFC2, 0x3F, down=down))
    await viewer.settle()
    if await watch.sees_any(before, SILENCE_S):
        return failed("a key arrived", "キーが届いた", viewer.session.attempt)
    return passed("no key arrived", "キーは届かなかった", viewer.session.attempt)


async def _find(ground: Ground, viewer: Viewer) -> tuple[int, int]:
    marker = ground.watch.marker
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while True:
                # A program paints its window when it comes to it.
                if (place := marker.find(await viewer.picture())) is not None:
                    return place
    raise NotTestedError(
        "the pattern on the watched desktop is not in the picture: it is another desktop, or covered",
        "監視中の画面の模様が映像にない: 別のデスクトップか、隠れている",
    )


def _require_view_only(ground: Ground, *, wanted: bool) -> None:
    if ground.asked.view_only and not wanted:
        raise NotTestedError("the rules allow looking only (--view-only)", "閲覧のみの規則 (--view-only)")
    if wanted and not ground.asked.view_only:
        raise NotTestedError(
            "nobody said that the rules allow looking only (--view-only)",
            "閲覧のみの規則であるとの指定がない (--view-only)",
        )


TRIES: Final = (
    Try(
        "picture",
        (1,),
        Said(
            "Control: what is painted on the desktop is seen at home.",
            "対照: デスクトップに描いたものが自宅側で見える。",
        ),
        see_the_marker,
    ),
    Try(
        "keys",
        (1,),
        Said(
            "Control: keys typed at home arrive at the desktop.",
            "対照: 自宅側で入力したキーがデスクトップに届く。",
        ),
        type_and_be_seen,
        essential=False,
    ),
    Try(
        "view-only",
        (1, 10),
        Said(
            "Where the rules allow looking only, keys and pointer do not arrive.",
            "閲覧のみの規則のとき、キーとポインターは届かない。",
        ),
        type_in_view_only,
        essential=False,
    ),
)
