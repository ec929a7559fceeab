"""`telerelay-loadtest forecast`: what a morning would come to that nobody has played."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_loadtest.commands.options import (
    ForOption,
    FromOption,
    ScenarioArgument,
    SpeedOption,
    plan_of,
)


def forecast(
    scenario: ScenarioArgument,
    by: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="result.json of a run to calibrate by; give several."),
    ],
    staff: Annotated[
        int | None, typer.Option(min=1, help="So many people instead, in organisations like the scenario's.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="On so many nodes.", show_default="as few as are enough")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with this run of the same plan, on one node."),
    ] = None,
    from_: FromOption = None,
    for_: ForOption = None,
    speed: SpeedOption = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed is the same forecast.")] = 0,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Forecast what a scenario comes to: a simulation of nodes by what runs have measured.

    The busiest node's busiest seconds are played on a virtual clock, with all nodes there and with one lost.
    A node is what the scenario says, of processors like the measured ones. With --against one node's whole
    morning is played and compared with a run, which the calibration does not see.

    Examples:

      telerelay-loadtest forecast city-3000 --by 300.json --by 1000.json --staff 500000

      telerelay-loadtest forecast city.toml --by 300.json --by 1000.json --against 3000.json
    """
    from telerelay_loadtest.forecast.telling import Asked, compare, look_ahead
    from telerelay_loadtest.scenario.file import find_scenario
    from telerelay_loadtest.scenario.scaling import scaled

    console = Console(json=json, lang=lang)
    found = find_scenario(scenario)
    console.progress("laying out the morning", "接続の予定を作成中")
    planned = plan_of(found if staff is None else scaled(found, staff), from_, for_, speed)
    asked = Asked(found, planned, by, seed)
    if against is None:
        look_ahead(console, asked, nodes)
    else:
        compare(console, asked, against)
