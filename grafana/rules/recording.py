"""Recording rules: for each objective the share of bad events over each window, and how many there were.

`telerelay:bad:ratio_5m{objective="set_up_time"}` and so on. A ratio is NaN while nothing happens, which is
neither above nor below anything.
"""

from collections.abc import Iterator, Sequence

from grafana.objectives import OBJECTIVES, WINDOWS
from grafana.rules.pace import Pace
from grafana.rules.rule import Recording


def recordings(pace: Pace) -> dict[str, Sequence[Recording]]:
    """All of them, by group."""
    return {"shares": list(_shares(pace))}


def _shares(pace: Pace) -> Iterator[Recording]:
    for objective in OBJECTIVES:
        labels = {"objective": objective.name}
        for window, seconds in WINDOWS.items():
            bad, every = pace.over(objective.bad, seconds), pace.over(objective.every, seconds)
            yield Recording(f"telerelay:bad:count_{window}", bad, labels)
            yield Recording(f"telerelay:bad:ratio_{window}", f"({bad})\n/\n({every})", labels)
