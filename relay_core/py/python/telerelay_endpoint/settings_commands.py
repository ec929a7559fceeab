"""What the command lines of agent and client have in common: the option --config, and `config show|check`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import typer

from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.settings import Program
from telerelay_endpoint.settings_report import check_settings, show_settings


def use_settings(
    context: typer.Context, program: Program[Any], config: Path | None, commands: Collection[str]
) -> None:
    """Make the settings in force the defaults of `commands`; other commands find the file in `context.obj`.

    Raises SettingsError.
    """
    context.obj = config
    if context.invoked_subcommand in commands:
        context.default_map = dict.fromkeys(commands, program.load(config).given())


def config_commands(program: Program[Any]) -> typer.Typer:
    """The group `config`."""
    group = typer.Typer(name="config", no_args_is_help=True, help=f"The {program.name}'s settings.")

    @group.command("show")
    def show(context: typer.Context, json: JsonOption = False, lang: LangOption = None) -> None:
        """Show every setting: its value, where it comes from, and what it is for."""
        show_settings(Console(json=json, lang=lang), program, program.load(context.obj))

    @group.command("check")
    def check(context: typer.Context, json: JsonOption = False, lang: LangOption = None) -> None:
        """Tell everything that is wrong with the settings, with its place; exit 2 when something is."""
        config: Path | None = context.obj
        check_settings(Console(json=json, lang=lang), program, config, lambda: program.load(config))

    return group
