"""`telerelay org explain`: why somebody may connect or may not, and why an attempt failed."""

from datetime import datetime
from typing import Annotated, Any, Final

import typer

from telerelay.cli.org_options import (
    OrgOption,
    now,
    open_api,
    open_organisation,
    published_policy,
)
from telerelay.cli.times import time_option, unix_seconds
from telerelay.org.api import Device, OrganisationApi
from telerelay.org.explaining import Attempt, Explanation, Held, explain, read_attempt
from telerelay.org.folder import OrganisationFolder
from telerelay.org.policy.changing import SERVED, asking
from telerelay.org.publishing import Publisher
from telerelay.org.registry import Registry
from telerelay_core import CoreError, format_attempt_id, format_computer_id, parse_attempt_id
from telerelay_endpoint.admission import Refuse, Request
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns, local_time, rfc3339
from telerelay_endpoint.documents import Clock
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.escaping import escape
from telerelay_endpoint.invite_keys import InviteKind

_SCHEMA: Final = "org-explain"
_STAGES: Final = {
    "dial": ("on the way to the relay", "中継サーバーへの接続"),
    "hello": ("at the relay", "中継サーバー"),
    "route": ("at the relay, which decided by what it knows", "中継サーバーの判定"),
    "claim": ("at the relay, which looked for the office PC", "中継サーバーでの職場PCの確認"),
    "accept": ("at the office PC, which decided by its document", "職場のPCの判定"),
    "inner": ("while both ends proved who they are", "両端の相互認証"),
    "auth": ("while the person was asked for proof", "利用者の認証"),
    "open": ("while the session opened", "接続の開始"),
    "session": ("in the running session", "接続中"),
}
"""Where an attempt was (PROTOCOL.md §4), in words."""


def org_explain(
    who: Annotated[
        str, typer.Argument(metavar="CLIENT|ATTEMPT", help="A client's label or ID, or an attempt.")
    ],
    computer: Annotated[str | None, typer.Argument(help="Computer ID or label.")] = None,
    at: Annotated[datetime | None, time_option("When: local time, 2026-04-01T08:30; else now.")] = None,
    address: Annotated[
        str | None, typer.Option(metavar="IP", help="From where; else from where it is allowed.")
    ] = None,
    org: OrgOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Tell what the office PC says to a client, and which line of the policy makes it say so.

    With an attempt alone: why it failed, by what the relay recorded, and what the rules say to it now.

    Examples:

      telerelay org explain "Tanaka, laptop" "Room 204" --at 2026-12-31T20:00

      telerelay org explain 7KQ2-M9XB
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    with open_api(folder.admin(now())) as api:
        explainer = _Explainer(console, folder, api)
        if computer is None:
            explainer.attempt(who)
        else:
            explainer.access(who, computer, unix_seconds(at) or now(), address)


class _Explainer:
    """One explanation for a person or a machine. Its methods raise TelerelayError."""

    def __init__(self, console: Console, folder: OrganisationFolder, api: OrganisationApi) -> None:
        self._console = console
        self._api = api
        self._publisher = Publisher(folder.root, folder.held, api, Clock())
        self._policy = published_policy(folder)
        self._registry = Registry(tuple(api.devices()), folder.keeper().journal.entries())

    def access(self, client: str, computer: str, at: int, address: str | None) -> None:
        """What a client is told at a time."""
        device, agent = self._registry.find(client, InviteKind.CLIENT), self._registry.find_computer(computer)
        request = None if address is None else asking(device.device, address)
        found = explain(self._held(agent), request, device.device, at, self._policy)
        shown = f"{device.label} → {agent.label}, {local_time(at)}"
        record = {"client": device.device.hex(), "computer": _shown(agent), **_record(found)}
        self._console.data(_SCHEMA, record, f"{shown}: {self._answer(found)}\n\n{self._rules(found)}")

    def attempt(self, typed: str) -> None:
        """Why an attempt failed, and what the rules say to the same request now."""
        try:
            name = format_attempt_id(parse_attempt_id(typed))
        except CoreError as error:
            raise TelerelayError("USAGE", f"{typed!r} is no attempt, and no computer is named") from error
        attempt = read_attempt(self._api.attempt(name))
        if attempt is None:
            raise TelerelayError("USAGE", f"the relay has no attempt {name} of this organisation")
        record: dict[str, Any] = {
            "attempt": name,
            "time": rfc3339(attempt.began),
            "client": attempt.client.hex(),
            "computer": attempt.computer,
            "address": attempt.address,
            "code": attempt.code,
            "stage": attempt.stage,
        }
        text = f"{name}, {local_time(attempt.began)}: {self._ends(attempt)}\n{self._outcome(attempt)}"
        agent = next((one for one in self._registry.devices if _shown(one) == attempt.computer), None)
        if agent is not None:
            request = Request(attempt.client, SERVED, attempt.address, attempt.program or "")
            found = explain(
                self._held(agent),
                # What a refused attempt ran is not recorded.
                request if attempt.program else None,
                attempt.client,
                attempt.began,
                self._policy,
            )
            record["rules_now"] = _record(found)
            by_now = self._console.text(
                "by the rules in force now, at that time", "現在の規則による、その時刻の判定"
            )
            text += f"\n{by_now}: {self._answer(found)}"
        self._console.data(_SCHEMA, record, text)

    def _held(self, agent: Device) -> Held:
        if agent.computer is None:
            raise TelerelayError("USAGE", f"{agent.label} has no computer")
        document = self._publisher.computer_document(agent.computer)
        return Held(document, self._publisher.stamp(agent.computer), self._publisher.revocations())

    def _ends(self, attempt: Attempt) -> str:
        labels = {device.device: device.label for device in self._registry.devices}
        computers = {_shown(device): device.label for device in self._registry.devices}
        client = labels.get(attempt.client, attempt.client.hex()[:12])
        computer = computers.get(attempt.computer, attempt.computer)
        return escape(f"{client} → {computer}, {attempt.address}")

    def _outcome(self, attempt: Attempt) -> str:
        if attempt.code is None:
            return self._console.text("it has not ended yet", "まだ終了していません")
        error = TelerelayError(attempt.code)
        language = self._console.language
        stage = _STAGES.get(attempt.stage or "")
        where = f"{self._console.text(*stage)}: " if stage else ""
        return f"{where}{error.code}  {error.sentence(language)}\n{error.remedy(language)}"

    def _answer(self, found: Explanation) -> str:
        if not isinstance(found.answer, Refuse):
            return self._console.text("let in", "接続できます")
        refused = TelerelayError(found.answer.code)
        text = f"{refused.code}  {refused.sentence(self._console.language)}\n{found.answer.reason}"
        if found.decided is not None:
            rule = found.decided
            text += f"\n{rule.name} = {escape(rule.value)}  {rule.section}  {self._source(rule.source)}"
        return text

    def _rules(self, found: Explanation) -> str:
        header = self._console.text("rule value section by", "規則 値 区分 根拠").split()
        rows = [
            [escape(cell) for cell in (one.name, one.value, one.section, self._source(one.source))]
            for one in found.rules
        ]
        return columns(header, rows)

    def _source(self, source: str | None) -> str:
        return source or self._console.text("no published policy", "公開済みの方針に定めなし")


def _shown(device: Device) -> str | None:
    return None if device.computer is None else format_computer_id(device.computer)


def _record(found: Explanation) -> dict[str, Any]:
    refused = found.answer if isinstance(found.answer, Refuse) else None
    return {
        "at": rfc3339(found.at),
        "allowed": refused is None,
        "code": refused and refused.code,
        "reason": refused and refused.reason,
        "decided": found.decided and vars(found.decided),
        "rules": [vars(rule) for rule in found.rules],
    }
