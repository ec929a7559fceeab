"""`telerelay doctor`: whether this machine is fit to run a node, and what mends it."""

from typing import Annotated

import typer

from telerelay.cli.node_options import ConfigOption, DataOption
from telerelay.doctor.node import check_node
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.doctor.findings import examine


def doctor(
    connections: Annotated[
        int, typer.Option(min=1, help="How many agents and clients together the node is planned for.")
    ] = 9_000,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Check this machine for a node, whether one runs or not: descriptors, kernel, disk, clock, store, ports.

    Each line says what was found and, where it is not well, the command that mends it. Exit 9 when something
    fails. `telerelay-agent doctor` and `telerelay-client doctor` do the same for the endpoints' machines.

    Examples:

      telerelay doctor

      telerelay doctor --connections 3000 --json
    """
    examine(Console(json=json, lang=lang), check_node(config, data, connections), name="doctor")
