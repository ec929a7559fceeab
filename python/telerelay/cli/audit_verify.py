"""`telerelay audit verify`: check records for whatever was done to them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from telerelay.audit.chain import LINK_SIZE, Head
from telerelay.audit.verifying import Break, Verdict, verify
from telerelay.cli.audit_options import CaOption, read_ca
from telerelay.cli.node_options import ConfigOption, DataOption, data_folder, open_control
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.escaping import escape

NOT_MET: Final = 9
"""Exit code: checked, and not met."""


def audit_verify(
    export: Annotated[
        Path | None,
        typer.Argument(metavar="EXPORT", help="A file of `audit export`; without it the running node."),
    ] = None,
    ca: CaOption = None,
    known: Annotated[
        str | None,
        typer.Option(
            metavar="HEAD", help="A head that an earlier verify printed: nothing before it may be gone."
        ),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Check every record against the chain and the node's signatures; exit code 9 when anything is wrong.

    Keep the head that it prints, on paper or on another machine: it proves later that nothing was cut off.

    Examples:

      telerelay audit verify

      telerelay audit verify --known relay-1:5124:9f0c…

      telerelay audit verify kitamachi.jsonl --ca ca.pem
    """
    console = Console(json=json, lang=lang)
    remembered = None if known is None else parse_head(known)
    certificate = read_ca(ca or data_folder(config, data).ca)
    if export is not None:
        with export.open("rb") as lines:
            verdict = verify(lines, certificate, remembered)
        if not verdict.scope:
            # Where everything ends only the running node can say, and a file is not the node.
            raise TelerelayError("USAGE", f"{export} is no export of an organisation's records")
    else:
        with open_control(config, data) as control:
            verdict = verify(control.audit_chain(), certificate, remembered)
    console.data("audit-verify", record(verdict), "\n".join(_text(console, verdict)))
    if verdict.breaks:
        raise typer.Exit(NOT_MET)


def parse_head(typed: str) -> Head:
    """NODE:NUMBER:LINK, as verify prints it. Raises TelerelayError(USAGE)."""
    node, _, rest = typed.partition(":")
    seq, _, link = rest.partition(":")
    try:
        head = Head(node, int(seq), bytes.fromhex(link))
    except ValueError:
        head = None
    if head is None or len(head.link) != LINK_SIZE:
        raise TelerelayError("USAGE", f"{typed!r} is no head: NODE:NUMBER:LINK, as `audit verify` prints it")
    return head


def format_head(head: Head) -> str:
    """What `parse_head` reads."""
    return f"{head.node}:{head.seq}:{head.link.hex()}"


def record(verdict: Verdict) -> dict[str, object]:
    """The verdict as JSON has it."""
    return {
        "scope": dict(verdict.scope),
        "records": verdict.records,
        "not_shown": verdict.foreign,
        "checkpoints": verdict.checkpoints,
        "from": verdict.begin or None,
        "to": verdict.end or None,
        "heads": [format_head(head) for head in verdict.heads.values()],
        "breaks": [
            {
                "kind": broken.kind,
                "node": broken.node,
                "first": broken.first,
                "last": broken.last,
                "detail": broken.detail,
            }
            for broken in verdict.breaks
        ],
    }


def _text(console: Console, verdict: Verdict) -> Iterable[str]:
    say = console.text
    for name, value in verdict.scope.items():
        yield f"{name}: {escape(str(value))}"
    shown, hidden, signed = verdict.records, verdict.foreign, verdict.checkpoints
    yield say(
        f"{shown} records, {hidden} not shown, {signed} checkpoints"
        + (f", {verdict.begin} – {verdict.end}" if verdict.begin else ""),
        f"記録 {shown} 件、非表示 {hidden} 件、署名 {signed} 件"
        + (f"、{verdict.begin} ~ {verdict.end}" if verdict.begin else ""),
    )
    for head in verdict.heads.values():
        yield say(f"head {format_head(head)}", f"末尾 {format_head(head)}")
    if not verdict.breaks:
        yield say("nothing is broken", "異常はありません")
        return
    header = say("node records what detail", "ノード 記録番号 異常 詳細").split()
    yield columns(header, [_row(broken) for broken in verdict.breaks])


def _row(broken: Break) -> list[str]:
    records = str(broken.first) if broken.first == broken.last else f"{broken.first}–{broken.last}"
    return [escape(broken.node), records, broken.kind, escape(broken.detail)]
