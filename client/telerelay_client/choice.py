"""Which computer is meant when nobody named one: the only one, or one of a list."""

import sys

import typer

from telerelay_core import format_computer_id, parse_computer_id
from telerelay_endpoint.api import Computer, NodeApi
from telerelay_endpoint.console import Console, columns
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.errors import TelerelayError


def read_computer(named: str) -> str:
    """A computer ID as it is shown, typing errors corrected. Raises CoreError(USAGE) that names the error."""
    return format_computer_id(parse_computer_id(named))


def choose_computer(console: Console, credentials: Credentials) -> str:
    """The computer ID, as it is shown, of the only granted computer or the one that the person chooses.

    Raises TelerelayError: USAGE where nobody can be asked, DENIED where nothing is granted, UNREACHABLE.
    """
    with NodeApi(credentials.dial()) as api:
        computers = api.computers()
    if not computers:
        raise TelerelayError("DENIED", "no computer is granted to this device")
    if len(computers) == 1:
        return format_computer_id(computers[0].computer)
    if sys.stdin.isatty() and not console.json:
        return _ask(console, computers)
    console.data("computers", {"computers": computer_records(computers)}, list_computers(console, computers))
    raise TelerelayError("USAGE", f"{len(computers)} computers are granted; name one of them")


def computer_records(computers: list[Computer]) -> list[dict[str, str | bool]]:
    """The same for a machine."""
    return [
        {"computer": format_computer_id(item.computer), "label": item.label, "present": item.present}
        for item in computers
    ]


def list_computers(console: Console, computers: list[Computer]) -> str:
    """A numbered table."""
    say = console.text
    header = (
        "",
        say("computer ID", "コンピューターID"),
        say("label", "名前"),
        say("at the relay", "中継に接続中"),
    )
    yes, no = say("yes", "はい"), say("no", "いいえ")
    rows = [
        (str(number), format_computer_id(item.computer), item.label, yes if item.present else no)
        for number, item in enumerate(computers, start=1)
    ]
    return columns(header, rows)


def _ask(console: Console, computers: list[Computer]) -> str:
    # A question belongs to standard error, and its list with it.
    typer.echo(list_computers(console, computers), err=True)
    question = console.text("Which one", "番号を選んでください")

    def read(answer: str) -> Computer:
        if answer.strip() not in map(str, range(1, len(computers) + 1)):
            raise typer.BadParameter(console.text(f"1 to {len(computers)}", f"1 から {len(computers)} まで"))
        return computers[int(answer) - 1]

    chosen: Computer = typer.prompt(question, value_proc=read, err=True)
    return format_computer_id(chosen.computer)
