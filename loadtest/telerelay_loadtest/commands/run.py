"""`telerelay-loadtest run`: play a scenario against a relay and report what it came to."""

from pathlib import Path
from typing import Annotated

import typer

from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_loadtest.commands.options import (
    AdmitWaitOption,
    ForOption,
    FromOption,
    ScenarioArgument,
    SpeedOption,
    TargetOption,
    admit_wait_s,
    plan_of,
)


def run(
    scenario: ScenarioArgument,
    target: TargetOption,
    metrics: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="/metrics of a node, once for each; a demo's file names its own."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path("loadtest-run"),
    from_: FromOption = None,
    for_: ForOption = None,
    speed: SpeedOption = 1.0,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Threads of the generator.", show_default="half of the processors"),
    ] = None,
    admit_wait: AdmitWaitOption = "10m",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Play a scenario against a relay: its employees come, work and leave; the verdict says how that went.

    Makes a throw-away organisation, says what the node's operator runs to admit it (`telerelay node admit
    --until`), and waits for that. Its traffic is told apart from staff's. Writes result.json and report.html.
    Ctrl-C ends it in order, with a report of what was played. Exit code 0: every goal is met; 9: not, or the
    generator itself was too slow to say (INVALID).

    Examples:

      telerelay-loadtest run town-300 --target cluster.txt --metrics http://10.0.0.5:9464/metrics

      telerelay-loadtest run storm --target demo.json --out /tmp/storm

      telerelay-loadtest run my-town.toml --target cluster.txt --from 08:20 --for 20m --yes
    """
    import os

    from telerelay_loadtest.commands.telling import conclude
    from telerelay_loadtest.play.generating import RustGenerators, usual_threads
    from telerelay_loadtest.running import Asked, is_local
    from telerelay_loadtest.running import run as play
    from telerelay_loadtest.scenario.file import find_scenario
    from telerelay_loadtest.target import read_target

    console = Console(json=json, lang=lang)
    found = find_scenario(scenario)
    planned = plan_of(found, from_, for_, speed)
    whom = read_target(target, metrics or ())
    wait_s = admit_wait_s(admit_wait)
    processors = len(os.sched_getaffinity(0))
    opener = RustGenerators(threads or usual_threads(processors), local=is_local(whom))
    reported = play(console, Asked(found, planned, whom, out, yes, wait_s), opener)
    conclude(console, reported.result, out)
    if reported.error is not None:
        raise reported.error
