"""Dashboards as pictures: each panel's queries asked of a real Prometheus, and drawn where Grafana has it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.kit.prometheus import Panel, Place, Prometheus, Query, Series, as_asked, boards

POINTS: Final = 200
"""So many of a course are asked for."""
_GRID: Final = 24
_COLUMN: Final = 0.75
"""Inches."""
_ROW: Final = 0.375
"""Inches."""
_LEGEND_COLUMNS: Final = 3
_COLOURS: Final = {
    "green": "#3f9f4f",
    "yellow": "#d9a400",
    "red": "#cc3344",
    "blue": "#3274d9",
    "transparent": "#3274d9",
}
_STEPS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_LONG_S: Final = ((86_400, "d"), (3_600, "h"), (120, "min"))
_NAMES: Final = {"s": "s", "bytes": "B", "Bps": "B/s", "cps": "/s", "cpm": "/min"}


@dataclass(frozen=True)
class Look:
    """When it was looked, in Unix seconds, and over which window rates are taken."""

    begin: float
    end: float
    window: str

    @property
    def step_s(self) -> float:
        """Between two points of a course."""
        return max((self.end - self.begin) / POINTS, 1.0)


@dataclass(frozen=True)
class Found:
    """What a query found, under the legend that a person reads."""

    legend: str
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        """What it is now."""
        return self.points[-1][1]


def draw(prometheus: Prometheus, folder: Path, look: Look) -> list[Path]:
    """A picture of each dashboard, and one of each panel in a folder of its name; the dashboards' files."""
    found: dict[str, list[tuple[Panel, list[Found]]]] = {}
    for panel in boards():
        found.setdefault(panel.dashboard, []).append((panel, _ask(prometheus, panel, look)))
    with rc_context({"date.converter": "concise"}):
        return [_draw_board(name, board, folder) for name, board in found.items()]


def shown(value: float, unit: str) -> str:
    """A value as a person reads it."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.4g} %"
    if unit == "d":
        return f"{value:.3g} d" if value < 10 else f"{value:.0f} d"
    if unit == "s" and value and abs(value) < 1:
        return f"{value * 1000:.3g} ms" if abs(value) >= 1e-3 else f"{value * 1e6:.3g} µs"
    if unit == "s" and abs(value) >= _LONG_S[-1][0]:
        seconds, name = next(long for long in _LONG_S if abs(value) >= long[0])
        return f"{value / seconds:.3g} {name}"
    size, prefix = next(((size, prefix) for size, prefix in _STEPS if abs(value) >= size), (1, ""))
    return f"{value / size:.3g} {prefix}{_NAMES.get(unit, '')}".strip()


# ---------------------------------------------------------------- asking


def _ask(prometheus: Prometheus, panel: Panel, look: Look) -> list[Found]:
    found = list[Found]()
    for query in panel.queries:
        expression = as_asked(query.expression, look.window)
        if query.instant:
            series = prometheus.find(expression)
        else:
            series = prometheus.course(expression, look.begin, look.end, look.step_s)
        found += [Found(_legend(query, one), _with_gaps(one.points, look.step_s)) for one in series]
    return found


def _with_gaps(points: Sequence[tuple[float, float]], step_s: float) -> list[tuple[float, float]]:
    """The same, with no number where there was none: no line leads over it."""
    whole: list[tuple[float, float]] = []
    for at, value in points:
        if whole and at - whole[-1][0] > 1.5 * step_s:
            whole.append((whole[-1][0] + step_s, math.nan))
        whole.append((at, value))
    return whole


def _legend(query: Query, series: Series) -> str:
    if query.legend == "__auto":
        return ", ".join(value for name, value in series.labels.items() if name != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda name: series.labels.get(name[1], ""), query.legend)


# ---------------------------------------------------------------- drawing


def _draw_board(name: str, board: Sequence[tuple[Panel, list[Found]]], folder: Path) -> Path:
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    rows = max(panel.place.y + panel.place.height for panel, _ in board)
    whole = _figure(_GRID, rows)
    for heading in (panel for panel, _ in board if not panel.queries):
        _head(whole, heading)
    for number, (panel, found) in enumerate((panel, found) for panel, found in board if panel.queries):
        alone = _figure(panel.place.width, panel.place.height)
        _draw_panel(_axes(alone, replace(panel.place, x=0, y=0)), panel, found)
        _draw_panel(_axes(whole, panel.place), panel, found)
        words = re.sub(r"\W+", "-", panel.title.lower()).strip("-")
        alone.savefig(own / f"{number:02}-{words}.png")
    path = folder / f"{name}.png"
    whole.savefig(path)
    return path


def _figure(columns: int, rows: int) -> Figure:
    return Figure(figsize=(columns * _COLUMN, rows * _ROW), dpi=90)


def _axes(figure: Figure, place: Place) -> Axes:
    """Where the panel is, with room for its title and what stands at its axes."""
    width, height = figure.get_size_inches()
    left, top = place.x * _COLUMN + 0.65, place.y * _ROW + 0.3
    inner = (place.width * _COLUMN - 0.8, place.height * _ROW - 0.65)
    return figure.add_axes((left / width, 1 - (top + inner[1]) / height, inner[0] / width, inner[1] / height))


def _head(figure: Figure, row: Panel) -> None:
    """The heading of a row, over its panels."""
    width, height = figure.get_size_inches()
    left, middle = 0.15, (row.place.y + row.place.height / 2) * _ROW
    figure.text(left / width, 1 - middle / height, row.title, fontsize=11, weight="bold", va="center")


def _draw_panel(axes: Axes, panel: Panel, found: Sequence[Found]) -> None:
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    if not found:
        axes.set_axis_off()
        axes.text(0.5, 0.5, panel.nothing, transform=axes.transAxes, ha="center", va="center", color="grey")
    elif panel.kind == "timeseries":
        _draw_lines(axes, panel, found)
    elif panel.kind == "bargauge":
        _draw_bars(axes, panel, found)
    else:
        _draw_number(axes, panel, found)


def _draw_lines(axes: Axes, panel: Panel, found: Sequence[Found]) -> None:
    limits = [value for value, colour in panel.steps if value is not None and colour == "red"]
    for limit in limits:
        axes.axhline(limit, color=_COLOURS["red"], linestyle="--", linewidth=1)
    for one in found:
        times = np.array([round(at * 1000) for at, _ in one.points], dtype="datetime64[ms]")
        axes.plot(
            times,
            [value for _, value in one.points],
            label=one.legend,
            linewidth=1.2,
            # What happened once is a point without a line.
            marker=".",
            markersize=2,
        )
    values = [value for one in found for _, value in one.points if math.isfinite(value)]
    # The legend is above the lines.
    room = 1.1 + 0.1 * math.ceil(len(found) / _LEGEND_COLUMNS)
    axes.set_ylim(min([0.0, *values]), room * max([0.0, *values, *limits]) or 1.0)
    axes.yaxis.set_major_formatter(lambda value, _place: shown(value, panel.unit))
    axes.xaxis.get_offset_text().set_fontsize(7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=6, loc="upper left", ncols=_LEGEND_COLUMNS)


def _draw_bars(axes: Axes, panel: Panel, found: Sequence[Found]) -> None:
    values = [one.last if math.isfinite(one.last) else 0.0 for one in found]
    bars = axes.barh(range(len(found)), values, color=[_colour(panel, value) for value in values], height=0.5)
    texts = [f"{one.legend}  {shown(one.last, panel.unit)}" for one in found]
    axes.bar_label(bars, texts, fontsize=7, padding=3)
    axes.invert_yaxis()
    # What stands behind the longest bar needs room, too.
    axes.set_xlim(0, 1.6 if panel.unit == "percentunit" else 1.6 * max(values) or 1.0)
    axes.set_axis_off()


def _draw_number(axes: Axes, panel: Panel, found: Sequence[Found]) -> None:
    axes.set_axis_off()
    named = panel.queries[0].legend != "__auto"
    for place, one in enumerate(found):
        value = panel.nothing if math.isnan(one.last) else shown(one.last, panel.unit)
        axes.text(
            0.5,
            (len(found) - place - 0.5) / len(found),
            f"{value}  {one.legend}" if named else value,
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=12 if named else 20,
            color=_colour(panel, one.last),
        )


def _colour(panel: Panel, value: float) -> str:
    """That of the last step that was reached; of the first where there is no number."""
    reached = [colour for least, colour in panel.steps if least is None or value >= least]
    return _COLOURS[reached[-1]]
