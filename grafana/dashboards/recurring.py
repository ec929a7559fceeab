"""Panels that several dashboards have: of the traffic that a dashboard is about, with what it says of them there."""

from typing import Final

from grafana.dashboards.panels import (
    Marks,
    PanelBuilder,
    lines,
    number,
    per_minute,
    quantile,
    quantiles,
    rate,
)
from grafana.objectives import SET_UP_S, WAIT_S

NODE_LEGEND: Final = "{{instance}}"


def slowest_set_up(says: str, traffic: str, *, nothing: str) -> PanelBuilder:
    """What 99 of 100 set-ups did not exceed, now. `traffic` selects labels, here and below."""
    return _slowest("Set-up", "set_up_seconds", SET_UP_S, says, traffic, nothing)


def slowest_wait(says: str, traffic: str, *, nothing: str) -> PanelBuilder:
    """What 99 of 100 messages did not exceed, now."""
    return _slowest("Message wait", "message_wait_seconds", WAIT_S, says, traffic, nothing)


def _slowest(what: str, name: str, limit_s: float, says: str, traffic: str, nothing: str) -> PanelBuilder:
    value = quantile(0.99, name, labels=traffic)
    return number(f"{what}, slowest of 100", says, value, "s", Marks(limit_s / 2, limit_s), nothing=nothing)


def set_up(says: str, traffic: str = "", *, title: str = "Set-up") -> PanelBuilder:
    """How long set-ups take, against the objective."""
    return lines(title, says, quantiles("set_up_seconds", traffic), "s", limit=SET_UP_S)


def message_wait(says: str, traffic: str = "") -> PanelBuilder:
    """How long messages wait in the nodes, against the objective."""
    return lines("Message wait", says, quantiles("message_wait_seconds", traffic), "s", limit=WAIT_S)


def stages(
    says: str = "hello, connect: the client's line. route: Python and the database. claim, accept: the office PC. "
    "recorded: the audit's disk. paired: the node.",
) -> PanelBuilder:
    """Which stage of a set-up holds the others up."""
    return lines(
        "Stages, slowest of 100", says, {"{{step}}": quantile(0.99, "set_up_step_seconds", by="step")}, "s"
    )


def processor(*, width: int) -> PanelBuilder:
    """What each node takes of its machine."""
    return lines(
        "Processor",
        "Of each node, in processors: at what the machine has, everybody waits.",
        {NODE_LEGEND: rate("cpu_seconds_total", by="instance")},
        "short",
        width=width,
    )


def event_loop(*, width: int) -> PanelBuilder:
    """How late the Python of each node is."""
    return lines(
        "Event loop, slowest of 100",
        "How late Python is, which decides who may connect; sessions run without it. Runbook: EventLoopLate.",
        {NODE_LEGEND: quantile(0.99, "event_loop_lag_seconds", by="instance")},
        "s",
        limit=0.5,
        width=width,
    )


def counted(
    title: str,
    says: str,
    counter: str,
    by: str,
    labels: str = "",
    *,
    nothing: str = "",
    stacked: bool = False,
) -> PanelBuilder:
    """What was counted in a minute, by a label. With `nothing`, what there was none of is not named."""
    counts = per_minute(counter, by, labels)
    return lines(
        f"{title}, a minute",
        says,
        {f"{{{{{by}}}}}": f"{counts} > 0" if nothing else counts},
        "cpm",
        stacked=stacked,
        nothing=nothing,
    )
