"""`telerelay-agent harden` on an office PC with a real TigerVNC; /etc is the test's own."""

import asyncio
import json
import os
import pty
import random
import signal
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay.demo.desktop import Desktop
from tests.kit.condition import eventually
from tests.kit.doctor import AGENT
from tests.kit.rfb import Viewer, cut_text, open_viewer

pytestmark = pytest.mark.timeout(120)

LATIN: Final = b"salary list 4711"
FULL_UPDATE: Final = 16 * 16 * 4
MANDATORY: Final = Path("tigervnc/vncserver-config-mandatory")
XRDP_INI: Final = """\
[Globals]
port=3389
allow_channels=true

[Channels]
rdpdr=true
rdpsnd=true
cliprdr=true

[Xorg]
lib=libxup.so
channel.cliprdr=true
"""


@dataclass(frozen=True)
class OfficePc:
    """An own /etc, an own home, and programs that are there in name only in front of the real ones."""

    folder: Path

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "TELERELAY_AGENT_DATA": str(self.folder / "data"),
        }

    def inside(self, *command: str) -> Sequence[str]:
        """The command where /etc is ours. Needs root."""
        # A real xrdp is hidden, so that there is none unless a test pretends.
        hide = '{ test ! -e "$1" || mount --bind /dev/null "$1"; }'
        ours = f'mount --bind "$0" /etc && {hide} && shift && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", ours, str(self.etc), "/usr/sbin/xrdp", *command]

    def run(self, *command: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.inside(*command), input=said, env=self.environment,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def harden(self, *options: str, exit_code: int) -> dict[str, Any]:
        """One run with --json; the object."""
        ended = self.run(AGENT, "harden", *options, "--json")
        assert ended.returncode == exit_code, ended.stderr
        shown: dict[str, Any] = json.loads(ended.stdout)
        assert shown["schema"] == "telerelay.harden/1"
        return shown

    def files(self) -> dict[Path, bytes]:
        """What may be changed: its content, by path."""
        watched = (*self.etc.glob("tigervnc/*"), *self.etc.glob("xrdp/*"), *self.home.glob("**/*"))
        return {path: path.read_bytes() for path in watched if path.is_file()}

    def pretend_to_have(self, program: str) -> None:
        path = self.folder / "bin" / program
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)


@pytest.fixture
def pc(tmp_path: Path) -> OfficePc:
    made = OfficePc(tmp_path / "pc")
    for name in ("bin", "home"):
        (made.folder / name).mkdir(parents=True)
    subprocess.run(["cp", "-a", "/etc", made.etc], check=True)
    return made


def by_id(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {setting["id"]: setting for setting in shown["settings"]}


# ---------------------------------------------------------------- a real desktop


@asynccontextmanager
async def tigervnc(pc: OfficePc) -> AsyncIterator[tuple[str, Viewer]]:
    """The desktop as Debian starts it, by the wrapper that reads the files: its display, a viewer of it."""
    # Far above the displays that others take, of which each takes the first that is free.
    number = random.randrange(1_000, 9_000)
    display, port = f":{number}", 20_000 + number
    command = pc.inside(
        "tigervncserver", display, "-rfbport", str(port), "-fg", "-localhost", "yes", "-SendCutText=1",
        "-SecurityTypes", "None", "--I-KNOW-THIS-IS-INSECURE", "-noxstartup", "-autokill", "no",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, env=pc.environment, stdout=DEVNULL, process_group=0
    )

    def is_started() -> bool:
        return any(f"for display {display}." in log.read_text() for log in pc.home.glob(".vnc/*.log"))

    try:
        await eventually(is_started)
        async with open_viewer("127.0.0.1", port) as viewer:
            viewer.ask()
            await viewer.sees(FULL_UPDATE)
            yield display, viewer
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)


def on_screen(pc: OfficePc, display: str, *command: str) -> "subprocess.CompletedProcess[bytes]":
    """A program on the screen, run to its end."""
    environment = {**pc.environment, "DISPLAY": display}
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=20)


async def arrives_at_the_office(pc: OfficePc, display: str, viewer: Viewer) -> bool:
    """Whether somebody at the office can paste what the viewer copied."""
    viewer.say(cut_text(LATIN))
    # Behind it, so that it would have been there before this is answered.
    viewer.ask()
    await viewer.sees(FULL_UPDATE)
    return on_screen(pc, display, "xclip", "-o", "-selection", "clipboard").stdout == LATIN


async def arrives_at_home(pc: OfficePc, display: str, viewer: Viewer) -> bool:
    """Whether the viewer is told what somebody at the office copied."""
    seen = len(viewer.seen)
    copying = ("sh", "-c", f"printf '%s' '{LATIN.decode()}' | xclip -i -selection clipboard >/dev/null 2>&1")
    assert on_screen(pc, display, *copying).returncode == 0
    # Its owner answers in turn: Xvnc, which would have asked at once, before us.
    pasted = on_screen(pc, display, "xclip", "-o", "-selection", "clipboard")
    assert pasted.stdout == LATIN
    viewer.ask()
    await viewer.sees(FULL_UPDATE)
    return LATIN in viewer.seen[seen:]


async def test_a_real_xvnc_has_no_clipboard_once_it_is_hardened(pc: OfficePc) -> None:
    (pc.home / ".vnc").mkdir()
    (pc.home / ".vnc" / "tigervnc.conf").write_text('$AcceptCutText = "1";\n')
    before = pc.files()
    async with tigervnc(pc) as (display, viewer):
        assert await arrives_at_the_office(pc, display, viewer)
    async with tigervnc(pc) as (display, viewer):
        assert await arrives_at_home(pc, display, viewer)
        assert on_screen(pc, display, "tigervncconfig", "-set", "SendCutText=0").returncode == 0

    pc.harden("--apply", "--yes", exit_code=0)
    async with tigervnc(pc) as (display, viewer):
        assert not await arrives_at_the_office(pc, display, viewer)
    async with tigervnc(pc) as (display, viewer):
        assert not await arrives_at_home(pc, display, viewer)
        for name in ("SendCutText", "AcceptCutText"):
            on_screen(pc, display, "tigervncconfig", "-set", f"{name}=1")
            assert on_screen(pc, display, "tigervncconfig", "-get", name).stdout.strip() == b"0"

    pc.harden("--undo", "--yes", exit_code=0)
    assert {path: pc.files().get(path) for path in before} == before
    async with tigervnc(pc) as (display, viewer):
        assert await arrives_at_the_office(pc, display, viewer)


async def x11vnc_as_it_starts(pc: OfficePc, desktop: Desktop) -> Mapping[str, str]:
    """What a real x11vnc says of its own settings when it starts in front of the desktop."""
    process = await asyncio.create_subprocess_exec(
        "x11vnc", "-v", "-display", desktop.display, "-auth", str(desktop.folder / "Xauthority"),
        "-localhost", "-nopw", "-rfbport", str(20_000 + random.randrange(1_000, 9_000)),
        env=pc.environment, stdout=DEVNULL, stderr=PIPE,
    )  # fmt: skip
    assert process.stderr
    said: dict[str, str] = {}
    async with asyncio.timeout(30):
        # The last one that it says.
        while "deny_all" not in said:
            name, _, value = (await process.stderr.readline()).decode().partition(":")
            said[name.strip()] = value.strip()
            assert not process.stderr.at_eof()
    process.kill()
    await process.wait()
    return said


async def test_a_real_x11vnc_takes_it_up(pc: OfficePc, desktop: Desktop) -> None:
    (pc.home / ".x11vncrc").write_text("forever\n-tightfilexfer # files\n")
    before = await x11vnc_as_it_starts(pc, desktop)
    pc.harden("--apply", "--yes", exit_code=0)
    hardened = await x11vnc_as_it_starts(pc, desktop)
    switches = ("watchsel", "watchprim", "noremote", "tightfilexfer", "conn_once")
    assert [before[name] for name in switches] == ["1", "1", "0", "1", "0"]
    assert [hardened[name] for name in switches] == ["0", "0", "1", "0", "0"]


# ---------------------------------------------------------------- the command


def test_everything_is_listed_set_and_put_back(pc: OfficePc) -> None:
    pc.pretend_to_have("xrdp")
    (pc.etc / "xrdp").mkdir()
    (pc.etc / "xrdp" / "xrdp.ini").write_text(XRDP_INI)
    (pc.etc / "xrdp" / "sesman.ini").write_text("[Security]\nRestrictInboundClipboard=none\n")
    (pc.home / ".x11vncrc").write_text("forever\ntightfilexfer\n")
    before = pc.files()

    shown = pc.harden("--check", exit_code=9)
    assert not shown["met"]
    assert pc.files() == before
    assert by_id(shown)["xrdp.cliprdr"]["now"] == ["true"]
    assert by_id(shown)["xrdp.session.rdpdr"]["standing"] == "met"
    assert by_id(shown)["agent.keep-awake"]["standing"] == "open"

    shown = pc.harden("--apply", "--yes", exit_code=0)
    assert {setting["standing"] for setting in shown["settings"]} == {"met"}
    assert pc.harden("--check", exit_code=0)["met"]
    ini = (pc.etc / "xrdp" / "xrdp.ini").read_text()
    assert ini.count("cliprdr=false") == 2
    assert "rdpsnd=true" in ini
    assert (pc.home / ".x11vncrc").read_text().startswith("forever\nnosel\n")

    (pc.etc / "xrdp" / "xrdp.ini").write_text(ini + "# mine\n")
    shown = pc.harden("--undo", "--yes", exit_code=9)
    came_to = {Path(place["place"]).name: place["came_to"] for place in shown["places"]}
    assert came_to.pop("xrdp.ini") == "foreign"
    assert set(came_to.values()) == {"restore"}
    (pc.etc / "xrdp" / "xrdp.ini").write_text(XRDP_INI)
    pc.harden("--undo", "--yes", exit_code=0)
    assert pc.files() == before
    assert pc.harden("--undo", exit_code=0)["places"] == []


def test_what_is_not_installed_is_said_to_be_absent(pc: OfficePc) -> None:
    ended = pc.run(AGENT, "harden", "--check", "--lang", "ja")
    assert "absent  xrdp: インストールされていません" in ended.stdout
    assert "理由: " in ended.stdout


@pytest.mark.parametrize("options", [[], ["--check", "--apply"]])
def test_one_task_at_a_time(pc: OfficePc, options: list[str]) -> None:
    ended = pc.run(AGENT, "harden", *options)
    assert ended.returncode == 2
    assert "one of --check, --apply and --undo" in ended.stderr


def test_where_nobody_can_be_asked_nothing_is_changed(pc: OfficePc) -> None:
    before = pc.files()
    ended = pc.run(AGENT, "harden", "--apply", said="y\n")
    assert ended.returncode == 2
    assert "AcceptCutText: – → 0" in ended.stderr
    assert "nobody to ask; --yes agrees to what is listed" in ended.stderr
    assert pc.files() == before


@pytest.mark.parametrize(("answer", "exit_code"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2)])
def test_a_person_is_asked_and_only_yes_changes_anything(pc: OfficePc, answer: bytes, exit_code: int) -> None:
    before = pc.files()
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        ended = subprocess.run(
            pc.inside(AGENT, "harden", "--apply"),
            env=pc.environment, stdin=theirs, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == exit_code, ended.stderr
    assert ended.stderr.index("AcceptCutText: – → 0") < ended.stderr.index("Change ")
    assert (pc.files() == before) == (exit_code == 2)


def test_doctor_says_whether_it_is_hardened_and_what_does_it(pc: OfficePc) -> None:
    def row() -> dict[str, Any]:
        checks = json.loads(pc.run(AGENT, "doctor", "--json").stdout)["checks"]
        (found,) = (check for check in checks if check["check"] == "hardened")
        return dict(found)

    assert row()["result"] == "warn"
    assert row()["do"]["en"] == "telerelay-agent harden --apply"
    pc.harden("--apply", "--yes", exit_code=0)
    assert row()["result"] == "ok"
