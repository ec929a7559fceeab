"""`telerelay prove`: try everything that a hostile client could try on an office PC, and report it."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from telerelay.prove.ground import Asked
from telerelay.prove.page import verdict_of
from telerelay.prove.report import PAGE_FILE, check, record, write
from telerelay.prove.run import Result, choose
from telerelay.prove.run import prove as make_tries
from telerelay.prove.tries import CATALOGUE
from telerelay.prove.verdicts import Outcome
from telerelay_core import format_computer_id, parse_computer_id
from telerelay_endpoint import places
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns
from telerelay_endpoint.credentials import Credentials, load_credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.escaping import escape

NOT_MET: Final = 9
"""Exit code: checked, and not met."""
_SIGNS: Final = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.NOT_TESTED: "–"}
_CLIENT: Final = "client"


def prove(
    computer: Annotated[
        str | None, typer.Argument(metavar="COMPUTER-ID", help="The office PC to try.")
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(
            metavar="DISPLAY", help="The X display of that desktop: what arrives there is seen only with it."
        ),
    ] = None,
    view_only: Annotated[
        bool,
        typer.Option("--view-only", help="The rules let this device look only: its keys must not arrive."),
    ] = False,
    not_granted: Annotated[
        str | None, typer.Option(metavar="ID", help="A computer that this device is not granted.")
    ] = None,
    expired: Annotated[
        str | None, typer.Option(metavar="ID", help="A computer whose grant to this device has ended.")
    ] = None,
    closed: Annotated[
        str | None, typer.Option(metavar="ID", help="A granted computer that is closed at this hour.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="TRY,…", help="Only these tries, or families such as clipboard.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the tries and make none.")] = False,
    check_: Annotated[
        Path | None,
        typer.Option("--check", metavar="DIR", help="Check who signed a report instead, and show it."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path("prove"),
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the enrolled client that tries.",
            show_default=str(places.data_folder(_CLIENT)),
        ),
    ] = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Try as a granted but hostile client to get more than a screen out of an office PC, or anything into it.

    Use a device that is enrolled for it: a client that runs with the same key is superseded. The watched
    desktop's clipboard is overwritten. Writes prove.html for people, prove.json for machines, and prove.cose,
    signed by the device. Exit code 0: guarded, with --only as far as that goes; 9: not.

    Examples:

      telerelay prove ABCD-EFGH-JKMN-PQRS-T --watch :1

      telerelay prove ABCD-EFGH-JKMN-PQRS-T --watch :1 --only clipboard,files --out /tmp/report

      telerelay prove --check prove
    """
    console = Console(json=json, lang=lang)
    if list_:
        _show_tries(console)
        return
    credentials = _credentials(data or places.data_folder(_CLIENT))
    if check_ is not None:
        _conclude(console, check(check_, credentials.root), check_)
        return
    if computer is None:
        raise TelerelayError("USAGE", "COMPUTER-ID is missing")
    tries = choose(only)
    asked = Asked(
        computer=_read(computer),
        watch=watch,
        not_granted=not_granted and _read(not_granted),
        expired=expired and _read(expired),
        closed=closed and _read(closed),
        view_only=view_only,
    )
    proof = make_tries(credentials, asked, tries, lambda result: _tell(console, result))
    reported = record(proof, credentials)
    write(out, reported, credentials)
    _conclude(console, reported, out)


def _credentials(folder: Path) -> Credentials:
    credentials = load_credentials(folder, int(time.time()))
    if credentials.relay.role is not Role.CLIENT:
        raise TelerelayError("CERTIFICATE", f"{folder} is no client's")
    return credentials


def _read(computer: str) -> str:
    """A computer ID as it is shown, typing errors corrected."""
    return format_computer_id(parse_computer_id(computer))


def _show_tries(console: Console) -> None:
    rows = [[tried.id, _numbers(tried.requirements), console.text(*tried.sentence)] for tried in CATALOGUE]
    records = [
        {
            "id": tried.id,
            "requirements": [f"S{number}" for number in tried.requirements],
            "essential": tried.essential,
            "sentence": tried.sentence._asdict(),
        }
        for tried in CATALOGUE
    ]
    header = (console.text("try", "試験"), "S", console.text("what is tried", "内容"))
    console.data("prove-tries", {"tries": records}, columns(header, rows))


def _tell(console: Console, result: Result) -> None:
    """One line when a try is over, for somebody who watches."""
    verdict = result.verdict
    lines = [
        f"{_SIGNS[verdict.outcome]} {result.tried.id}  {escape(why)}  {result.seconds:.1f} s"
        for why in verdict.why
    ]
    console.progress(*lines)


def _conclude(console: Console, reported: dict[str, Any], folder: Path) -> None:
    """The result, for a person what is not well in it. Exits with 9 unless all is well with what was made."""
    _, sentence = verdict_of(reported)
    rows = [
        [
            _SIGNS[Outcome(row["outcome"])],
            escape(row["id"]),
            escape(" ".join(row["requirements"])),
            escape(console.text(**row["why"])),
        ]
        for row in reported["tries"]
        if row["outcome"] != Outcome.PASS
    ]
    counts = reported["counts"]
    passed, broken, open_ = (counts[outcome] for outcome in Outcome)
    lines = [
        *([columns(["", "", "", ""], rows).lstrip("\n"), ""] if rows else []),
        escape(
            console.text(
                f"{passed} passed, {broken} failed, {open_} not tested here",
                f"合格 {passed}、不合格 {broken}、未検査 {open_}",
            )
        ),
        console.text(*sentence),
        str(folder / PAGE_FILE),
    ]
    shown = {name: value for name, value in reported.items() if name != "schema"}
    console.data("prove", shown, "\n".join(lines))
    if not reported["well"]:
        raise typer.Exit(NOT_MET)


def _numbers(requirements: tuple[int, ...]) -> str:
    return " ".join(f"S{number}" for number in requirements)
