"""How much memory there is for a node: the machine's, or the least that a control group above it leaves."""

from pathlib import Path
from typing import Final

import pytest

from telerelay.node.memory import available, default_budget

GIB: Final = 1 << 30
_V2: Final = "0::/system.slice/telerelay.service\n"
_V1: Final = "7:cpuset:/other\n4:cpu,memory:/docker/1a\n0::/docker/1a\n"


def _machine(root: Path, groups: str, limits: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal:       8388608 kB\nMemFree:         1 kB\n")
    (root / "proc/self/cgroup").write_text(groups)
    for name, limit in limits.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    return root


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        (_V2, {}, 8 * GIB),
        (_V2, {"system.slice/telerelay.service/memory.max": "max"}, 8 * GIB),
        (_V2, {"system.slice/telerelay.service/memory.max": str(2 * GIB)}, 2 * GIB),
        # The one above leaves less.
        (
            _V2,
            {"system.slice/memory.max": str(GIB), "system.slice/telerelay.service/memory.max": str(2 * GIB)},
            GIB,
        ),
        # A group that is given more than the machine has.
        (_V2, {"system.slice/memory.max": str(64 * GIB)}, 8 * GIB),
        # In a container the group's own files are at the top.
        ("0::/\n", {"memory.max": str(GIB)}, GIB),
        (_V1, {"memory/memory.limit_in_bytes": str(3 * GIB)}, 3 * GIB),
        (_V1, {"memory/docker/1a/memory.limit_in_bytes": str(GIB)}, GIB),
        # What others are limited to is nothing to us.
        (_V1, {"memory/other/memory.limit_in_bytes": str(GIB)}, 8 * GIB),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, groups: str, limits: dict[str, str], expected: int) -> None:
    root = _machine(tmp_path, groups, limits)
    assert available(root) == expected
    assert default_budget(root) == expected * 3 // 4


def test_this_machine_has_memory() -> None:
    assert available() > default_budget() > 0
