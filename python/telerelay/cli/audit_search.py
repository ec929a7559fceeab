"""`telerelay audit search`: find records by what they say."""

import json as json_text
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from telerelay.cli.audit_options import FromOption, ToOption, milliseconds
from telerelay.cli.node_options import ConfigOption, DataOption, open_control
from telerelay_core import (
    CoreError,
    format_attempt_id,
    format_computer_id,
    parse_attempt_id,
    parse_computer_id,
)
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.escaping import escape
from telerelay_endpoint.lines import to_base64url

_DEVICE_SIZE: Final = 32
_SHORT: Final = 12
"""Hex digits of an ID in the table; --json has all of them."""


def audit_search(
    attempt: Annotated[str | None, typer.Option(metavar="ID", help="An attempt, such as 7KQ2-M9XB.")] = None,
    device: Annotated[str | None, typer.Option(metavar="HEX", help="A device ID, in full.")] = None,
    computer: Annotated[str | None, typer.Option(metavar="ID", help="A computer ID.")] = None,
    organisation: Annotated[
        str | None, typer.Option(metavar="ORG", help="Beginning of an organisation ID, in hex.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="How it ended, such as DENIED.")] = None,
    begin: FromOption = None,
    end: ToOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 100,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Find records; of each attempt that fits, everything that tells of it is shown, oldest first.

    Examples:

      telerelay audit search --attempt 7KQ2-M9XB

      telerelay audit search --code DENIED --from 2026-11-27

      telerelay audit search --computer ABCD-EFGH-JKMN-PQRS-T --json | jq '.records[].address'
    """
    console = Console(json=json, lang=lang)
    asked: dict[str, str | int] = {"limit": limit}
    try:
        if attempt is not None:
            asked["attempt"] = format_attempt_id(parse_attempt_id(attempt))
        if computer is not None:
            asked["computer"] = format_computer_id(parse_computer_id(computer))
    except CoreError as error:
        raise TelerelayError("USAGE", error.detail) from error
    if device is not None:
        asked["device"] = to_base64url(_device(device))
    if code is not None:
        asked["code"] = code
    if begin is not None:
        asked["begin_ms"] = milliseconds(begin)
    if end is not None:
        asked["end_ms"] = milliseconds(end)
    with open_control(config, data) as control:
        if organisation is not None:
            asked["organisation"] = to_base64url(control.find(organisation).organisation)
        records = [json_text.loads(line) for line in control.audit_records(asked)]
    console.data("audit-search", {"records": records}, _table(console, records))


def _device(typed: str) -> bytes:
    try:
        device = bytes.fromhex(typed)
    except ValueError:
        device = b""
    if len(device) != _DEVICE_SIZE:
        raise TelerelayError("USAGE", f"{typed!r} is no device ID: {2 * _DEVICE_SIZE} hex digits")
    return device


def _table(console: Console, records: list[dict[str, Any]]) -> str:
    if not records:
        return console.text("no record fits", "該当する記録はありません")
    header = console.text(
        "time kind attempt organisation computer device address outcome",
        "時刻 種類 接続番号 組織 コンピューター 端末 アドレス 結果",
    ).split()
    return columns(header, [_row(record) for record in records])


def _row(record: Mapping[str, Any]) -> list[str]:
    organisation, device = record.get("organisation"), record.get("client") or record.get("device")
    outcome = [record.get(name) for name in ("code", "stage", "action", "document", "reason", "ground")]
    cells = [
        record["time"],
        record["kind"],
        record.get("attempt"),
        organisation and organisation[:_SHORT],
        record.get("computer"),
        device and device[:_SHORT],
        record.get("address"),
        " ".join(str(word) for word in outcome if word),
    ]
    # What a peer or an operator wrote must not move the terminal's cursor.
    return [escape(cell or "–") for cell in cells]
