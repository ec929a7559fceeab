"""`telerelay org init`: make an organisation, on a machine that no network needs to reach."""

from typing import Annotated

import typer

from telerelay.cli.org_options import OrgOption, PassphraseOption, now
from telerelay.org.folder import default_folder
from telerelay.org.founding import found
from telerelay_endpoint.console import Console, JsonOption, LangOption, read_new_secret

_DONE = """\
organisation {organisation}
folder       {folder}

next: give {folder}/root.pem to the relay's operator (telerelay node admit root.pem)
      and take root.key off this machine: only a new role key ever needs it."""
_DONE_JA = """\
組織ID     {organisation}
フォルダー {folder}

次に: {folder}/root.pem を中継の運用者へ渡してください (telerelay node admit root.pem)。
      root.key はこの端末から外して保管してください。新しい役割の鍵を作るときにだけ使います。"""


def org_init(
    org: OrgOption = None,
    name: Annotated[
        str, typer.Option(help="Common name of the root, for people only.")
    ] = "telerelay organisation",
    unencrypted: Annotated[
        bool,
        typer.Option("--unencrypted", help="Do not protect the keys by a passphrase, only by mode 0600."),
    ] = False,
    passphrase_file: PassphraseOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Make an organisation: its root, its role keys, its first administrator, its keeper (offline).

    The passphrase is asked for, or read from standard input or --passphrase-file.

    Examples:

      telerelay org init --name "City of Example"

      telerelay org init --org /media/stick/org --passphrase-file ~/.org-passphrase
    """
    console = Console(json=json, lang=lang)
    passphrase = None
    if not unencrypted:
        passphrase = read_new_secret("New passphrase", "The same again", passphrase_file).encode()
    folder = org or default_folder()
    organisation = found(folder, name, passphrase, now()).organisation.hex()
    record = {"organisation": organisation, "folder": str(folder), "encrypted": not unencrypted}
    text = (_DONE_JA if console.language == "ja" else _DONE).format(organisation=organisation, folder=folder)
    console.data("org-init", record, text)
