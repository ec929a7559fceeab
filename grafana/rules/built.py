"""The files that Prometheus reads rules from."""

from typing import Final

from grafana.rules.alerts import alerts
from grafana.rules.pace import Pace
from grafana.rules.recording import recordings
from grafana.rules.rule import RUNBOOKS, rule_file

AS_BUILT: Final = Pace()


def rule_files(pace: Pace = AS_BUILT, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Each file's name and what stands in it."""
    return {
        "recording.yml": rule_file(
            {group: [rule.record() for rule in rules] for group, rules in recordings(pace).items()}
        ),
        "alerts.yml": rule_file(
            {
                group: [alert.record(pace, runbooks) for alert in group_alerts]
                for group, group_alerts in alerts(pace).items()
            }
        ),
    }
