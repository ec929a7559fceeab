"""The files that Grafana reads dashboards from."""

from collections.abc import Callable
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.dashboards.load_test import load_test
from grafana.dashboards.morning import morning
from grafana.dashboards.node import node
from grafana.dashboards.security import security

DASHBOARDS: Final[dict[str, Callable[[str], Dashboard]]] = {
    "morning": morning,
    "node": node,
    "security": security,
    "load-test": load_test,
}


def dashboard_files(runbooks: str) -> dict[str, str]:
    """Each file's name and what stands in it."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    return {
        f"{name}.json": encoder.encode(make(runbooks).build()) + "\n" for name, make in DASHBOARDS.items()
    }
