"""What passes through everybody who is compared, and the figures that one round of it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from tests.bench.peers.ground import RELAY_CORE

Figures = Mapping[str, float]
"""By name: `gbit_s`, `fairness`, `p50_ms`, `p99_ms`, `per_s`, and processor times.

Those are in s/GB of bulk, in µs a message or a set-up.
"""

Counted: TypeAlias = Literal["bytes", "messages", "set-ups"]


@dataclass(frozen=True)
class Load:
    """`order` is what the generator is told, `counted` what its costs are by.

    `sessions` are opened before anybody counts. A round counts for `for_s` behind `warm_s`.
    """

    id: str
    title: str
    counted: Counted
    sessions: int
    order: Mapping[str, Any]
    warm_s: float = 0.3
    for_s: float = 1.2

    def lasting(self, warm_s: float, for_s: float) -> "Load":
        """The same for another while."""
        return replace(self, warm_s=warm_s, for_s=for_s)


def bulk(streams: int, *, stalled: int = 0) -> Load:
    """Streams as fast as they go; nobody reads the first `stalled`."""
    title = f"bulk, {streams} stream{'s' if streams > 1 else ''}"
    order = {"order": "bulk", "sessions": streams, "stalled": stalled}
    return Load(f"bulk{streams}{'-stalled' if stalled else ''}", title, "bytes", streams, order)


def echo(size: int, *, sessions: int = 1_000, per_s: float = 4_000) -> Load:
    """Messages that come back, as many a second over all sessions."""
    order = {"order": "echo", "sessions": sessions, "bytes": size, "per_s": per_s}
    title = f"messages of {size} B, {sessions} sessions, {per_s:g}/s"
    return Load(f"echo{size}", title, "messages", sessions, order)


def desktop(sessions: int = 200, per_s: float = 30) -> Load:
    """Frames of 1.4 to 64 KiB."""
    order = {"order": "desktop", "sessions": sessions, "per_s": per_s}
    title = f"desktop frames, {sessions} sessions, {per_s:g}/s each"
    return Load("desktop", title, "messages", sessions, order)


def set_ups(per_s: float, *, at_once: int) -> Load:
    """Sessions that are made, some at once, and dropped, as many a second."""
    order = {"order": "set_ups", "sessions": at_once, "per_s": per_s}
    return Load("set-ups", f"set-ups, {per_s:g}/s", "set-ups", 0, order)


BULK: Final = (bulk(1), bulk(16), bulk(64))
MESSAGES: Final = (desktop(), echo(64), echo(1_400))


def figures(load: Load, done: Mapping[str, Any]) -> Figures:
    """Of one round, as the generator tells it.

    `core` is how long the relay's core was not idle, interrupts included; the others are run times.
    """
    seconds: float = done["seconds"]
    cores, parts = done["cores_s"], done["cpu_s"]
    used = {
        "core": cores[RELAY_CORE],
        "machine": sum(cores) - done["others_s"],
        **{name: parts[name] for name in ("relay", "agent") if name in parts},
    }
    match load.counted:
        case "bytes":
            gigabytes = done["bytes"] / 1e9
            rates = {"gbit_s": 8 * gigabytes / seconds, "fairness": done["fairness"]}
            return {**rates, **{name: taken / gigabytes for name, taken in used.items()}}
        case "messages":
            delay = done["delay"]
            times = {name: delay[f"{name[:-3]}_us"] / 1e3 for name in ("p50_ms", "p99_ms")}
            return {**times, **{name: 1e6 * taken / delay["count"] for name, taken in used.items()}}
        case "set-ups":
            count = done["set_ups"]
            return {"per_s": count / seconds, **{name: 1e6 * taken / count for name, taken in used.items()}}


def is_disturbed(done: Mapping[str, Any]) -> bool:
    """Whether somebody else was at work: other processes, or other machines of this one's host."""
    return bool(done["others_s"] + done["stolen_s"] > OTHERS * done["seconds"])


OTHERS: Final = 0.15
"""Of one core: with more the figures are somebody else's."""
