"""Entry point of the command `telerelay-agent`: enrol, run, status."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

from telerelay_agent import __version__
from telerelay_endpoint import console, places
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.log_lines import Level

PROGRAM = "agent"
_DESKTOP = "127.0.0.1:5900"

app = typer.Typer(name="telerelay-agent", no_args_is_help=True)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="TELERELAY_AGENT_DATA",
        metavar="DIR",
        help="Folder of the agent's key, certificate and documents.",
        show_default=str(places.data_folder(PROGRAM)),
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
            envvar="TELERELAY_AGENT_CONFIG",
            metavar="FILE",
            help="Settings in TOML: data, desktop, log_level, lang.",
            show_default=str(places.settings_file(PROGRAM)),
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The agent on the office PC: dials out to the relay, waits there, and serves this machine's desktop.

    A setting comes from the arguments, else from the environment (TELERELAY_AGENT_…), else from the file.
    """
    settings = places.read_settings(PROGRAM, config, {"data", "desktop", "log_level", "lang"})
    context.default_map = dict.fromkeys(("enrol", "run", "status"), settings)


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

    folder = data or places.data_folder(PROGRAM)
    ask(Console(json=json, lang=lang), folder, Role.AGENT, invite_file=invite_file, accept_terms=accept_terms)


@app.command()
def run(
    desktop: Annotated[
        str,
        typer.Option(
            envvar="TELERELAY_AGENT_DESKTOP",
            metavar="HOST:PORT",
            help="This machine's VNC desktop: a loopback address, or unix:/path. Nothing else is served.",
        ),
    ] = _DESKTOP,
    data: DataOption = None,
    log_level: Annotated[
        Level, typer.Option(envvar="TELERELAY_AGENT_LOG_LEVEL", help="Least level that is logged.")
    ] = "info",
    json: Annotated[bool, typer.Option("--json", help="Log in JSON, one object a line.")] = False,
    lang: LangOption = None,
) -> None:
    """Wait at the relay for granted clients and show them the desktop, until SIGTERM or Ctrl-C.

    Examples:

      telerelay-agent run

      telerelay-agent run --desktop 127.0.0.1:5901 --json
    """
    import structlog

    from telerelay_agent.desktop import parse_desktop
    from telerelay_agent.run import run_agent
    from telerelay_endpoint.log_lines import log_to_stderr

    served = parse_desktop(desktop)
    _tell_limits(Console(lang=lang))
    log_to_stderr(json=json, level=log_level)
    run_agent(data or places.data_folder(PROGRAM), served, structlog.get_logger("agent"))


@app.command()
def status(data: DataOption = None, json: JsonOption = False, lang: LangOption = None) -> None:
    """Show who this agent is, whether it runs and where, and whether anybody is let in.

    Examples:

      telerelay-agent status

      telerelay-agent status --json
    """
    from telerelay_agent.report import show_status

    show_status(Console(json=json, lang=lang), data or places.data_folder(PROGRAM))


def _tell_limits(to: Console) -> None:
    to.warn(
        "not yet guarded: clipboard and file messages are not filtered yet",
        "保護機能は未実装です: クリップボードやファイルのメッセージはまだ遮断されません",
    )
    to.warn(
        "the device key is the only factor: whoever holds an enrolled client's machine gets in",
        "認証は端末の鍵だけです: 登録済み端末を手にした人は誰でも接続できます",
    )
