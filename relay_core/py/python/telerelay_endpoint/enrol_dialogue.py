"""The command `enrol` of agent and client: asks for the invite, shows the terms, tells what is going on."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import typer

from telerelay_core import format_computer_id
from telerelay_endpoint import enrolment
from telerelay_endpoint.api import Opener
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.console import Console, language, read_secret
from telerelay_endpoint.credentials import Relay, open_dial
from telerelay_endpoint.enrolment import PENDING_FILE, Pending
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import ClusterLine, parse_invite
from telerelay_endpoint.terms import Terms, current_terms


def _dial_unknown(cluster: ClusterLine) -> Opener:
    return open_dial(cluster, folder=None)


def enrol(
    console: Console,
    folder: Path,
    role: Role,
    *,
    invite_file: Path | None,
    accept_terms: int | None,
    open_cluster: Callable[[ClusterLine], Opener] = _dial_unknown,
) -> Relay:
    """Enrol this machine into `folder`, or go on where an interrupted run stopped.

    `accept_terms`: the version that whoever installs has accepted for the person.
    Raises TelerelayError: INVITE, ID_TAKEN, TERMS, USAGE, UNREACHABLE, PIN, KEY_FILE.
    """
    pending = Pending.load(folder)
    if pending is None or invite_file is not None:
        invite = parse_invite(read_secret("Invite", invite_file))
        pending = None
    else:
        invite = pending.invite
        console.note("Going on with the enrolment that was interrupted.", "中断された登録を続けます。")
    terms = current_terms()
    if pending is None or pending.terms_hash != terms.hash:
        _accept(console, terms, accept_terms)
    pending = enrolment.begin(folder, invite, role, terms, int(time.time()))
    try:
        relay = enrolment.finish(folder, pending, open_cluster, lambda: int(time.time()), _Waiting(console))
    except TelerelayError as error:
        if error.code in ("INVITE", "ID_TAKEN"):
            # It will not be better next time; the key stays for the next invite.
            (folder / PENDING_FILE).unlink()
        raise
    _report(console, folder, relay)
    return relay


class _Waiting:
    """Says once, and for somebody who watches again and again, that the organisation has not answered yet."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = False

    def __call__(self) -> None:
        say = self._console.progress if self._told else self._console.note
        say(
            "Waiting for the organisation's answer. Ctrl-C stops; the same command goes on later.",
            "組織の応答を待っています。Ctrl-C で中断でき、同じコマンドで後から続けられます。",
        )
        self._told = True


def _accept(console: Console, terms: Terms, accepted: int | None) -> None:
    if accepted is not None:
        if accepted != terms.version:
            raise TelerelayError(
                "TERMS", f"version {accepted} was accepted, version {terms.version} is in force"
            )
        return
    if not sys.stdin.isatty():
        raise TelerelayError("TERMS", f"nobody to ask; --accept-terms {terms.version} accepts them")
    console.note(terms.text["en"], terms.text["ja"])
    question = "利用条件に同意しますか" if language() == "ja" else "Do you accept these terms"
    if not typer.confirm(question, default=False, err=True):
        raise TelerelayError("TERMS")


def _report(console: Console, folder: Path, relay: Relay) -> None:
    computer = None if relay.computer is None else format_computer_id(relay.computer)
    record = {"role": relay.role, "label": relay.label, "computer": computer, "folder": str(folder)}
    text = f"enrolled as {relay.role}: {relay.label}" + (f"\ncomputer ID: {computer}" if computer else "")
    if language() == "ja":
        kind = {"agent": "エージェント", "client": "クライアント"}[relay.role]
        text = f"{kind}として登録しました: {relay.label}" + (
            f"\nコンピューターID: {computer}" if computer else ""
        )
    console.data("enrol", record, text)
