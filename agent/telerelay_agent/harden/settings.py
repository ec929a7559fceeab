"""What `harden` sets on this machine: one entry for each setting, and nothing that has no entry.

User Account Control is no setting of ours, on any machine: nothing here names it, and a test keeps it so.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telerelay_agent.harden.editors import (
    ANYWHERE,
    ON,
    Editor,
    Key,
    TigervncPerlEditor,
    WholeEditor,
    X11vncRcEditor,
    XrdpIniEditor,
)
from telerelay_agent.harden.places import Place, file_place
from telerelay_agent.harden.registry import Registry, RegistryPlace, dword, windows_registry

KEEP_AWAKE_FILE: Final = "keep-awake"
"""In the agent's folder: the agent may keep this PC awake while it waits or is connected."""

_WINDOWS: Final = "Windows"
_SBIN: Final = "/usr/sbin:/sbin"
_TIGERVNC_FILE: Final = Path("/etc/tigervnc/vncserver-config-mandatory")
_XRDP_FILE: Final = Path("/etc/xrdp/xrdp.ini")
_SESMAN_FILE: Final = Path("/etc/xrdp/sesman.ini")
_POLICY_KEY: Final = r"HKLM\SOFTWARE\Policies\Microsoft\Windows NT\Terminal Services"


@dataclass(frozen=True)
class Setting:
    """One setting. `wanted`: None where it must not stand; `same`: other values that will do, in lower case.

    `program`: whose setting it is; where that is not installed the setting does not exist. `why`: English,
    Japanese.
    """

    id: str
    program: str
    place: Place
    editor: Editor
    key: Key
    wanted: str | None
    why: tuple[str, str]
    same: tuple[str, ...] = ()

    def is_there(self) -> bool:
        """Whether its program is installed."""
        path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
        return self.program == _WINDOWS or shutil.which(self.program, path=path) is not None

    def values(self, content: bytes | None) -> Sequence[str]:
        """What `content` of its place says about it."""
        return self.editor.values(content or b"", self.key)

    def is_met(self, content: bytes | None) -> bool:
        """Whether `content` of its place says what is wanted, and nothing else."""
        values = self.values(content)
        if self.wanted is None:
            return not values
        will_do = {self.wanted.lower(), *self.same}
        may_be_missing = self.key.section == ANYWHERE
        return all(value.lower() in will_do for value in values) and (may_be_missing or bool(values))


def settings_of_this_machine(data: Path) -> Sequence[Setting]:
    """Every setting that this kind of machine can have. `data`: the agent's folder."""
    if sys.platform == "win32":
        return windows_settings(windows_registry())
    return [*_tigervnc(), *_x11vnc(file_place(Path.home() / ".x11vncrc")), *_xrdp(), _keep_awake(data)]


# ---------------------------------------------------------------- VNC

_IN: Final = (
    "what is copied at home must not reach the office",
    "自宅側でコピーした内容を職場の画面に渡さないため",
)
_OUT: Final = (
    "what is copied at the office must not go home",
    "職場の画面でコピーした内容を自宅側に渡さないため",
)
_STAYS: Final = (
    "no program on the screen may open the clipboard again",
    "画面上のプログラムがクリップボードの共有を再開できないようにするため",
)
_FILES: Final = ("no file may travel", "ファイルの転送を禁止するため")


def _tigervnc() -> Sequence[Setting]:
    # The mandatory file wins over a person's own file and over arguments, in each version of TigerVNC.
    place, editor = file_place(_TIGERVNC_FILE), TigervncPerlEditor()

    def one(key: str, wanted: str, why: tuple[str, str], *same: str) -> Setting:
        return Setting(f"tigervnc.{key}", "tigervncserver", place, editor, Key(key), wanted, why, same)

    return [
        one("AcceptCutText", "0", _IN),
        one("SendCutText", "0", _OUT),
        # What vncconfig(1) may change; by default the two above are among it.
        one("AllowOverride", "desktop,AcceptPointerEvents", _STAYS, "", "desktop", "acceptpointerevents"),
    ]


def _x11vnc(place: Place) -> Sequence[Setting]:
    wanted: Sequence[tuple[str, str | None, tuple[str, str]]] = (
        ("nosel", ON, _OUT),
        ("noclipboard", ON, _OUT),
        ("nosetclipboard", ON, _IN),
        ("noremote", ON, _STAYS),
        ("noultraext", ON, ("no extension of UltraVNC may travel", "UltraVNC の拡張機能を使わせないため")),
        ("tightfilexfer", None, _FILES),
        ("ultrafilexfer", None, _FILES),
        ("permitfiletransfer", None, _FILES),
    )
    editor = X11vncRcEditor()
    return [
        Setting(f"x11vnc.{key}", "x11vnc", place, editor, Key(key), value, why) for key, value, why in wanted
    ]


# ---------------------------------------------------------------- xrdp

_CHANNELS: Final = {
    "cliprdr": ("the clipboard must not travel", "クリップボードの共有を禁止するため"),
    "rdpdr": (
        "drives, printers, ports and smart cards must not travel",
        "ドライブ、プリンター、ポート、スマートカードの共有を禁止するため",
    ),
    "rail": ("single windows must not travel past the screen", "画面以外のウィンドウ共有を禁止するため"),
    "xrdpvr": ("video files must not travel past the screen", "画面以外の動画転送を禁止するため"),
    "tcutils": ("the client's USB devices must not be used", "端末の USB 機器を使わせないため"),
}
_OFF: Final = ("no", "0", "off")


def _xrdp() -> Sequence[Setting]:
    xrdp, sesman, editor = file_place(_XRDP_FILE), file_place(_SESMAN_FILE), XrdpIniEditor()
    channels = [
        Setting(f"xrdp.{name}", "xrdp", xrdp, editor, Key(name, "Channels"), "false", why, _OFF)
        for name, why in _CHANNELS.items()
    ]
    # A kind of session may have its own opinion.
    overrides = [
        Setting(
            f"xrdp.session.{name}", "xrdp", xrdp, editor, Key(f"channel.{name}", ANYWHERE), "false", why, _OFF
        )
        for name, why in _CHANNELS.items()
    ]

    def one(section: str, key: str, wanted: str, why: tuple[str, str], *same: str) -> Setting:
        return Setting(f"sesman.{key}", "xrdp", sesman, editor, Key(key, section), wanted, why, same)

    return [
        *channels,
        *overrides,
        one("Security", "RestrictInboundClipboard", "all", _IN, "true", "yes"),
        one("Security", "RestrictOutboundClipboard", "all", _OUT, "true", "yes"),
        one("Chansrv", "EnableFuseMount", "false", _FILES, *_OFF),
    ]


# ---------------------------------------------------------------- Windows

_POLICIES: Final = {
    "fDisableClip": ("the clipboard must not travel", "クリップボードの共有を禁止するため"),
    "fDisableCdm": ("drives must not travel", "ドライブの共有を禁止するため"),
    "fDisableCpm": ("printers must not travel", "プリンターの共有を禁止するため"),
    "fDisableLPT": ("parallel ports must not travel", "LPT ポートの共有を禁止するため"),
    "fDisableCcm": ("serial ports must not travel", "COM ポートの共有を禁止するため"),
    "fDisablePNPRedir": ("USB devices must not travel", "USB 機器の共有を禁止するため"),
    "fDisableCameraRedir": ("cameras must not travel", "カメラの共有を禁止するため"),
}


def windows_settings(registry: Registry) -> Sequence[Setting]:
    """The policies of Windows' Remote Desktop Services."""
    editor = WholeEditor()
    return [
        Setting(
            f"windows.{name}",
            _WINDOWS,
            RegistryPlace(rf"{_POLICY_KEY}\{name}", registry),
            editor,
            Key(name),
            dword(1),
            why,
        )
        for name, why in _POLICIES.items()
    ]


# ---------------------------------------------------------------- the agent's own


def _keep_awake(data: Path) -> Setting:
    why = (
        "the PC must not sleep while the agent waits or is connected; at no other time is it kept awake",
        "待受け中または接続中に PC がスリープしないようにするため (それ以外の時間には影響しません)",
    )
    place = file_place(data / KEEP_AWAKE_FILE, is_of_agent=True)
    return Setting("agent.keep-awake", "systemd-inhibit", place, WholeEditor(), Key(KEEP_AWAKE_FILE), ON, why)
