"""What the operator's commands have in common: which settings, and so which data folder and socket."""

import getpass
import os
from pathlib import Path
from typing import Annotated

import typer

from telerelay.node.control import NodeControl
from telerelay.node.data_folder import DataFolder
from telerelay.node.settings import PROGRAM, load
from telerelay_endpoint import places

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar=PROGRAM.config_variable,
        metavar="FILE",
        help="The node's settings, TOML.",
        show_default=str(PROGRAM.file(None)),
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help=f"The node's data folder (also {PROGRAM.variable('data')}, or `data` in the settings).",
        show_default=str(places.data_folder(PROGRAM.name)),
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who ends it; it stands in the audit records.",
        show_default="your login name",
    ),
]


def operator(named: str | None) -> str:
    """Who acts: as named, else whoever logged in here, behind sudo too."""
    return named or os.environ.get("SUDO_USER") or getpass.getuser()


def data_folder(config: Path | None, data: Path | None) -> DataFolder:
    """The node's data folder. Raises TelerelayError(USAGE)."""
    return DataFolder(load(config, {"data": data}).settings.data)


def open_control(config: Path | None, data: Path | None) -> NodeControl:
    """The running node's control socket. Raises TelerelayError(USAGE)."""
    return NodeControl(data_folder(config, data).control)
