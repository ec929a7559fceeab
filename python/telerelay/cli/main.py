"""Entry point of the command `telerelay`: the table of its commands, each loaded when it is called.

To add one: a line in `PROGRAM` and a file of its name in this folder; `org init` is function `org_init` of
`org_init.py`. No command is imported before it runs: `telerelay org` never loads a node.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typing_extensions import override

from telerelay import __version__
from telerelay_endpoint.console import run


@dataclass(frozen=True)
class Group:
    """Commands under one word, with the line that `--help` shows for each."""

    help: str
    commands: Mapping[str, "str | Group"]


PROGRAM = Group(
    "Relay node, and the commands of operators, organisations and auditors.",
    {
        "serve": "Run a relay node.",
        "top": "Watch a running node: sessions, agents, waits, refusals.",
        "doctor": "Check whether this machine is fit to run a node, and say what mends it.",
        "demo": "Show a real desktop through a relay, with everything on this machine.",
        "prove": "Try as a hostile client to get more than a screen, and report it.",
        "node": Group(
            "The operator of a node: who may use it, what runs, how it ends.",
            {
                "admit": "Let an organisation use this cluster.",
                "list": "Show the node and the admitted organisations.",
                "suspend": "Stop an organisation's use of this cluster at once.",
                "drain": "Take nothing new and wait until the last session has ended.",
                "cut": "End the sessions of an attempt, a device or an organisation.",
            },
        ),
        "audit": Group(
            "Who connected where and how it ended: found, given out with its proof, checked.",
            {
                "search": "Find records by attempt, device, computer, organisation, outcome or time.",
                "export": "Give out one organisation's records, with the proof that they are whole.",
                "verify": "Check the records of a node, or an export, for whatever was done to them.",
            },
        ),
        "config": Group(
            "The node's settings.",
            {
                "show": "Show every setting, its value and where it comes from.",
                "check": "Tell everything that is wrong with the settings, with its place.",
            },
        ),
        "org": Group(
            "An organisation's administrator: keys, invites, who may reach which computer.",
            {
                "init": "Make an organisation: its root, its role keys, its first administrator (offline).",
                "join": "Tell this administrator and the keeper which cluster to talk to.",
                "keep": "Approve invited machines and keep every computer's freshness stamp young (service).",
                "invite": "Invite a machine: an office PC (agent) or a device at home (client).",
                "approve": "Approve waiting machines by hand, where no keeper runs.",
                "grant": "Let a client reach a computer.",
                "list": "Show devices, computers and who may reach them.",
                "explain": "Tell why somebody may connect or may not, and why an attempt failed.",
                "revoke": "Take a device away for ever; its live session ends.",
                "policy": Group(
                    "When, from where and under what the computers may be used.",
                    {
                        "check": "Tell everything that is wrong with a policy, with its place.",
                        "publish": "Show what a policy changes, then sign and send that.",
                        "export": "Write what an office PC goes by as files for a stick.",
                    },
                ),
            },
        ),
    },
)


def main() -> NoReturn:
    """Run the command that the arguments name."""
    run(program())


def program() -> TyperGroup:
    """The whole tree of commands."""
    root = typer.main.get_command(_app)
    if not isinstance(root, TyperGroup):
        raise TypeError("an application with a callback is a group")
    _fill(root, PROGRAM, "telerelay.cli.")
    return root


_app = typer.Typer(name="telerelay", no_args_is_help=True, help=PROGRAM.help)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"telerelay {__version__}")
        raise typer.Exit


@_app.callback()
def _telerelay(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def _fill(group: TyperGroup, table: Group, prefix: str) -> None:
    for name, entry in table.commands.items():
        module = prefix + name.replace("-", "_")
        if isinstance(entry, Group):
            inner = TyperGroup(name=name, help=entry.help, no_args_is_help=True)
            _fill(inner, entry, f"{module}_")
            group.add_command(inner)
        else:
            group.add_command(_Deferred(name, module, entry))


class _Deferred(TyperCommand):
    """Stands in the table for a command whose module is not imported yet."""

    def __init__(self, name: str, module: str, help_line: str) -> None:
        super().__init__(name=name, help=help_line)
        self._module = module

    @override
    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        app = typer.Typer(add_completion=False)
        function = self._module.rsplit(".", 1)[1]
        app.command(name=self.name)(getattr(import_module(self._module), function))
        return typer.main.get_command(app).make_context(info_name, args, parent, **extra)
