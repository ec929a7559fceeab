"""`telerelay org policy publish`: what a policy changes is shown, signed and sent, and nothing else."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from telerelay.cli.org_options import (
    OrgOption,
    Passphrase,
    PassphraseOption,
    PolicyArgument,
    now,
    open_api,
    open_organisation,
    policy_file,
)
from telerelay.cli.org_stamps import NoWaitOption, WaitOption, wait_for_stamps
from telerelay.org.api import OrganisationApi
from telerelay.org.policy.changing import Change, changes
from telerelay.org.policy.file import CHECK, Policy, read_policy
from telerelay.org.policy.resolving import unknown_names
from telerelay.org.publishing import STAMP_WAIT_S, Publisher
from telerelay_core import format_computer_id
from telerelay_endpoint import files
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns
from telerelay_endpoint.documents import Clock
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.escaping import escape
from telerelay_endpoint.payloads import ComputerDocument
from telerelay_endpoint.settings import SettingsError

_SCHEMA: Final = "org-policy-publish"


def org_policy_publish(
    file: PolicyArgument = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, sign nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Publish even what lets nobody in.")] = False,
    org: OrgOption = None,
    passphrase_file: PassphraseOption = None,
    wait: WaitOption = STAMP_WAIT_S,
    no_wait: NoWaitOption = False,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Put a policy in force: shows what changes, then signs and sends the documents that change.

    A computer that nobody could reach any more is named first, and you are asked (--yes: you are not).
    Then waits for the keeper's stamps, as grant does; exits with 9 when some did not come in time.

    Examples:

      telerelay org policy publish --dry-run

      telerelay org policy publish --yes --passphrase-file pass --json
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    path = policy_file(file, org)
    policy, content = read_policy(path), path.read_bytes()
    with open_api(folder.admin(now())) as api:
        publisher = Publisher(folder.root, folder.held, api, Clock())
        changed = _changes(policy, publisher, api)
        record: dict[str, Any] = {"file": str(path), "computers": [_record(change) for change in changed]}
        if dry_run:
            console.data(_SCHEMA, {**record, "published": False}, _table(console, changed))
            return
        if changed:
            table = _table(console, changed)
            console.note(table, table)
            _confirm(console, [change for change in changed if change.locks_out], yes=yes)
            signer = folder.signer(RoleKey.POLICY, Passphrase(passphrase_file))
            for change in changed:
                publisher.publish(change.after, signer)
        files.replace(folder.published_policy, content)
        versions = {change.after.computer: change.after.version for change in changed}
        done = console.text(
            f"{len(changed)} documents published, by {path}",
            f"{path} により文書 {len(changed)} 件を公開しました",
        )
        wait_for_stamps(
            console,
            publisher,
            list(versions),
            lambda stamp: stamp.document_version >= versions[stamp.computer],
            0 if no_wait else wait,
            (_SCHEMA, {**record, "published": True}, done),
        )


def _changes(policy: Policy, publisher: Publisher, api: OrganisationApi) -> list[Change]:
    """What changes. Raises SettingsError for a computer or an own device that is not there."""
    if problems := unknown_names(policy, api.devices()):
        raise SettingsError(problems, CHECK)
    found = (publisher.computer_document(computer) for computer in sorted(api.computers()))
    return changes(policy, (document for document in found if document is not None), now())


def _confirm(console: Console, locked: Sequence[Change], *, yes: bool) -> None:
    """Warn of computers that nobody could reach any more. Raises TelerelayError(USAGE) for a no."""
    for change in locked:
        shown, refused = _name(change.after), change.locks_out
        why = f"{refused.code}, {refused.reason}" if refused else ""
        console.warn(
            f"nobody could reach {shown} any more: {why}",
            f"{shown} には誰も接続できなくなります: {why}",
        )
    if not locked or yes:
        return
    question = console.text(
        f"Lock everybody out of {len(locked)} computers?",
        f"{len(locked)} 台のコンピューターに誰も接続できなくなります。公開しますか?",
    )
    # Where nobody sits, nobody was asked.
    if not (sys.stdin.isatty() and typer.confirm(question, err=True)):
        raise TelerelayError("USAGE", "nothing was published; --yes publishes what lets nobody in")


def _table(console: Console, changed: Sequence[Change]) -> str:
    if not changed:
        return console.text("nothing changes", "変更はありません")
    header = console.text("computer rule before after by", "コンピューター 規則 変更前 変更後 根拠").split()
    rows = [
        [escape(cell) for cell in (_name(change.after), one.name, one.before, one.after, one.source)]
        for change in changed
        for one in change.differences
    ]
    return columns(header, rows)


def _name(document: ComputerDocument) -> str:
    return f"{document.label} ({format_computer_id(document.computer)})"


def _record(change: Change) -> dict[str, Any]:
    return {
        "computer": format_computer_id(change.after.computer),
        "label": change.after.label,
        "version": change.after.version,
        "locks_out": change.locks_out and change.locks_out.code,
        "changes": [vars(one) for one in change.differences],
    }
