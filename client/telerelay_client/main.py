"""Entry point of the command `telerelay-client`: enrol, connect, status, doctor, config."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from telerelay_client import __version__
from telerelay_client.settings import PROGRAM, Settings
from telerelay_endpoint import console, places
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.log_lines import Level
from telerelay_endpoint.settings import PathChoice
from telerelay_endpoint.settings_commands import config_commands, use_settings

_DEFAULTS = Settings()
_DESCRIPTIONS = PROGRAM.descriptions()

app = typer.Typer(name="telerelay-client", no_args_is_help=True)
app.add_typer(config_commands(PROGRAM))

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=_DESCRIPTIONS["data"],
        show_default=str(places.data_folder(PROGRAM.name)),
    ),
]


def main() -> NoReturn:
    """Run the command that the arguments name."""
    program = typer.main.get_command(app)
    if not isinstance(program, TyperGroup):
        raise TypeError("an application with commands is a group")
    console.run(program)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"telerelay-client {__version__}")
        raise typer.Exit


@app.callback()
def telerelay_client(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar=PROGRAM.config_variable,
            metavar="FILE",
            help=f"Settings in TOML: {', '.join(_DESCRIPTIONS)}.",
            show_default=str(PROGRAM.file(None)),
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The client on the home PC: reaches the office PC through the relay and opens a viewer on its screen.

    A setting comes from the arguments, else from the environment (TELERELAY_CLIENT_…), else from the file.
    """
    use_settings(context, PROGRAM, config, ("enrol", "connect", "status"))


@app.command()
def enrol(
    invite_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the invite from FILE (mode 0600).")
    ] = None,
    accept_terms: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="The version of the terms of use that was read and accepted."),
    ] = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Enrol this device: asks for the administrator's invite and whether the terms of use are accepted.

    The invite is read from a prompt, standard input or --invite-file. Interrupted, the same command goes on.

    Examples:

      telerelay-client enrol

      telerelay-client enrol --invite-file tanaka.invite --accept-terms 1
    """
    from telerelay_endpoint.certificates import Role
    from telerelay_endpoint.enrol_dialogue import enrol as ask

    folder = data or places.data_folder(PROGRAM.name)
    ask(
        Console(json=json, lang=lang),
        folder,
        Role.CLIENT,
        invite_file=invite_file,
        accept_terms=accept_terms,
    )


@app.command()
def connect(
    computer: Annotated[
        str | None, typer.Argument(help="Computer ID; without it the only granted one, or a list.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help=_DESCRIPTIONS["listen"]),
    ] = None,
    socket: Annotated[Path | None, typer.Option(metavar="PATH", help=_DESCRIPTIONS["socket"])] = None,
    path: Annotated[PathChoice, typer.Option(help=_DESCRIPTIONS["path"])] = _DEFAULTS.path,
    no_viewer: Annotated[
        bool, typer.Option("--no-viewer", help="Start none; whoever runs one finds the door's address here.")
    ] = False,
    confirm_notice: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER", help="A notice of the organisation that was read and is confirmed."),
    ] = None,
    data: DataOption = None,
    log_level: Annotated[Level, typer.Option(help=_DESCRIPTIONS["log_level"])] = _DEFAULTS.log_level,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    lang: LangOption = None,
) -> None:
    """Open an office PC's screen: shows each stage when it is reached, then starts an installed viewer.

    The viewer reaches the screen through a door that only this user of this machine can open. Stays until the
    viewer is closed; Ctrl-C ends it too. What the organisation wants confirmed is shown and asked before.

    Examples:

      telerelay-client connect

      telerelay-client connect ABCD-EFGH-JKMN-PQRS-T

      telerelay-client connect --listen 127.0.0.1:5901 --no-viewer
    """
    import asyncio
    import sys
    import time

    from telerelay_client.choice import choose_computer, read_computer
    from telerelay_client.connect import connect as open_sessions
    from telerelay_client.door import choose_door
    from telerelay_client.notices import Notices, read_numbers
    from telerelay_client.telling import Telling
    from telerelay_client.viewer import find_viewer
    from telerelay_endpoint.credentials import load_credentials
    from telerelay_endpoint.log_lines import log_to_stderr

    to = Console(json=json, lang=lang)
    log_to_stderr(json=json or None, level=log_level)
    named = None if computer is None else read_computer(computer)
    telling = Telling(to)
    somebody = sys.stdin.isatty() and sys.stderr.isatty() and not json
    notices = Notices(telling, read_numbers(confirm_notice or ()), somebody=somebody)
    credentials = load_credentials(data or places.data_folder(PROGRAM.name), int(time.time()))
    viewer = None if no_viewer else find_viewer(over_unix=socket is not None)
    with choose_door(listen, socket, viewer) as door:
        chosen = named or choose_computer(to, credentials)
        asyncio.run(open_sessions(credentials, chosen, door, path, viewer, telling, notices))


@app.command()
def status(data: DataOption = None, json: JsonOption = False, lang: LangOption = None) -> None:
    """Show who this client is, whether the relay answers, and which computers it may open.

    Examples:

      telerelay-client status

      telerelay-client status --json
    """
    from telerelay_client.report import show_status

    show_status(Console(json=json, lang=lang), data or places.data_folder(PROGRAM.name))


@app.command()
def doctor(context: typer.Context, json: JsonOption = False, lang: LangOption = None) -> None:
    """Check whether this PC can connect: settings, disk, clock, viewer, enrolment, relay.

    Each line says what was found and, where it is not well, what mends it. Exit 9 when something fails.

    Examples:

      telerelay-client doctor

      telerelay-client doctor --json
    """
    from telerelay_client.doctor import check_client
    from telerelay_endpoint.doctor.findings import examine

    examine(Console(json=json, lang=lang), check_client(context.obj), name="client-doctor")
