"""What the commands have in common: which scenario, and which part of it."""

from typing import Annotated

import typer

from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.scenario.file import READY, Scenario
from telerelay_loadtest.scenario.plan import Plan, compile_plan
from telerelay_loadtest.scenario.words import Duration, TimeOfDay

ScenarioArgument = Annotated[
    str, typer.Argument(metavar="SCENARIO", help=f"A file, or one of {', '.join(READY)}.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="HH:MM", help="Play from this time of day on.")
]
ForOption = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Play for so long, such as 10m.")
]
TargetOption = Annotated[
    str,
    typer.Option(
        metavar="TARGET",
        help="The cluster line, a file that holds it, or the file of `telerelay demo --json`.",
    ),
]
AdmitWaitOption = Annotated[
    str, typer.Option(metavar="TIME", help="How long to wait until the operator has admitted.")
]
SpeedOption = Annotated[
    float,
    typer.Option(min=1, max=1000, help="Play so many times as fast: arrivals come as many times as densely."),
]


def plan_of(scenario: Scenario, from_: str | None, for_: str | None, speed: float) -> Plan:
    """The part that is asked for. Raises TelerelayError(USAGE)."""
    try:
        begin = scenario.begin_ms if from_ is None else TimeOfDay(from_).ms
        length = scenario.end_ms - begin if for_ is None else Duration(for_).ms
    except ValueError as error:
        raise TelerelayError("USAGE", f"--from, --for: {error}") from error
    plan = compile_plan(scenario).part(begin, length).faster(speed)
    if not plan.visits:
        raise TelerelayError("USAGE", "nobody comes in this part of the scenario")
    return plan


def admit_wait_s(text: str) -> float:
    """How long to wait for the operator, in seconds. Raises TelerelayError(USAGE)."""
    try:
        return Duration(text).ms / 1000
    except ValueError as error:
        raise TelerelayError("USAGE", f"--admit-wait: {error}") from error
