"""The counters that docs/LIMITS.md names are statistics of a node."""

import tomllib
from pathlib import Path
from typing import Final

from tests.kit.node import NodeProcess

TABLE: Final = Path(__file__).resolve().parents[2] / "relay_core" / "spec" / "limits.toml"


def test_every_counter_of_the_table_is_a_statistic_of_a_node(tmp_path: Path) -> None:
    limits = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    named = {limit["counter"] for limit in limits.values() if "counter" in limit}
    with NodeProcess(tmp_path) as node:
        assert named <= node.statistics().keys()
    assert len(named) > 8
