"""The command `doctor`: whether this office PC is fit to be reached, and what mends it where it is not."""

import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from telerelay_agent import state
from telerelay_agent.desktop import parse_desktop
from telerelay_agent.documents import OwnDocuments
from telerelay_agent.harden.plan import look
from telerelay_agent.harden.settings import settings_of_this_machine
from telerelay_agent.locking import find_command
from telerelay_agent.settings import PROGRAM
from telerelay_agent.verdict import why_stale
from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.credentials import Credentials, load_credentials
from telerelay_endpoint.doctor.device import check_device, check_issue_times
from telerelay_endpoint.doctor.findings import Check, Finding
from telerelay_endpoint.doctor.machine import check_clock_source, check_descriptors, check_disk
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.errors import TelerelayError

FILES: Final = 256
"""Descriptors: the largest number of sessions, each with a leg, a desktop and a standby, and the rest."""
ANSWER_S: Final = 3
"""Seconds that a desktop on this very machine may take for its first line."""
_UNIX: Final = "unix:"
_VERSION_LINE: Final = 12
"""Bytes of `RFB 003.008` and a newline (RFC 6143 §7.1.1)."""


def check_agent(config: Path | None) -> Iterator[Finding]:
    """Everything that an agent needs, cheapest first."""
    try:
        settings = PROGRAM.load(config).settings
    except TelerelayError as error:
        yield Check("settings").failed(error, "telerelay-agent config check")
        return
    yield Check("settings").ok("the settings fit", "設定に問題はありません")
    yield from check_descriptors(FILES)
    yield from check_disk(settings.data)
    yield from check_clock_source()
    yield from check_desktop(settings.desktop)
    yield _check_hardened(settings.data)
    yield from _check_documents(settings.data, settings.desktop_lock_command)
    yield from check_device(settings.data, "telerelay-agent enrol", _ask)


def check_desktop(desktop: str) -> Iterator[Finding]:
    """Whether a VNC server answers at `desktop` with its version."""
    check = Check("desktop")
    start = f"x11vnc -localhost -rfbport {desktop.rpartition(':')[2]} -forever"
    try:
        said = _first_bytes(parse_desktop(desktop))
    except TelerelayError as error:
        yield check.failed(error, "telerelay-agent config show")
        return
    except OSError as error:
        why = error.strerror or "no answer"
        yield check.fail(
            f"no desktop answers at {desktop}: {why}",
            f"{desktop} でデスクトップが応答しません: {why}",
            (f"start the VNC server, for example: {start}", f"VNC サーバーを起動してください。例: {start}"),
        )
        return
    if said.startswith(b"RFB "):
        version = said.decode("ascii", errors="replace").strip()
        yield check.ok(f"{desktop} answers {version}", f"{desktop} が応答しました: {version}")
    else:
        yield check.fail(
            f"what answers at {desktop} is no VNC server",
            f"{desktop} で応答したのは VNC サーバーではありません",
            f"ss -ltnp '( sport = :{desktop.rpartition(':')[2]} )'",
        )


def _first_bytes(desktop: str) -> bytes:
    """What the desktop says unasked. Raises OSError."""
    if desktop.startswith(_UNIX):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(ANSWER_S)
        connected.connect(desktop.removeprefix(_UNIX))
    else:
        host, _, port = desktop.rpartition(":")
        connected = socket.create_connection((host.strip("[]"), int(port)), ANSWER_S)
    with connected:
        return connected.recv(_VERSION_LINE, socket.MSG_WAITALL)


def _check_hardened(folder: Path) -> Finding:
    """Whether this PC's own settings stand behind the guard. They are its second layer: nothing fails."""
    check = Check("hardened")
    rows = look(settings_of_this_machine(folder))
    left = [row.setting.id for row in rows if not row.is_met]
    if not left:
        return check.ok("this PC's own settings are as they should be", "この PC 側の設定に問題はありません")
    return check.warn(
        f"{len(left)} of this PC's own settings are not as they should be: {', '.join(left)}",
        f"この PC 側の設定のうち {len(left)} 件が推奨どおりではありません: {', '.join(left)}",
        "telerelay-agent harden --apply",
    )


def _check_documents(folder: Path, lock: Sequence[str]) -> Iterator[Finding]:
    """Whether the documents on this machine let anybody in, stand behind its clock, and can be kept."""
    check = Check("documents")
    try:
        credentials = load_credentials(folder, int(time.time()))
    except TelerelayError:
        return  # the enrolment's own check says it
    try:
        own = OwnDocuments(credentials, Clock())
    except TelerelayError as error:
        yield check.failed(error)
        return
    held = (own.computer, own.stamp, own.revocations)
    yield from check_issue_times(max((signed.document.issued for signed in held if signed), default=0))
    stale = why_stale(own.for_verdict(), int(time.time()))
    if stale is None:
        yield check.ok("granted clients are let in", "許可された端末を受け入れます")
    else:
        yield check.fail(
            f"nobody is let in: {stale}",
            f"どの端末も受け入れません: {stale}",
            (
                "see that telerelay-agent run is up, and `telerelay org keep` at the administrator's",
                "telerelay-agent run と、管理者側の telerelay org keep の動作を確認してください",
            ),
        )
    if own.computer is not None and own.computer.document.rules.lock_on_disconnect:
        yield from _check_lock(folder, lock)


def _check_lock(folder: Path, command: Sequence[str]) -> Iterator[Finding]:
    """Whether the desktop can be locked, where the rules want it so."""
    check = Check("lock")
    try:
        # What is found at this terminal may be hidden from a unit, which has no DISPLAY.
        agent = state.running(folder)
        found = next(iter(find_command(command)), "") if agent is None else agent.lock
    except TelerelayError as error:
        yield check.failed(error, "telerelay-agent config show")
        return
    if found:
        yield check.ok(f"{found} locks the desktop", f"{found} でデスクトップをロックします")
    elif agent is not None:
        yield check.fail(
            "nobody is let in: the rules want the desktop locked, and the running agent cannot do that",
            "どの端末も受け入れません: 利用規則が求めるロックを、動作中のエージェントは行えません",
            (
                "set desktop_lock_command, or DISPLAY in the agent's environment, and start the agent again",
                "desktop_lock_command か環境変数 DISPLAY を設定し、エージェントを再起動してください",
            ),
        )
    else:
        yield check.fail(
            "nobody is let in: the rules want the desktop locked, and no program is known that does it",
            "どの端末も受け入れません: 利用規則が求めるデスクトップのロックに使うプログラムが見つかりません",
            (
                "set desktop_lock_command, for example to loginctl lock-session",
                "desktop_lock_command を設定してください。例: loginctl lock-session",
            ),
        )


def _ask(credentials: Credentials) -> None:
    with NodeApi(credentials.dial()) as api:
        api.own_document(Kind.STAMP)
