"""How much memory a node may have: what the machine has, or the control group that it runs in."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from telerelay_endpoint.limits import LIMITS

PERCENT: Final = LIMITS["memory_percent"]


def default_budget(root: Path = Path("/")) -> int:
    """Bytes that a node uses before it sends anybody away, where nobody set it."""
    return available(root) * PERCENT // 100


def available(root: Path = Path("/")) -> int:
    """Bytes of memory that there are for this process: the machine's, or the least of its control groups'.

    `root` is where /proc and /sys are. Raises OSError where there is no /proc.
    """
    return min([_machine(root), *_groups(root)])


def _machine(root: Path) -> int:
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("MemTotal:"))
    return int(kib) * 1024


def _groups(root: Path) -> Iterator[int]:
    """The limits of the control group and of all that it is in (cgroups(7)), in both versions."""
    for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, name = line.split(":", 2)
        if not controllers:
            yield from _limits(root / "sys/fs/cgroup", name, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(root / "sys/fs/cgroup/memory", name, "memory.limit_in_bytes")


def _limits(mounted: Path, name: str, file: str) -> Iterator[int]:
    group = PurePosixPath(name)
    for within in (group, *group.parents):
        try:
            limit = (mounted / within.relative_to("/") / file).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            continue  # the root has none, and in a namespace names above it are not to be seen
        if limit != "max":
            yield int(limit)
