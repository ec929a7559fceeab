"""The screens of a scenario: each model over each line, as the generator takes them."""

from collections.abc import Mapping
from itertools import pairwise

from msgspec.structs import replace

from telerelay_loadtest.models import load_model
from telerelay_loadtest.models.form import Model, Table, Way, write_model
from telerelay_loadtest.scenario.file import Link, Scenario, Screen

_MS_US = 1_000


def screen_name(screen: str, link: str) -> str:
    """What a screen over a line is called."""
    return f"{screen}/{link}"


def screens_of(scenario: Scenario) -> Mapping[str, str]:
    """Every screen over every line, as JSON. Raises TelerelayError(USAGE) where a model cannot be read."""
    models = {name: load_model(_source(scenario, name, screen)) for name, screen in scenario.screens.items()}
    return {
        screen_name(name, line): write_model(over(model, link)).decode()
        for name, model in models.items()
        for line, link in scenario.links.items()
    }


def over(model: Model, link: Link) -> Model:
    """The same screen at the end of a line. A viewer asks for the next picture when it has the last one.

    So pictures do not come closer than the line needs for one of mean size, there and back. The line itself
    is not played: what is measured as delay is the relay's.
    """
    return replace(
        model,
        states=tuple(
            state if state.down is None else replace(state, down=_slowed(state.down, link))
            for state in model.states
        ),
    )


def _slowed(way: Way, link: Link) -> Way:
    least_us = round(link.rtt.ms * _MS_US + _mean(way.bytes) * 8 / link.mbit)
    return replace(way, gap_us=tuple((share, max(gap, least_us)) for share, gap in way.gap_us))


def _mean(table: Table) -> float:
    """Of a quantile table, which is straight between its knots."""
    return sum((high - low) * (least + most) / 2 for (low, least), (high, most) in pairwise(table))


def _source(scenario: Scenario, name: str, screen: Screen) -> str:
    return name if screen.file is None else str(scenario.folder / screen.file)
