"""Encodings that cannot be followed, extensions that open another way: asked for, and none may come."""

from typing import Final

from telerelay.prove import messages
from telerelay.prove.ground import SILENCE_S, Ground
from telerelay.prove.messages import Encoding
from telerelay.prove.trial import Try
from telerelay.prove.verdicts import Said, Verdict, failed, passed
from telerelay.prove.viewer import Viewer

_OPAQUE: Final = (
    Encoding.TIGHT,
    Encoding.TIGHT_PNG,
    Encoding.JPEG,
    Encoding.H264,
    Encoding.HEXTILE,
    Encoding.RRE,
    Encoding.JPEG_QUALITY_9,
    Encoding.COMPRESSION_9,
)
_EXTENSIONS: Final = (
    Encoding.CLIPBOARD,
    Encoding.GII,
    Encoding.XVP,
    Encoding.QEMU_AUDIO,
    Encoding.VMWARE_CURSOR,
)


async def ask_for_opaque(ground: Ground) -> Verdict:
    """Encodings that have no parser, each preferred to Raw."""
    viewer = await ground.ungreeted()
    await viewer.begin(_OPAQUE)
    await viewer.picture()
    return await _bare(viewer)


async def ask_for_extensions(ground: Ground) -> Verdict:
    """Extensions that the desktop would answer with messages of its own."""
    viewer = await ground.fresh(_EXTENSIONS)
    await viewer.hears(lambda heard: bool(heard.strange or heard.texts), SILENCE_S)
    return await _bare(viewer)


async def ask_for_everything(ground: Ground) -> Verdict:
    """The longest list of encodings that there can be, none of which is registered."""
    viewer = await ground.fresh()
    viewer.say(messages.set_encodings(range(1_000, 1_000 + 65_535)))
    viewer.say(messages.request(*viewer.size))
    await viewer.flush()
    await viewer.settle()
    await ground.neighbour()
    return await _bare(viewer)


async def _bare(viewer: Viewer) -> Verdict:
    heard = viewer.heard
    if heard.strange or heard.texts:
        came = ", ".join([*heard.strange, *(["a cut text"] if heard.texts else [])])
        return failed(f"came back: {came}", f"届いたもの: {came}", viewer.session.attempt)
    await viewer.settle()
    return passed("nothing but Raw came back", "Raw 以外は届かない", viewer.session.attempt)


TRIES: Final = (
    Try(
        "encodings-opaque",
        (1,),
        Said(
            "Tight, JPEG, H.264, Hextile and other encodings are asked for.",
            "Tight、JPEG、H.264、Hextile などの符号化を求める。",
        ),
        ask_for_opaque,
    ),
    Try(
        "encodings-extensions",
        (1, 2, 4),
        Said(
            "Extended clipboard, devices, power, sound and VMware's extensions are asked for.",
            "拡張クリップボード、装置、電源、音声、VMware の拡張を求める。",
        ),
        ask_for_extensions,
    ),
    Try(
        "encodings-many",
        (1,),
        Said("A list of 65,535 encodings.", "65,535 件の符号化の一覧。"),
        ask_for_everything,
    ),
)
