"""`telerelay-loadtest plan`: what a scenario comes to, without loading anything."""

from telerelay_endpoint.console import Console, JsonOption, LangOption, columns
from telerelay_loadtest.commands.options import (
    ForOption,
    FromOption,
    ScenarioArgument,
    SpeedOption,
    plan_of,
)


def plan(
    scenario: ScenarioArgument,
    from_: FromOption = None,
    for_: ForOption = None,
    speed: SpeedOption = 1.0,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Show what a scenario comes to, and everything that is wrong with it, without loading anything.

    Examples:

      telerelay-loadtest plan town-300

      telerelay-loadtest plan my-town.toml --from 08:20 --for 20m
    """
    from telerelay_endpoint.settings import SettingsError
    from telerelay_loadtest.scenario.file import find_scenario
    from telerelay_loadtest.scenario.words import clock

    console = Console(json=json, lang=lang)
    say = console.text
    try:
        found = find_scenario(scenario)
    except SettingsError as error:
        for problem in error.problems[1:]:
            console.note(problem.line(), problem.line())
        raise
    planned = plan_of(found, from_, for_, speed)
    record = {
        "scenario": found.name,
        "title": found.head.title,
        "from": clock(planned.begin_ms),
        "length_s": planned.length_ms / 1000,
        "agents": sum(party.agents for party in planned.parties),
        "visits": len(planned.visits),
        "most_at_once": planned.most_live(),
        "most_within_a_second": planned.densest(1_000),
        "most_within_a_minute": planned.densest(60_000),
        "faults": [{"name": fault.name, "at_s": fault.at_ms / 1000} for fault in planned.faults],
    }
    rows = [
        (say("played", "時間帯"), f"{record['from']}, {record['length_s']:,.0f} s"),
        (say("office PCs", "職場PC"), f"{record['agents']:,}"),
        (say("visits", "接続"), f"{record['visits']:,}"),
        (say("most at once", "同時最大"), f"{record['most_at_once']:,}"),
        (say("most within a second", "1秒の最大"), f"{record['most_within_a_second']:,}"),
        (say("most within a minute", "1分の最大"), f"{record['most_within_a_minute']:,}"),
        *((say("fault", "障害"), f"{fault.name} {fault.at_ms / 1000:,.0f} s") for fault in planned.faults),
    ]
    title = (say("scenario", "シナリオ"), found.head.title)
    console.data("loadtest-plan", record, columns(title, rows))
