"""What passes through everybody who is compared, and the figures that one round of it gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.peers.ground import RELAY_CORE

Figures = Mapping[str, float]
"""By name: `gbit_s`, `fairness`, `p50_ms`, `p99_ms`, and processor times, in s/GB of bulk or µs a message."""


@dataclass(frozen=True)
class Load:
    """`order` is what the generator is told. `is_bulk`: counted in bytes, otherwise in messages."""

    id: str
    title: str
    sessions: int
    order: Mapping[str, Any]

    @property
    def is_bulk(self) -> bool:
        """Whether bytes are counted, and not messages."""
        return "stalled" in self.order


def bulk(streams: int, *, stalled: int = 0) -> Load:
    """Streams as fast as they go; nobody reads the first `stalled`."""
    title = f"bulk, {streams} stream{'s' if streams > 1 else ''}"
    order = {"order": "bulk", "sessions": streams, "stalled": stalled}
    return Load(f"bulk{streams}{'-stalled' if stalled else ''}", title, streams, order)


def echo(size: int, *, sessions: int = 1_000, per_s: float = 4_000) -> Load:
    """Messages that come back, as many a second over all sessions."""
    order = {"order": "echo", "sessions": sessions, "bytes": size, "per_s": per_s}
    return Load(f"echo{size}", f"messages of {size} B, {sessions} sessions, {per_s:g}/s", sessions, order)


def desktop(sessions: int = 200, per_s: float = 30) -> Load:
    """Frames of 1.4 to 64 KiB."""
    order = {"order": "desktop", "sessions": sessions, "per_s": per_s}
    return Load("desktop", f"desktop frames, {sessions} sessions, {per_s:g}/s each", sessions, order)


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
    if load.is_bulk:
        gigabytes = done["bytes"] / 1e9
        costs = {name: taken / gigabytes for name, taken in used.items()}
        return {"gbit_s": 8 * gigabytes / seconds, "fairness": done["fairness"], **costs}
    delay = done["delay"]
    costs = {name: 1e6 * taken / delay["count"] for name, taken in used.items()}
    times = {name: delay[f"{name[:-3]}_us"] / 1e3 for name in ("p50_ms", "p99_ms")}
    return {**times, **costs}


def is_disturbed(done: Mapping[str, Any]) -> bool:
    """Whether somebody else was at work: other processes, or other machines of this one's host."""
    return bool(done["others_s"] + done["stolen_s"] > OTHERS * done["seconds"])


OTHERS: Final = 0.15
"""Of one core: with more the figures are somebody else's."""
