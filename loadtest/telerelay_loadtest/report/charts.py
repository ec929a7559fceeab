"""The charts of a result, each as SVG that stands in the page itself."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from telerelay_loadtest.play.generating import STAGES

_SIZE_INCH: Final = (9.0, 3.2)
_POINTS: Final = 240
"""More are not told apart at this width."""
# Okabe and Ito: told apart by the colour-blind too.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8A8F98"
_STAGE_COLOURS: Final = (_GREY, _BLUE, _ORANGE, _GREEN, _RED, "#CC79A7", "#56B4E9")
_NOTHING: Final = "nothing to show"

Result = Mapping[str, Any]


def arrivals(result: Result) -> str:
    """How many were to come and came, and how many were there."""

    def draw(axes: Axes) -> None:
        seconds, length = _gathered(result["seconds"])
        at = [second["at_s"] for second in seconds]
        planned = [second["planned"] / length for second in seconds]
        axes.fill_between(at, planned, color=_GREY, alpha=0.4, step="pre", label="planned")
        axes.step(at, [second["begun"] / length for second in seconds], _BLUE, where="pre", label="begun")
        axes.set_ylabel("arrivals a second")
        axes.legend(loc="upper left", frameon=False)
        there = axes.twinx()
        there.plot(at, [second["sessions"] for second in seconds], _GREEN, label="sessions")
        there.set_ylabel("sessions")
        there.set_ylim(bottom=0)
        there.legend(loc="upper right", frameon=False)

    return _chart("arrivals", draw)


def set_up_times(result: Result) -> str:
    """How long set-ups took, by the moment at which they were to begin."""

    def draw(axes: Axes) -> None:
        windows = result["windows"]
        at = [window["at_s"] for window in windows]
        axes.plot(at, [window["p99_ms"] for window in windows], _RED, marker=".", label="p99")
        axes.plot(at, [window["p50_ms"] for window in windows], _BLUE, marker=".", label="p50")
        axes.set_ylabel("set-up, ms")
        if windows:
            axes.set_yscale("log")
            for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                which("{x:g}")
        axes.legend(loc="upper left", frameon=False)

    return _chart("set-ups", draw)


def set_up_stages(result: Result) -> str:
    """What set-ups spent their time with."""

    def draw(axes: Axes) -> None:
        places = range(len(STAGES))
        for share, off, colour in (("p50_ms", -0.2, _BLUE), ("p99_ms", 0.2, _RED)):
            lengths = [result["stages"][name][share] or 0 for name in STAGES]
            bars = axes.barh([place + off for place in places], lengths, 0.4, color=colour, label=share[:3])
            axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        axes.set_yticks(places, STAGES)
        axes.invert_yaxis()
        axes.set_xlabel("ms")
        axes.legend(loc="lower right", frameon=False)

    return _chart("stages", draw, over_time=False)


def set_up_stages_over_time(result: Result) -> str:
    """The p99 of each stage, by the moment at which set-ups were to begin."""

    def draw(axes: Axes) -> None:
        windows = result["windows"]
        at = [window["at_s"] for window in windows]
        for name, colour in zip(STAGES, _STAGE_COLOURS, strict=True):
            axes.plot(at, [window["stages_p99_ms"][name] for window in windows], color=colour, label=name)
        axes.set_ylabel("p99, ms")
        axes.legend(loc="upper left", frameon=False, ncols=len(STAGES), fontsize=8)

    return _chart("stages-over-time", draw)


def delays(result: Result) -> str:
    """How long messages took to their answer."""

    def draw(axes: Axes) -> None:
        seconds = [second for second in result["seconds"] if second["delay_p99_ms"] is not None]
        step = max(1, len(seconds) // _POINTS)
        # The worst second stands for those that lie at the same place.
        worst = [
            max(seconds[first : first + step], key=lambda second: second["delay_p99_ms"])
            for first in range(0, len(seconds), step)
        ]
        at = [second["at_s"] for second in worst]
        axes.plot(at, [second["delay_p99_ms"] for second in worst], _RED, label="p99")
        axes.plot(at, [second["delay_p50_ms"] for second in worst], _BLUE, label="p50")
        axes.set_ylabel("message delay, ms")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", frameon=False)

    return _chart("delays", draw)


def errors(result: Result) -> str:
    """What visits that got no session ended with, and sessions that did not end as they were meant to."""

    def draw(axes: Axes) -> None:
        failures = [(f"{row['code']} at {row['stage']}", row["count"]) for row in result["failures"]]
        failures += [(f"{code} of a session", n) for code, n in result["ended"].items() if code != "DONE"]
        if not failures:
            axes.text(0.5, 0.5, "no errors", ha="center", va="center", transform=axes.transAxes)
            axes.set_axis_off()
            return
        names, counts = zip(*failures, strict=True)
        bars = axes.barh(names, counts, color=_RED)
        axes.bar_label(bars, padding=3)
        axes.invert_yaxis()

    return _chart("errors", draw, over_time=False)


def processors(result: Result) -> str:
    """How many processors nodes and generator used."""

    def draw(axes: Axes) -> None:
        seconds, length = _gathered(result["seconds"])
        at = [second["at_s"] for second in seconds]
        for name, colour, label in (
            ("node_cpu_s", _BLUE, "nodes"),
            ("generator_cpu_s", _GREY, "generator"),
        ):
            used = [None if second[name] is None else second[name] / length for second in seconds]
            axes.plot(at, _numbers(used), colour, label=label)
        axes.set_ylabel("processors in use")
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", frameon=False)

    return _chart("processors", draw)


def memory(result: Result) -> str:
    """How much memory nodes had."""

    def draw(axes: Axes) -> None:
        seconds, _ = _gathered(result["seconds"])
        at = [second["at_s"] for second in seconds]
        mib = [
            None if second["node_rss_bytes"] is None else second["node_rss_bytes"] / 2**20
            for second in seconds
        ]
        axes.plot(at, _numbers(mib), _BLUE)
        axes.set_ylabel("nodes' memory, MiB")
        axes.set_ylim(0, 1.1 * max([number for number in mib if number is not None], default=1))

    return _chart("memory", draw)


def _chart(name: str, draw: Callable[[Axes], None], *, over_time: bool = True) -> str:
    # Text stays text: it can be searched, and the page's reader has the font.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = Figure(figsize=_SIZE_INCH, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        if over_time:
            axes.set_xlabel("seconds")
            axes.set_xlim(left=0)
        axes.spines[["top"]].set_visible(False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]


def _gathered(seconds: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], int]:
    """Several seconds at a time as one, so that no more are drawn than are told apart; how many these are."""
    length = max(1, -(-len(seconds) // _POINTS))
    counted = ("planned", "begun", "node_cpu_s", "generator_cpu_s")
    gathered: list[Mapping[str, Any]] = []
    for first in range(0, len(seconds), length):
        several = seconds[first : first + length]
        sums = {name: _sum([second[name] for second in several]) for name in counted}
        gathered.append({**several[-1], **sums})
    return gathered, length


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _numbers(values: Sequence[float | None]) -> list[float]:
    """What was not seen leaves a hole."""
    return [float("nan") if value is None else value for value in values]
