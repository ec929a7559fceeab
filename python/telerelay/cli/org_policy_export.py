"""`telerelay org policy export`: what an office PC goes by, as files for a stick."""

from pathlib import Path
from typing import Annotated, Final

import typer

from telerelay.cli.org_options import OrgOption, now, open_organisation
from telerelay.org.policy.file import called
from telerelay_core import format_computer_id
from telerelay_endpoint import files
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.documents import Kind, Signed, require_current
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.held_documents import HeldDocuments
from telerelay_endpoint.payloads import ComputerDocument

_READABLE: Final = 0o644
"""They are signed and hold no secret."""


def org_policy_export(
    computer: Annotated[str, typer.Argument(help="Computer ID or label.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to, such as a stick.")],
    org: OrgOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Write a computer's document, its stamp and the revocation list as files, where a relay withholds them.

    Runs where the keeper does, without a node. At the office PC: telerelay-agent import DIR/*.cose

    Example:

      telerelay org policy export "Room 204" --out /media/stick
    """
    console = Console(json=json, lang=lang)
    held = open_organisation(org).keeper().held
    document = _document(held, computer)
    stamp, revocations = held.stamp(document.document.computer), held.revocations()
    require_current(document, stamp, revocations, now())
    written = []
    for kind, signed in ((Kind.COMPUTER, document), (Kind.STAMP, stamp), (Kind.REVOCATIONS, revocations)):
        if signed is not None:
            path = out / f"{kind}.cose"
            files.replace(path, signed.encoded, _READABLE)
            written.append(str(path))
    shown, version = format_computer_id(document.document.computer), document.document.version
    console.data(
        "org-policy-export",
        {"computer": shown, "version": version, "files": written},
        console.text(
            f"document version {version} of {shown} is in {out}; there: telerelay-agent import {out}/*.cose",
            f"{shown} の文書 (版 {version}) を {out} に書き出しました。"
            f"職場のPCで: telerelay-agent import {out}/*.cose",
        ),
    )


def _document(held: HeldDocuments, typed: str) -> Signed[ComputerDocument]:
    """The document of a computer. Raises TelerelayError(USAGE) when none or several fit."""
    documents = [document for one in held.computers() if (document := held.computer(one)) is not None]
    found = [
        signed
        for signed in documents
        if called(typed) in {format_computer_id(signed.document.computer), called(signed.document.label)}
    ]
    if len(found) != 1:
        raise TelerelayError("USAGE", f"{len(found)} computers with a document are called {typed!r}")
    return found[0]
