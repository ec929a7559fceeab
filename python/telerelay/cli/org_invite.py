"""`telerelay org invite`: a line that lets one machine enrol."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay.cli.org_options import OrgOption, now, open_api, open_organisation
from telerelay.org import picture
from telerelay.org.inviting import BegunInvites, Inviting, invite
from telerelay_core import format_computer_id
from telerelay_endpoint import files
from telerelay_endpoint.console import Console, JsonOption, LangOption, local_time, rfc3339
from telerelay_endpoint.invite_keys import InviteKind

_DAY_S = 86_400


def org_invite(
    kind: Annotated[InviteKind, typer.Argument(help="agent: an office PC; client: a device at home.")],
    label: Annotated[
        str, typer.Option(help="How people call the machine or its person, for example 'Tanaka'.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the invite to FILE (mode 0600) instead.")
    ] = None,
    qr: Annotated[
        bool, typer.Option("--qr", help="Show it as a QR code; with --out FILE.svg or FILE.png, write one.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the invite is good.")] = 7,
    org: OrgOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Invite a machine: prints the command to run there and, on a line of its own, the invite to paste there.

    An invite is a secret, good for one machine. Interrupted, the same command prints the same invite.

    Examples:

      telerelay org invite agent --label "Room 204, Tanaka"

      telerelay org invite client --label "Tanaka, laptop" --out tanaka.invite

      telerelay org invite client --label "Tanaka, tablet" --qr
    """
    console = Console(json=json, lang=lang)
    if qr and out:
        picture.require_kind(out)
    folder = open_organisation(org)
    admin = folder.admin(now())
    begun = BegunInvites(folder.invites_file)
    terms = begun.terms_for(kind, label, now() + days * _DAY_S, now())
    inviting = Inviting(folder.organisation, folder.keeper().master(), admin.relay.cluster)
    with open_api(admin) as api:
        line = invite(terms, inviting, api).format()
    computer = None if terms.computer is None else format_computer_id(terms.computer)
    record = {"kind": kind, "label": terms.label, "computer": computer, "expires": rfc3339(terms.expiry)}
    command = f"telerelay-{kind} enrol"
    if out:
        record["file"] = str(out)
        if qr:
            picture.write(out, line)
        else:
            files.replace(out, line.encode() + b"\n")
            command += f" --invite-file {out.name}"
    else:
        record["invite"] = line
    until = local_time(terms.expiry)
    about = console.text(f"run there, until {until}: {command}", f"{until} までに相手の端末で実行: {command}")
    if computer:
        about = f"computer ID: {computer}\n{about}"
    shown = [about, *([] if out else [line]), *([picture.draw(line)] if qr and not out else [])]
    console.data("org-invite", record, "\n".join(shown))
    begun.hand_over(terms)
