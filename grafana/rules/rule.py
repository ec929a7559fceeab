"""A rule, and a file of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import yaml

from grafana.rules.pace import Pace

Severity: TypeAlias = Literal["page", "ticket"]
"""Somebody gets up; somebody sees to it in working hours."""

RUNBOOKS: Final = "docs/RUNBOOKS.md"
"""Where runbooks are; a site that serves them elsewhere builds the rules with its own address."""


SERVICE: Final = "telerelay"
"""Label `service` of every alert: a site's Prometheus watches more than this, and routes by it."""


@dataclass(frozen=True)
class Recording:
    """What is kept under a name of its own."""

    name: str
    expression: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"record": self.name, "expr": self.expression, "labels": dict(self.labels)}


@dataclass(frozen=True)
class Alert:
    """Fires for whatever `expression` finds for `holds_s` seconds on end.

    `says`: one line, with $labels as Prometheus fills them in.
    """

    name: str
    severity: Severity
    says: str
    expression: str
    holds_s: int = 0

    def record(self, pace: Pace, runbooks: str) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": pace.of(self.holds_s) if self.holds_s else "0s",
            "labels": {"severity": self.severity, "service": SERVICE},
            "annotations": {"summary": self.says, "runbook_url": f"{runbooks}#{self.name.lower()}"},
        }


def rule_file(groups: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Groups of rules as a file of Prometheus."""
    written = [{"name": name, "rules": rules} for name, rules in groups.items()]
    return _HEAD + yaml.dump({"groups": written}, Dumper=_Dumper, sort_keys=False, width=10_000)


_HEAD: Final = "# Written by `python -m grafana` from grafana/rules: change it there.\n"


class _Dumper(yaml.SafeDumper):
    """Writes an expression of several lines as one reads it."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
