"""Entry point of the command `telerelay-agent`: enrol, run, status, import, harden, doctor, config."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from telerelay_agent import __version__
from telerelay_agent.settings import PROGRAM, Settings
from telerelay_endpoint import console, places
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.log_lines import Level
from telerelay_endpoint.settings import PathChoice
from telerelay_endpoint.settings_commands import config_commands, use_settings

_DEFAULTS = Settings()
_DESCRIPTIONS = PROGRAM.descriptions()

app = typer.Typer(name="telerelay-agent", no_args_is_help=True)
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
        typer.echo(f"telerelay-agent {__version__}")
        raise typer.Exit


@app.callback()
def telerelay_agent(
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
    """The agent on the office PC: dials out to the relay, waits there, and serves this machine's desktop.

    A setting comes from the arguments, else from the environment (TELERELAY_AGENT_…), else from the file.
    """
    use_settings(context, PROGRAM, config, ("enrol", "run", "status", "harden"))


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
    """Enrol this PC: asks for the administrator's invite and whether the terms of use are accepted.

    The invite is read from a prompt, standard input or --invite-file. Interrupted, the same command goes on.

    Examples:

      telerelay-agent enrol

      telerelay-agent enrol --invite-file office.invite --accept-terms 1
    """
    from telerelay_endpoint.certificates import Role
    from telerelay_endpoint.enrol_dialogue import enrol as ask

    folder = data or places.data_folder(PROGRAM.name)
    ask(Console(json=json, lang=lang), folder, Role.AGENT, invite_file=invite_file, accept_terms=accept_terms)


@app.command()
def run(
    desktop: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help=_DESCRIPTIONS["desktop"]),
    ] = _DEFAULTS.desktop,
    desktop_password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=_DESCRIPTIONS["desktop_password_file"]),
    ] = _DEFAULTS.desktop_password_file,
    desktop_lock_command: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help=_DESCRIPTIONS["desktop_lock_command"]),
    ] = None,
    path: Annotated[PathChoice, typer.Option(help=_DESCRIPTIONS["path"])] = _DEFAULTS.path,
    data: DataOption = None,
    log_level: Annotated[Level, typer.Option(help=_DESCRIPTIONS["log_level"])] = _DEFAULTS.log_level,
    json: Annotated[bool, typer.Option("--json", help="Log in JSON at a terminal too.")] = False,
    lang: LangOption = None,
) -> None:
    """Wait at the relay for granted clients and show them the desktop, until SIGTERM or Ctrl-C.

    Examples:

      telerelay-agent run

      telerelay-agent run --desktop 127.0.0.1:5901 --json
    """
    import structlog

    from telerelay_agent.desktop import Desktop, parse_desktop, read_password
    from telerelay_agent.locking import find_command
    from telerelay_agent.run import run_agent
    from telerelay_endpoint.log_lines import log_to_stderr

    password = read_password(desktop_password_file) if desktop_password_file else None
    served = Desktop(parse_desktop(desktop), password, find_command(desktop_lock_command or ()))
    _tell_limits(Console(lang=lang))
    log_to_stderr(json=json or None, level=log_level)
    run_agent(data or places.data_folder(PROGRAM.name), served, path, structlog.get_logger("agent"))


@app.command()
def status(data: DataOption = None, json: JsonOption = False, lang: LangOption = None) -> None:
    """Show who this agent is, whether it runs and where, and whether anybody is let in.

    Examples:

      telerelay-agent status

      telerelay-agent status --json
    """
    from telerelay_agent.report import show_status

    show_status(Console(json=json, lang=lang), data or places.data_folder(PROGRAM.name))


@app.command("import")
def import_(
    documents: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Signed documents.")],
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Take documents from files, where the relay withholds them; each is verified like one from a relay.

    The agent must not be running. The files come from: telerelay org policy export

    Example:

      telerelay-agent import /media/stick/*.cose
    """
    from telerelay_agent.carrying import import_documents

    import_documents(Console(json=json, lang=lang), data or places.data_folder(PROGRAM.name), documents)


@app.command()
def harden(
    check: Annotated[
        bool, typer.Option("--check", help="Tell how each setting stands; change nothing.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="List what would change, ask, and change it.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what --apply changed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to what is listed without being asked.")] = False,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Close clipboard, files and devices in the desktop's own settings too, behind the guard; or undo that.

    Nothing is changed that was not listed and agreed to, and every change is in a journal before it is made.
    Only programs that are installed are touched. Exit 9 when a setting is not as it should be.

    Examples:

      telerelay-agent harden --check

      sudo telerelay-agent harden --apply

      telerelay-agent harden --undo --yes
    """
    from telerelay_agent.harden.command import Task
    from telerelay_agent.harden.command import harden as carry_out
    from telerelay_endpoint.errors import TelerelayError

    asked = {Task.CHECK: check, Task.APPLY: apply, Task.UNDO: undo}
    tasks = [task for task, is_asked in asked.items() if is_asked]
    if len(tasks) != 1:
        raise TelerelayError("USAGE", "one of --check, --apply and --undo says what to do")
    carry_out(Console(json=json, lang=lang), data or places.data_folder(PROGRAM.name), tasks[0], agreed=yes)


@app.command()
def doctor(context: typer.Context, json: JsonOption = False, lang: LangOption = None) -> None:
    """Check whether this PC can be reached: settings, disk, clock, desktop, enrolment, relay.

    Each line says what was found and, where it is not well, what mends it. Exit 9 when something fails.

    Examples:

      telerelay-agent doctor

      telerelay-agent doctor --json
    """
    from telerelay_agent.doctor import check_agent
    from telerelay_endpoint.doctor.findings import examine

    examine(Console(json=json, lang=lang), check_agent(context.obj), name="agent-doctor")


def _tell_limits(to: Console) -> None:
    to.warn(
        "the device key is the only factor: whoever holds an enrolled client's machine gets in",
        "認証は端末の鍵だけです: 登録済み端末を手にした人は誰でも接続できます",
    )
