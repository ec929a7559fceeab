"""The command `status`: who this agent is, whether it runs, by which documents it lets anybody in."""

import time
from pathlib import Path
from typing import Any

from telerelay_agent import state
from telerelay_agent.documents import OwnDocuments
from telerelay_agent.verdict import why_stale
from telerelay_endpoint.console import Console, columns, local_time, rfc3339
from telerelay_endpoint.credentials import Credentials, load_credentials
from telerelay_endpoint.documents import STAMP_ALARM_S, Clock, Kind
from telerelay_endpoint.path_kinds import path_word


def show_status(console: Console, folder: Path) -> None:
    """Print it, whether an agent runs or not. Raises TelerelayError: CERTIFICATE (not enrolled), KEY_FILE."""
    now = int(time.time())
    credentials = load_credentials(folder, now)
    own = OwnDocuments(credentials, Clock())
    running = state.running(folder)
    stamped = own.stamp.document.issued if own.stamp else None
    stale = why_stale(own.for_verdict(), now)
    record = {
        **_identity(credentials, own),
        "running": running is not None,
        **_running(running),
        "documents": {
            "computer": own.version(Kind.COMPUTER),
            "revocations": own.version(Kind.REVOCATIONS),
            "nodes": own.version(Kind.NODES),
            "stamp": None if stamped is None else {"issued": rfc3339(stamped), "age_s": now - stamped},
        },
        "serves": stale is None,
        "reason": stale,
    }
    console.data("agent-status", record, _text(console, credentials, own, running, stale))
    if stamped is not None and now - stamped > STAMP_ALARM_S:
        days = (now - stamped) // 86_400
        console.warn(
            f"the newest stamp is {days} days old, at 14 nobody is let in: does `telerelay org keep` run?",
            f"スタンプが {days} 日前のものです。14 日で誰も接続できなくなります。"
            "telerelay org keep の動作を確認してください",
        )


def _identity(credentials: Credentials, own: OwnDocuments) -> dict[str, Any]:
    return {
        "computer": own.computer_name,
        "label": credentials.relay.label,
        "device": credentials.device.hex(),
        "organisation": credentials.organisation.hex(),
        "certificate_expires": rfc3339(_expiry(credentials)),
    }


def _running(running: state.State | None) -> dict[str, Any]:
    if running is None:
        return {"pid": None, "node": None, "since": None, "sessions": [], "path_kinds": {}}
    since = running.since or running.started
    return {
        "pid": running.pid,
        "desktop": running.desktop,
        "node": running.node,
        "since": rfc3339(since),
        "last_code": running.last_code,
        "sessions": list(running.sessions),
        "path_kinds": dict(running.sessions),
    }


def _text(
    console: Console,
    credentials: Credentials,
    own: OwnDocuments,
    running: state.State | None,
    stale: str | None,
) -> str:
    say = console.text
    stamp = own.stamp.document if own.stamp else None
    if running is None:
        relay = say("not running", "停止中")
    elif running.node is None:
        relay = say("not connected", "未接続") + (f" [{running.last_code}]" if running.last_code else "")
    else:
        since = local_time(running.since or running.started)
        relay = say(f"{running.node}, since {since}", f"{running.node} ({since} から)")
    rows = [
        (say("computer ID", "コンピューターID"), own.computer_name),
        (say("label", "名前"), credentials.relay.label),
        (say("organisation", "組織ID"), credentials.organisation.hex()),
        (
            say("certificate", "証明書"),
            say(f"until {local_time(_expiry(credentials))}", f"{local_time(_expiry(credentials))} まで"),
        ),
        (say("relay", "中継"), relay),
        (say("document", "文書"), str(own.version(Kind.COMPUTER) or "-")),
        (say("stamp", "スタンプ"), local_time(stamp.issued) if stamp else "-"),
        (say("revocations", "失効リスト"), str(own.version(Kind.REVOCATIONS) or "-")),
        (
            say("lets in", "受け入れ"),
            say("granted clients", "許可された端末")
            if stale is None
            else say(f"nobody: {stale}", f"なし: {stale}"),
        ),
    ]
    if running is not None:
        told = [f"{one} ({path_word(kind, console.language)})" for one, kind in running.sessions.items()]
        rows.append((say("sessions", "接続中"), ", ".join(told) or "0"))
    return columns(rows[0], rows[1:])


def _expiry(credentials: Credentials) -> int:
    return int(credentials.chain[0].not_valid_after_utc.timestamp())
