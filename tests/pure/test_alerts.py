"""Rules and alerts as Prometheus' own checker reads them, and that each of them has been seen to fire."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from grafana.rules.alerts import alerts
from grafana.rules.built import AS_BUILT, rule_files
from grafana.rules.pace import Pace
from tests.kit.prometheus import JOB, promtool

PROMETHEUS: Final = Path("grafana", "prometheus")
TESTS: Final = sorted((PROMETHEUS / "tests").iterdir())
ALERTS: Final = {(alert.name, alert.severity) for group in alerts(AS_BUILT).values() for alert in group}


@pytest.mark.parametrize("name", rule_files())
def test_rule_files_are_as_built(name: str) -> None:
    assert (PROMETHEUS / name).read_text() == rule_files()[name], "run: python -m grafana"


def test_prometheus_takes_its_configuration() -> None:
    file = PROMETHEUS / "prometheus.yml"
    promtool("check", "config", file)
    written = yaml.safe_load(file.read_text())
    assert set(written["rule_files"]) == set(rule_files())
    # Alerts and dashboards ask for it by that name.
    assert [job["job_name"] for job in written["scrape_configs"]] == [JOB]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    promtool("test", "rules", path)


def test_each_alert_is_seen_to_fire() -> None:
    fires = {
        (look["alertname"], alert["exp_labels"]["severity"])
        for path in TESTS
        for look in _looks(path)
        for alert in look.get("exp_alerts", [])
    }
    assert fires == ALERTS


def _looks(path: Path) -> list[dict[str, Any]]:
    return [look for test in yaml.safe_load(path.read_text())["tests"] for look in test["alert_rule_test"]]


@pytest.mark.parametrize(
    ("speed", "seconds", "written"),
    [(1, 300, "5m"), (1, 86_400, "1d"), (1, 5_400, "90m"), (60, 300, "5s"), (60, 90, "1500ms")],
)
def test_a_duration_is_written_in_the_largest_unit_that_holds_it(
    speed: float, seconds: float, written: str
) -> None:
    assert Pace(speed).of(seconds) == written
