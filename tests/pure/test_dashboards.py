"""The dashboards as Grafana reads them: as built, each panel explained, each query one that is understood."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml
from typer.core import TyperGroup

from grafana.__main__ import stale
from grafana.dashboards.built import DASHBOARDS
from grafana.objectives import OBJECTIVES, SET_UP_S, SET_UP_SUCCESS
from grafana.rules.alerts import alerts
from grafana.rules.built import AS_BUILT
from grafana.rules.recording import recordings
from telerelay.cli.main import program
from telerelay.metrics.families import FAMILIES, PREFIX
from telerelay.node.settings import Settings
from telerelay_core import ERRORS_TOML
from telerelay_loadtest.scenario.file import Goals
from tests.kit.prometheus import as_asked, boards, panels, promtool

GRAFANA: Final = Path("grafana")
BUILT: Final = GRAFANA / "built"
RUNBOOKS: Final = Path("docs", "RUNBOOKS.md")
EVERY: Final = [alert for group in alerts(AS_BUILT).values() for alert in group]
# An objective pages and makes a ticket under one name.
ALERTS: Final = list(dict.fromkeys(alert.name for alert in EVERY))
LABELS_OF_PROMETHEUS: Final = {
    *("instance", "job", "le", "objective"),
    *("alertname", "alertstate", "service"),
}
CODES: Final = {*tomllib.loads(ERRORS_TOML), "UNKNOWN"}
# What the one who reads it at night asks in this order.
PARTS: Final = ("Symptom", "What it means", "What to look at", "What to do")


def board(name: str) -> list[dict[str, Any]]:
    """A dashboard's panels as Grafana reads them, without the headings of rows."""
    read = json.loads((BUILT / f"{name}.json").read_text())
    return [panel for panel in read["panels"] if panel["type"] != "row"]


def test_files_are_as_built() -> None:
    assert stale() == [], "run: python -m grafana"
    assert {path.stem for path in BUILT.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_says_what_one_sees_and_in_which_unit(name: str) -> None:
    for panel in board(name):
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGHIJ")[: len(panel["targets"])]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_the_width_and_none_lies_on_another(name: str) -> None:
    taken = set[tuple[int, int]]()
    for panel in board(name):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": "asked", "expr": as_asked(query.expression, "5m"), "labels": {"place": str(place)}}
        for place, query in enumerate(query for panel in panels() for query in panel.queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)


def test_queries_and_rules_ask_for_what_a_node_tells() -> None:
    told = {PREFIX + family.name for family in FAMILIES}
    told |= {f"{name}_{part}" for name in set(told) for part in ("bucket", "sum", "count")}
    recorded = {rule.name for group in recordings(AS_BUILT).values() for rule in group}
    asked = [query.expression for panel in panels() for query in panel.queries] + _rules()
    used = {name for expression in asked for name in re.findall(r"telerelay[_:][a-z0-9_:]+", expression)}
    assert used <= told | recorded
    assert {name for name in recorded if ":ratio_" in name} <= used


def test_queries_and_rules_name_labels_and_values_that_there_are() -> None:
    asked = [(query.expression, query.legend) for panel in panels() for query in panel.queries]
    for expression, legend in [*asked, *((rule, "") for rule in _rules())]:
        families = [family for family in FAMILIES if PREFIX + family.name in expression]
        labels = {label for family in families for label in family.labels} | LABELS_OF_PROMETHEUS
        matched = re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', expression)
        grouped = re.findall(r"(?:by|on|ignoring) \(([\w, ]+)\)", expression)
        named = {label for label, _ in matched} | {one for some in grouped for one in some.split(", ")}
        assert named | set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels, expression
        values = {"code": CODES, "outcome": CODES | {"PAIRED"}} | {
            family.labels[0]: set(family.shows) for family in families if isinstance(family.shows, Mapping)
        }
        for label, wanted in matched:
            if label in values and not wanted.endswith(".*"):
                assert set(wanted.split("|")) <= values[label], expression


def _rules() -> list[str]:
    recorded = [rule.expression for group in recordings(AS_BUILT).values() for rule in group]
    return [*recorded, *(alert.expression for alert in EVERY)]


def test_compose_gives_grafana_what_provisioning_asks_for() -> None:
    service = yaml.safe_load((GRAFANA / "compose.yml").read_text())["services"]["grafana"]
    asked = set[str]()
    for file in (GRAFANA / "provisioning").rglob("*.yml"):
        assert yaml.safe_load(file.read_text())["apiVersion"] == 1
        asked |= set(re.findall(r"^[^#]*\$(\w+)", file.read_text(), re.MULTILINE))
    assert asked
    assert asked <= set(service["environment"])
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"] if volume.startswith("./"))
    assert all((GRAFANA / place).is_dir() for place in mounted)
    assert mounted["./built"] == service["environment"]["TELERELAY_DASHBOARDS"]


def test_a_load_test_is_judged_by_the_objectives_of_staff() -> None:
    assert Goals().set_up_success == SET_UP_SUCCESS.share
    assert Goals().set_up_p99.ms == 1000 * SET_UP_S


def test_the_page_tells_the_objectives_as_they_are() -> None:
    told = re.findall(r"^\| `(\w+)` \| (.+) \|$", (GRAFANA / "README.md").read_text(), re.MULTILINE)
    objectives = [(one.name, one.says.removesuffix(".")) for one in OBJECTIVES]
    assert told[-len(objectives) :] == objectives


# ---------------------------------------------------------------- runbooks


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    assert list(_sections()) == ALERTS


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_answers_what_one_asks_at_night(name: str) -> None:
    section = _sections()[name]
    assert re.findall(r"^\*\*(.+?)\.\*\*", section, re.MULTILINE) == list(PARTS)


def test_a_panel_names_no_runbook_that_is_not_there() -> None:
    for name in DASHBOARDS:
        for panel in board(name):
            for named in re.findall(r"[Rr]unbooks?:? ((?:[A-Z]\w+(?:, )?)+)", panel["description"]):
                assert set(named.split(", ")) <= set(ALERTS), panel["title"]


def test_runbooks_name_commands_that_there_are() -> None:
    lines = re.findall(r"^(?:TELERELAY_\S+ )?telerelay (.+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert lines
    for line in lines:
        command: Any = program()
        words = shlex.split(line)
        while isinstance(command, TyperGroup) and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        # Reads options and arguments, and does nothing; --version tells at once.
        with suppress(typer.Exit):
            command.make_context(line, words)


def test_runbooks_name_settings_that_there_are() -> None:
    named = re.findall(r"^TELERELAY_NODE_(\w+)=", RUNBOOKS.read_text(), re.MULTILINE)
    assert named
    assert {name.lower() for name in named} <= set(Settings.__struct_fields__)


def test_runbooks_name_panels_that_there_are() -> None:
    shown = dict[str, list[str]]()
    for panel in boards():
        shown.setdefault(panel.dashboard.replace("-", " "), []).append(panel.title)
    for name, section in _sections().items():
        looks = section.partition("**What to look at.**")[2].partition("\n\n")[0].replace("\n", " ")
        _, *rest = re.split(r"\*(\w[\w ]*)\*", looks)
        for dashboard, says in zip(rest[::2], rest[1::2], strict=True):
            for title in re.findall(r'"(.+?)"', says):
                assert any(one.startswith(title) for one in shown[dashboard]), f"{name}: {title}"


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)\n", RUNBOOKS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
