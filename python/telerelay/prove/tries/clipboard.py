"""The clipboard, both ways and in every form: plain, extended, long, in pieces, unasked."""

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Final

from telerelay.prove import messages
from telerelay.prove.ground import (
    DESKTOP_ENDS,
    END_S,
    GUARD_ENDS,
    SILENCE_S,
    TEXT_CAME,
    Ground,
    canary,
)
from telerelay.prove.messages import Clipboard, Encoding
from telerelay.prove.trial import Try
from telerelay.prove.verdicts import NotTestedError, Said, Verdict, failed, passed
from telerelay.prove.viewer import Viewer

_LONG_LENGTH: Final = 100_000
"""Characters of a long text: what desktops still take."""
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_EXTENDED: Final = (Encoding.CLIPBOARD,)
_HAS_TEXT: Final = attrgetter("has_text")
_PUSHED_SIZE: Final = len(messages.request(0, 0))
_HEAD_SIZE: Final = len(messages.desktop_size(0, 0, b""))
_HALF: Final = _HEAD_SIZE + messages.SCREEN_SIZE
_PLACES: Final = (8, 40)
"""Of the pointer, in pixels from the upper left corner."""

Say = Callable[[Viewer, bytes], None]


# ---------------------------------------------------------------- from home to the office


async def carry_in(ground: Ground, say: Say, name: str, encodings: Sequence[int] = ()) -> Verdict:
    """Say a text as `say` does; nobody at the office may be able to paste it."""
    watch = ground.watch
    viewer = await ground.kept(name, encodings)
    text, other = canary(), canary()
    await watch.copy(other)
    say(viewer, text)
    await viewer.flush()
    # Asked for behind it: when it is answered, the text has been dealt with.
    await viewer.settle()
    if await watch.gets(text, other, SILENCE_S):
        return _failed_in(viewer)
    await viewer.settle()
    return _passed_in(viewer)


async def claim_in(ground: Ground, length: int) -> Verdict:
    """A text with a length that is not its own: 2 GiB are announced, or less than nothing."""
    watch = ground.watch
    viewer = await ground.fresh()
    text, other = canary(), canary()
    await watch.copy(other)
    viewer.say(messages.cut_text(text, length) + messages.cut_text(text))
    await viewer.flush()
    if await watch.gets(text, other, SILENCE_S):
        return _failed_in(viewer)
    ended = await viewer.session.end(END_S if viewer.is_over else 0)
    # Whoever stands beside lives on, whatever becomes of this session.
    await ground.neighbour()
    if ended in DESKTOP_ENDS:
        return failed(
            f"the desktop ended the session ({ended}): the length reached it",
            f"デスクトップが切断した ({ended}): 長さが届いている",
            viewer.session.attempt,
        )
    _must_be_guards(viewer, ended)
    return _passed_in(viewer)


async def part_in(ground: Ground) -> Verdict:
    """A screen's size in two halves; a guard that draws anew has something to ask of the desktop in between.

    What it asked within the size would push the end of the size out of it, and the desktop would hear a text.
    """
    watch = ground.watch
    if not ground.has_watermark:
        raise NotTestedError(
            "the rules have no watermark: nothing is asked of the desktop but by the viewer",
            "透かしの規則がない: デスクトップへの要求は閲覧側のものだけ",
        )
    viewer = await ground.fresh([Encoding.EXTENDED_DESKTOP_SIZE, Encoding.CONTINUOUS_UPDATES])
    text, other = canary(), canary()
    size, next_size = _sizes(viewer, text)
    await watch.copy(other)
    viewer.say(messages.continuous_updates(*viewer.size))
    if not await _stirs(ground, viewer):
        raise NotTestedError("the pointer is not seen to move", "ポインターの動きが映像に現れない")
    viewer.say(size[:_HALF])
    await viewer.flush()
    # No picture comes any more when one was asked for within the message, and when none may be.
    while await _stirs(ground, viewer):
        pass
    viewer.say(size[_HALF:] + next_size)
    await viewer.flush()
    if await watch.gets(text, other, SILENCE_S):
        return _failed_in(viewer)
    await viewer.settle()
    return _passed_in(viewer)


async def _stirs(ground: Ground, viewer: Viewer) -> bool:
    """Whether the pointer, moved in the session beside, is seen in this one."""
    before = viewer.heard.updates
    beside = await ground.neighbour()
    for place in _PLACES:
        beside.say(messages.pointer(place, place))
        await beside.settle()
    return await viewer.hears(lambda heard: heard.updates > before, SILENCE_S)


def _sizes(viewer: Viewer, text: bytes) -> tuple[bytes, bytes]:
    """Two sizes that no desktop takes: their screens lie far outside.

    What a request within the first pushes out of it would begin a list of encodings, which takes the head of
    the second along. There is a cut text behind it.
    """
    encodings = messages.set_encodings([-1] * 4)
    size = messages.desktop_size(*viewer.size, b"\xff" * 22 + encodings[:_PUSHED_SIZE])
    rest = encodings[_PUSHED_SIZE + _HEAD_SIZE :]
    return size, messages.desktop_size(*viewer.size, rest + messages.cut_text(text.ljust(38, b".")))


def plain(viewer: Viewer, text: bytes) -> None:
    """ClientCutText as it is."""
    viewer.say(messages.cut_text(text))


def in_pieces(viewer: Viewer, text: bytes) -> None:
    """A byte at a time."""
    for byte in messages.cut_text(text):
        viewer.say(bytes([byte]))


def long(viewer: Viewer, text: bytes) -> None:
    """A long text that begins with the one looked for."""
    viewer.say(messages.cut_text(text + b"." * _LONG_LENGTH))


def offered(viewer: Viewer, text: bytes) -> None:
    """The extended form as it is meant: tell that there is a text, give it to whoever asks."""
    viewer.offer = text
    viewer.say(messages.capabilities() + messages.clipboard(Clipboard.NOTIFY))


def unasked(viewer: Viewer, text: bytes) -> None:
    """The extended form without a question: desktops take it from whoever has just told of a text."""
    viewer.offer = None
    viewer.say(messages.capabilities() + messages.clipboard(Clipboard.NOTIFY) + messages.provide(text))


def hidden(viewer: Viewer, text: bytes) -> None:
    """Between two halves of a list of encodings and a request, in one piece."""
    viewer.say(
        messages.set_encodings([Encoding.RAW] * 300)
        + messages.cut_text(text)
        + messages.request(1, 1, incremental=True)
    )


# ---------------------------------------------------------------- from the office to home


async def carry_out(
    ground: Ground,
    name: str,
    encodings: Sequence[int] = (),
    ask: bytes = b"",
    length: int = 0,
) -> Verdict:
    """Copy a text at the office; nothing of a text may come home. `ask`: what the viewer says to get it."""
    watch = ground.watch
    viewer = await ground.kept(name, encodings)
    text = canary()
    viewer.look_for(text)
    await watch.copy(text + b"." * length)
    viewer.say(ask)
    await viewer.settle()
    if await viewer.hears(_HAS_TEXT, SILENCE_S):
        return _failed_out(viewer)
    await viewer.settle()
    return _passed_out(viewer)


async def slip_out(ground: Ground, requests: int = 40) -> Verdict:
    """While the screen moves: many answers are under way, another pixel size is asked for, a text is copied.

    Who follows the desktop's stream and loses its place would hand the text on as pixels.
    """
    watch = ground.watch
    viewer = await ground.fresh([Encoding.LAST_RECTANGLE, Encoding.FENCE])
    text = canary()
    viewer.look_for(text)
    width, height = viewer.size
    await viewer.go_bare()
    viewer.say(messages.request(width, height) * requests)
    viewer.say(messages.set_pixel_format(messages.PALE_PIXELS) + messages.request(width, height))
    await viewer.flush()
    await watch.copy(text)
    if await viewer.hears(_HAS_TEXT, SILENCE_S):
        return _failed_out(viewer)
    ended = await viewer.session.end(END_S if viewer.is_over else 0)
    _must_be_guards(viewer, ended)
    if ended is None:
        await viewer.stir()
    await ground.neighbour()
    return _passed_out(viewer)


async def count_caps(ground: Ground) -> Verdict:
    """Ask for the extended clipboard: the desktop would answer at once with what it can do."""
    viewer = await ground.fresh(_EXTENDED)
    if await viewer.hears(_HAS_TEXT, SILENCE_S):
        return failed(
            "the desktop's clipboard answered",
            "デスクトップのクリップボードが応答した",
            viewer.session.attempt,
        )
    await viewer.settle()
    return passed(
        "the desktop did not offer its clipboard", "クリップボードは提示されなかった", viewer.session.attempt
    )


def _must_be_guards(viewer: Viewer, ended: str | None) -> None:
    """A session lives on, or the guard has ended it: a session that broke carried nothing either."""
    if ended not in GUARD_ENDS and (viewer.is_over or ended is not None):
        raise NotTestedError(f"the session ended with {ended}", f"接続が {ended} で終了")


def _failed_in(viewer: Viewer) -> Verdict:
    return failed(
        "the text could be pasted at the office", "文字列が職場側で貼り付けられた", viewer.session.attempt
    )


def _passed_in(viewer: Viewer) -> Verdict:
    return passed(
        "the text cannot be pasted at the office", "文字列は職場側で貼り付けられない", viewer.session.attempt
    )


def _failed_out(viewer: Viewer) -> Verdict:
    return failed(*TEXT_CAME, viewer.session.attempt)


def _passed_out(viewer: Viewer) -> Verdict:
    return passed(
        "the text was copied at the office and nothing of it came home",
        "職場でコピーした文字列は自宅側に届かない",
        viewer.session.attempt,
    )


TRIES: Final = (
    Try(
        "clipboard-in-plain",
        (1, 2),
        Said(
            "A text copied at home is sent as plain cut text.", "自宅でコピーした文字列を通常の形式で送る。"
        ),
        partial(carry_in, say=plain, name="plain"),
    ),
    Try(
        "clipboard-in-pieces",
        (1, 2),
        Said("The same, a byte at a time.", "同じものを 1 バイトずつ送る。"),
        partial(carry_in, say=in_pieces, name="plain"),
    ),
    Try(
        "clipboard-in-long",
        (1, 2),
        Said("The same with 100,000 characters.", "同じものを 10 万文字で送る。"),
        partial(carry_in, say=long, name="plain"),
    ),
    Try(
        "clipboard-in-hidden",
        (1, 2),
        Said("The same between other messages, in one piece.", "同じものを他のメッセージに挟んで送る。"),
        partial(carry_in, say=hidden, name="plain"),
    ),
    Try(
        "clipboard-in-extended",
        (1, 2),
        Said(
            "A text is offered by the extended clipboard and given to whoever asks.",
            "拡張クリップボードで文字列を提示し、要求に応じて渡す。",
        ),
        partial(carry_in, say=offered, name="extended", encodings=_EXTENDED),
    ),
    Try(
        "clipboard-in-unasked",
        (1, 2),
        Said(
            "A text is given by the extended clipboard unasked.",
            "拡張クリップボードで要求なしに文字列を渡す。",
        ),
        partial(carry_in, say=unasked, name="extended", encodings=_EXTENDED),
    ),
    Try(
        "clipboard-in-2-gib",
        (1, 2),
        Said(
            "A cut text that claims the largest length, with another behind it.",
            "最大の長さを名乗る文字列の後に別の文字列を続ける。",
        ),
        partial(claim_in, length=_INT_MAX),
    ),
    Try(
        "clipboard-in-negative",
        (1, 2),
        Said(
            "A cut text that claims the smallest negative length, with another behind it.",
            "負の最小の長さを名乗る文字列の後に別の文字列を続ける。",
        ),
        partial(claim_in, length=_INT_MIN),
    ),
    Try(
        "clipboard-in-halves",
        (1, 2),
        Said(
            "Where a watermark is drawn: a text in a screen's size that comes in two halves.",
            "透かしがあるとき、2 つに分けて送る画面サイズの命令に文字列を潜ませる。",
        ),
        part_in,
        essential=False,
    ),
    Try(
        "clipboard-out-plain",
        (1, 2),
        Said(
            "A text is copied at the office; a plain viewer waits for it.",
            "職場で文字列をコピーし、通常の形式で待つ。",
        ),
        partial(carry_out, name="plain"),
    ),
    Try(
        "clipboard-out-long",
        (1, 2),
        Said("The same with 100,000 characters.", "同じことを 10 万文字で行う。"),
        partial(carry_out, name="plain", length=_LONG_LENGTH),
    ),
    Try(
        "clipboard-out-caps",
        (1, 2),
        Said(
            "The desktop is asked for its extended clipboard.", "デスクトップに拡張クリップボードを求める。"
        ),
        count_caps,
    ),
    Try(
        "clipboard-out-extended",
        (1, 2),
        Said(
            "A text is copied at the office and asked for by the extended clipboard.",
            "職場でコピーした文字列を拡張クリップボードで要求する。",
        ),
        partial(
            carry_out,
            name="extended",
            encodings=_EXTENDED,
            ask=messages.capabilities() + messages.clipboard(Clipboard.REQUEST),
        ),
    ),
    Try(
        "clipboard-out-peek",
        (1, 2),
        Said(
            "The extended clipboard is peeked at: is there a text?",
            "拡張クリップボードに文字列があるかを尋ねる (peek)。",
        ),
        partial(
            carry_out,
            name="extended",
            encodings=_EXTENDED,
            ask=messages.capabilities() + messages.clipboard(Clipboard.PEEK),
        ),
    ),
    Try(
        "clipboard-out-as-pixels",
        (1, 2),
        Said(
            "A text is copied while the screen moves and the pixel size changes, to pass for pixels.",
            "画面更新中に画素形式を変え、文字列を画素に紛れ込ませる。",
        ),
        slip_out,
    ),
)
