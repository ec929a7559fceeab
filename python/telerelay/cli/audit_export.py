"""`telerelay audit export`: one organisation's records, with the proof that they are whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from telerelay.audit.records import REASON_MAXIMUM
from telerelay.audit.verifying import verify
from telerelay.cli.audit_options import FromOption, ToOption, milliseconds, read_ca
from telerelay.cli.node_options import ConfigOption, DataOption, data_folder, open_control
from telerelay_endpoint import files
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import to_base64url


def audit_export(
    organisation: Annotated[
        str, typer.Option(metavar="ORG", help="Beginning of the organisation ID, in hex.")
    ],
    requested_by: Annotated[str, typer.Option(help="Who asked; it stands in the audit and in the export.")],
    ground: Annotated[str, typer.Option(help="On what ground; it stands there too.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file, of mode 0600.")],
    begin: FromOption = None,
    end: ToOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    r"""Write one organisation's records to a file that proves itself: `audit verify FILE --ca ca.pem`.

    Of other organisations' records it holds nothing but hashes. The export itself is recorded.

    Examples:

      telerelay audit export --organisation 3f9ac2d41b07 --requested-by "Kitamachi Town" \
        --ground "its request of 2 December" --from 2026-11-01 --to 2026-12-01 --out kitamachi.jsonl
    """
    console = Console(json=json, lang=lang)
    for text in (requested_by, ground):
        if not 0 < len(text) <= REASON_MAXIMUM:
            raise TelerelayError(
                "USAGE", f"who asked and on what ground have 1 to {REASON_MAXIMUM} characters"
            )
    demand: dict[str, str | int] = {"requested_by": requested_by, "ground": ground}
    if begin is not None:
        demand["begin_ms"] = milliseconds(begin)
    if end is not None:
        demand["end_ms"] = milliseconds(end)
    certificate = read_ca(data_folder(config, data).ca)
    with open_control(config, data) as control, _new_file(out) as file:
        found = control.find(organisation)
        demand["organisation"] = to_base64url(found.organisation)
        file.writelines(line + b"\n" for line in control.audit_export(demand))
        file.seek(0)
        verdict = verify(file, certificate)
        if verdict.breaks:
            raise TelerelayError("STORE", "what was exported is not whole; run `telerelay audit verify`")
    console.data(
        "audit-export",
        {
            "organisation": found.organisation.hex(),
            "file": str(out),
            "records": verdict.records,
            "not_shown": verdict.foreign,
            "checkpoints": verdict.checkpoints,
        },
        console.text(
            f"{verdict.records} records with {verdict.checkpoints} checkpoints are in {out}",
            f"記録 {verdict.records} 件(署名 {verdict.checkpoints} 件)を {out} に書き出しました",
        ),
    )


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there whole or not at all. Raises TelerelayError(USAGE) where one is already."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.PRIVATE)
    except FileExistsError:
        raise TelerelayError("USAGE", f"{path} is there already") from None
    with os.fdopen(descriptor, "w+b") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
