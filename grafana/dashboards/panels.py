"""The vocabulary of the dashboards: what a panel shows, in which unit, and from where on it is bad.

Every panel says in plain words what one sees, and every query is PromQL in which `$node` is the nodes that were
chosen and `$__rate_interval` a window that holds some scrapes.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMappingResult,
    VariableRefresh,
)

GRID: Final = 24
"""A dashboard is so many columns wide."""
NODE: Final = 'instance=~"$node"'
"""Selects the nodes that were chosen."""

PanelBuilder: TypeAlias = stat.Panel | timeseries.Panel | bargauge.Panel
Unit: TypeAlias = Literal["short", "s", "percentunit", "bytes", "Bps", "cps", "cpm", "d"]
"""Grafana's names: a number, seconds, a share of 1, bytes, bytes a second, a second, a minute, days."""

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_REF_IDS: Final = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Marks:
    """From where on a number is suspicious and bad; with `falling` below them instead of above."""

    suspicious: float
    bad: float
    falling: bool = False

    def steps(self) -> list[Threshold]:
        """As Grafana colours them."""
        if self.falling:
            return [
                Threshold(color="red"),
                Threshold(value=self.bad, color="yellow"),
                Threshold(value=self.suspicious, color="green"),
            ]
        return [
            Threshold(color="green"),
            Threshold(value=self.suspicious, color="yellow"),
            Threshold(value=self.bad, color="red"),
        ]


PLAIN: Final = (Threshold(color="blue"),)
"""Of a number that is neither good nor bad."""


@dataclass(frozen=True)
class Row:
    """Panels under one heading, from left to right."""

    title: str
    panels: Sequence[PanelBuilder]


def number(
    title: str,
    says: str,
    query: str,
    unit: Unit,
    marks: Marks | None = None,
    *,
    width: int = 4,
    nothing: str = "–",
    legend: str = "",
) -> stat.Panel:
    """What it is now, large, with its way there and its `legend`; `nothing` where there is none."""
    return (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(_SOURCE)
        .span(width)
        .height(5)
        .unit(unit)
        .no_value(nothing)
        .mappings([_not_a_number(nothing)])
        .thresholds(_thresholds(marks))
        .color_mode(options.BigValueColorMode.BACKGROUND if marks else options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.AREA)
        .text_mode(options.BigValueTextMode.VALUE_AND_NAME if legend else options.BigValueTextMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_query(0, legend, query))
    )


def lines(
    title: str,
    says: str,
    queries: Mapping[str, str],
    unit: Unit,
    *,
    limit: float | None = None,
    width: int = 8,
    stacked: bool = False,
    nothing: str = "",
) -> timeseries.Panel:
    """How it went: a query for each legend. `limit` is drawn as a line; `nothing` stands where there is none."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(_SOURCE)
        .span(width)
        .height(8)
        .unit(unit)
        .axis_soft_min(0)
        .line_width(2)
        .fill_opacity(30 if stacked else 0)
        # What happened once is a point without a line.
        .show_points(options.VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
        .targets([_query(place, legend, query) for place, (legend, query) in enumerate(queries.items())])
    )
    if nothing:
        panel.no_value(nothing)
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if limit is not None:
        # Always in sight, so that one sees how far away it is.
        panel.axis_soft_max(limit)
        steps = [Threshold(color="transparent"), Threshold(value=limit, color="red")]
        panel.thresholds(
            dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED))
    return panel


def bars(
    title: str,
    says: str,
    queries: Mapping[str, str],
    unit: Unit,
    marks: Marks | None = None,
    *,
    width: int = 8,
) -> bargauge.Panel:
    """What it is now, side by side: a query for each legend; a share of 1 ends at 1."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(says)
        .datasource(_SOURCE)
        .span(width)
        .height(8)
        .unit(unit)
        .min(0)
        .thresholds(_thresholds(marks))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .targets(
            [_query(place, legend, query).instant() for place, (legend, query) in enumerate(queries.items())]
        )
    )
    if unit == "percentunit":
        panel.max(1)
    return panel


def board(title: str, says: str, rows: Sequence[Row], runbooks: str, *, since: str) -> dashboard.Dashboard:
    """A dashboard; its address is made of its title. `since`: how far it looks back at first, such as "6h"."""
    made = (
        dashboard.Dashboard(f"telerelay: {title}")
        .uid(f"telerelay-{title.replace(' ', '-')}")
        .description(says)
        .tags(["telerelay"])
        .readonly()
        .refresh("15s")
        .time(f"now-{since}", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("node")
            .label("Node")
            .datasource(_SOURCE)
            .query("label_values(telerelay_start_timestamp_seconds, instance)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*")
        )
        .link(
            dashboard.DashboardLink("dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["telerelay"])
            .keep_time(keep_time=True)
            .include_vars(include_vars=True)
        )
        .link(
            dashboard.DashboardLink("runbooks")
            .type(DashboardLinkType.LINK)
            .url(runbooks)
            .target_blank(target_blank=True)
        )
    )
    identities = itertools.count(1)
    for row in rows:
        made.with_row(dashboard.Row(row.title).id(next(identities)))
        for panel in row.panels:
            made.with_panel(panel.id(next(identities)))
    return made


# ---------------------------------------------------------------- PromQL that recurs


def rate(counter: str, by: str = "", labels: str = "") -> str:
    """How much a counter rose in a second, over the chosen nodes, by a label."""
    inside = f"rate(telerelay_{counter}{{{_labels(labels)}}}[$__rate_interval])"
    return f"sum by ({by}) ({inside})" if by else f"sum({inside})"


def per_minute(counter: str, by: str = "", labels: str = "") -> str:
    """The same in a minute."""
    return f"60 * {rate(counter, by, labels)}"


def total(gauge: str, by: str = "", labels: str = "") -> str:
    """A gauge, added over the chosen nodes, by a label."""
    inside = f"telerelay_{gauge}{{{_labels(labels)}}}"
    return f"sum by ({by}) ({inside})" if by else f"sum({inside})"


def each(gauge: str, labels: str = "") -> str:
    """A gauge of each of the chosen nodes."""
    return f"telerelay_{gauge}{{{_labels(labels)}}}"


def quantile(share: float, histogram: str, by: str = "", labels: str = "") -> str:
    """What `share` of all did not exceed, over the chosen nodes, by a label."""
    grouped = ", ".join(filter(None, ("le", by)))
    inside = f"rate(telerelay_{histogram}_bucket{{{_labels(labels)}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({grouped}) ({inside}))"


def quantiles(histogram: str, labels: str = "") -> dict[str, str]:
    """The half, 9 of 10, 99 of 100."""
    return {f"p{share * 100:g}": quantile(share, histogram, labels=labels) for share in (0.5, 0.9, 0.99)}


def _labels(more: str) -> str:
    return f"{NODE},{more}" if more else NODE


def _query(place: int, legend: str, query: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(_REF_IDS[place]).expr(query).legend_format(legend or "__auto")


def _thresholds(marks: Marks | None) -> dashboard.ThresholdsConfig:
    steps = marks.steps() if marks else list(PLAIN)
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _not_a_number(text: str) -> SpecialValueMap:
    """A share of nothing is no number, and no outage."""
    return SpecialValueMap(
        options=DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL_AND_NAN, result=ValueMappingResult(text=text, color="text")
        )
    )
