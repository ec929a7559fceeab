"""`telerelay-loadtest prepare`: the organisations of a scenario, admitted and published, for locust."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_loadtest.commands.options import (
    AdmitWaitOption,
    ScenarioArgument,
    TargetOption,
    admit_wait_s,
    plan_of,
)


def prepare(
    scenario: ScenarioArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made anew, with everybody's private keys.")],
    target: TargetOption,
    admit_wait: AdmitWaitOption = "10m",
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Make the throw-away organisations of a scenario, so that locust can play it against the relay.

    Says what the node's operator runs to admit them, and waits for that. Nothing is loaded. The folder is to
    be deleted behind the last play.

    Examples:

      telerelay-loadtest prepare town-300 /tmp/town --target cluster.txt

      locust -f locustfile.py --scenario town-300 --prepared /tmp/town --processes 2
    """
    from telerelay_loadtest.running import Asked, leave
    from telerelay_loadtest.scenario.file import find_scenario
    from telerelay_loadtest.target import read_target

    console = Console(json=json, lang=lang)
    found = find_scenario(scenario)
    whom = read_target(target, ())
    plan = plan_of(found, None, None, 1.0)
    leave(console, Asked(found, plan, whom, folder, yes=True, admit_wait_s=admit_wait_s(admit_wait)))
    console.data("loadtest-prepare", {"prepared": str(folder)}, str(folder))
