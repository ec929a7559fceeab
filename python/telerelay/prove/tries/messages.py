"""Messages that are no screen, keyboard or mouse: chat, sound, devices, power, and the unknown."""

import secrets
from functools import partial
from typing import Final

from telerelay.prove.ground import Ground
from telerelay.prove.trial import Try
from telerelay.prove.tries.files import POLICY_UNKNOWN, say_each
from telerelay.prove.verdicts import Said, Verdict


async def say_unknown(ground: Ground) -> Verdict:
    """A type between 160 and 239: nobody has registered any of them."""
    return await say_each(ground, [bytes([secrets.choice(range(160, 240)), 0, 0, 0])], POLICY_UNKNOWN)


def _refused(id_: str, requirements: tuple[int, ...], en: str, ja: str, *said: str) -> Try:
    whole = [bytes.fromhex(message) for message in said]
    return Try(id_, requirements, Said(en, ja), partial(say_each, said=whole, code=POLICY_UNKNOWN))


TRIES: Final = (
    _refused(
        "chat", (1,), "Chat of UltraVNC (11).", "UltraVNC のチャット (11)。", "0b000000 00000004 74657874"
    ),
    _refused(
        "scaling",
        (1,),
        "Scaling by the desktop (8, 15).",
        "デスクトップ側の拡大縮小 (8、15)。",
        "08020000",
        "0f020000",
    ),
    _refused(
        "xvp",
        (1,),
        "A command to switch the machine off (xvp, 250).",
        "電源を切る命令 (xvp、250)。",
        "fa000102",
    ),
    _refused(
        "devices",
        (1, 4),
        "Devices of the home (gii, 253).",
        "自宅側の入力装置 (gii、253)。",
        "fd820004 00000001",
    ),
    _refused(
        "vmware",
        (1, 4),
        "Messages of VMware (127, 254).",
        "VMware のメッセージ (127、254)。",
        "7f000008 00000000",
        "fe000000",
    ),
    _refused("sound", (1, 4), "Sound of QEMU (255, 1).", "QEMU の音声 (255、1)。", "ff010000"),
    Try(
        "unknown",
        (1,),
        Said("A message of a type that nobody has registered.", "未登録の種類のメッセージ。"),
        say_unknown,
    ),
)
