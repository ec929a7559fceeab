"""The goals of B1–B4, B7 and B14, each against the peer that it names (data-plane.md, Measuring)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tests.bench.peers.contest import Results
from tests.bench.peers.loads import BULK, MESSAGES, Counted, Load, bulk
from tests.bench.report import Sheet, number
from tests.bench.rows import Goal, Row, Unit, measured, unmeasured

DIRECT: Final = "telerelay-direct"
WRAPPED: Final = "telerelay-wrapped"
END_TO_END: Final = "telerelay-programs"
NO_RELAY: Final = "direct"
PROXIES: Final = ("haproxy-splice", "haproxy-copy", "nginx")
"""Whoever moves bytes between two ports and knows no tunnel."""
_COSTS: Final = {
    "haproxy-splice": 1.0,
    "nginx": 1.0,
    "rathole": 0.5,
    "rathole-tls": 0.5,
    "ssh-R": 0.5,
    "frp-mux": 0.5,
}
"""B1: the most that a byte may cost the relay, by what it costs that of a peer."""
_WHOLE_COSTS: Final = {"frp": 1.0, "frp-tls": 0.5}
"""B1: the same of relay and agent together."""
_COST_ROWS: Final[Mapping[Counted, tuple[str, Unit]]] = {"bytes": ("B1", "s/GB"), "messages": ("B4", "us")}
_LEAST_ADDED_MS: Final = 0.001


def verdicts(results: Results) -> list[Row]:
    """All rows whose peers were asked for."""
    return [*_relay_costs(results), *_throughput(results), *_messages(results)]


def compared(
    identifier: str,
    title: str,
    unit: Unit,
    results: Results,
    load: Load,
    figure: str,
    sides: tuple[str, str],
    goal: Goal | None,
    note: str = "",
) -> Row:
    """The row of one figure of ours and a peer's, `sides` by their names."""
    ours, peer = (results.of(load, name, figure) for name in sides)
    if not ours or not peer:
        return unmeasured(identifier, title, unit, _why(results, load, sides))
    return measured(identifier, title, unit, ours, peer=peer, goal=goal, note=note)


def _why(results: Results, load: Load, sides: Sequence[str]) -> str:
    reasons = [
        f"{name}: {results.failed[load.id, name]}" for name in sides if (load.id, name) in results.failed
    ]
    return "; ".join(reasons) or f"not measured: {', '.join(sides)}"


def _asked(results: Results, load: Load, name: str) -> bool:
    return (load.id, name) in results.rounds or (load.id, name) in results.failed


def _relay_costs(results: Results) -> Iterator[Row]:
    for load in BULK:
        for name, most in _COSTS.items():
            if _asked(results, load, name):
                yield compared(
                    f"B1.{load.sessions}.{name}",
                    f"core time of the relay, {load.title}, by {name}",
                    "s/GB",
                    results,
                    load,
                    "core",
                    (DIRECT, name),
                    Goal("most", most, of="ratio"),
                )
    for name, most in _WHOLE_COSTS.items():
        ours, relay, agent = (
            results.of(bulk(16), side, figure)
            for side, figure in ((DIRECT, "relay"), (name, "relay"), (name, "agent"))
        )
        if ours and relay:
            yield measured(
                f"B1.whole.{name}",
                f"relay and agent, bulk, 16 streams, by {name}",
                "s/GB",
                ours,
                peer=[one + other for one, other in zip(relay, agent, strict=True)],
                goal=Goal("most", most, of="ratio"),
                note="ours is the relay alone: its ends here push bytes without an agent's work",
            )


def _throughput(results: Results) -> Iterator[Row]:
    for load in BULK:
        yield compared(
            f"B2.{load.sessions}",
            f"throughput, {load.title}, by HAProxy splice",
            "Gbit/s",
            results,
            load,
            "gbit_s",
            (DIRECT, "haproxy-splice"),
            Goal("least", 1.0, of="ratio"),
        )


def wrapped(results: Results) -> list[Row]:
    """B3: what the way costs before SWITCH."""
    return [
        compared(
            identifier,
            f"core time of the relay, wrapped, 16 streams, by {what}",
            "s/GB",
            results,
            bulk(16),
            "core",
            (WRAPPED, name),
            Goal("most", most, of="ratio"),
        )
        for identifier, name, what, most in (
            ("B3", "floor-tls", "decrypting, copying and encrypting alone", 1.15),
            ("B3.haproxy", "haproxy-tls", "HAProxy with TLS on both legs", 0.7),
        )
    ]


def set_up(results: Results, load: Load, name: str) -> Row:
    """B7: what a session costs until it is there, and its end."""
    return compared(
        "B7.haproxy",
        f"run time of the relay, {load.title}, by HAProxy with TLS on both legs",
        "us",
        results,
        load,
        "relay",
        (DIRECT, name),
        Goal("most", 0.6, of="ratio"),
        "all that the node does for a session, Python, audit and its end included; peer: two handshakes",
    )


def end_to_end(results: Results, tunnels: Sequence[str]) -> Iterator[Row]:
    """B14."""
    for name in tunnels:
        yield compared(
            f"B14.{name}",
            f"screen bytes end to end, one session, by {name}",
            "Gbit/s",
            results,
            bulk(1),
            "gbit_s",
            (END_TO_END, name),
            Goal("least", 1.0, of="ratio"),
        )
    yield compared(
        "B14.machine",
        "processor time of the machine, end to end, by ssh -R",
        "s/GB",
        results,
        bulk(1),
        "machine",
        (END_TO_END, "ssh-R"),
        Goal("most", 0.6, of="ratio"),
    )


def segments(results: Results, loads: Sequence[Load]) -> Iterator[Row]:
    """B1 and B4 by the best proxy, where a packet is a segment."""
    for load in loads:
        name = best_proxy(results, load, "core")
        number, unit = _COST_ROWS[load.counted]
        yield compared(
            f"{number}.segments.{load.id}",
            f"core time of the relay, {load.title}, segments of 1,448 bytes, by {name}",
            unit,
            results,
            load,
            "core",
            (DIRECT, name),
            Goal("most", 1.0, of="ratio"),
        )


def line(results: Results, loads: Sequence[Load]) -> Iterator[Row]:
    """B2 and B4 where the line is what limits: nobody can be much faster than who adds nothing."""
    for load in loads:
        if load.counted == "bytes":
            yield compared(
                f"B2.line.{load.sessions}",
                f"throughput, {load.title}, 20 ms at 100 Mbit/s, by HAProxy splice",
                "Gbit/s",
                results,
                load,
                "gbit_s",
                (DIRECT, "haproxy-splice"),
                Goal("least", 0.99, of="ratio"),
            )
            continue
        for figure, most in (("p50_ms", 1.05), ("p99_ms", 1.1)):
            name = best_proxy(results, load, figure)
            yield compared(
                f"B4.line.{figure[:-3]}",
                f"{figure[:-3]}, {load.title}, 20 ms at 100 Mbit/s, by the best proxy",
                "ms",
                results,
                load,
                figure,
                (DIRECT, name),
                Goal("most", most, of="ratio"),
                f"peer: {name}",
            )


def _messages(results: Results) -> Iterator[Row]:
    for load in MESSAGES:
        best = best_proxy(results, load, "core")
        stretch = "; stretch 0.8" if load.id == "desktop" else ""
        yield compared(
            f"B4.{load.id}",
            f"core time of the relay a message, {load.title}, by the best proxy",
            "us",
            results,
            load,
            "core",
            (DIRECT, best),
            Goal("most", 1.0, of="ratio"),
            f"peer: {best}{stretch}",
        )
        for figure in ("p50_ms", "p99_ms"):
            yield _added(results, load, figure)
    shown = results.of("desktop", DIRECT, "p99_ms")
    if shown:
        title = "p99 of desktop frames, whole"
        yield measured("B4.desktop.p99", title, "ms", shown, goal=Goal("most", 2))


def _added(results: Results, load: Load, figure: str) -> Row:
    """What the relay adds to the way without one, by what the best proxy adds."""
    quantile, best = figure[:-3], best_proxy(results, load, figure)
    identifier, title = f"B4.{load.id}.added_{quantile}", f"added {quantile}, {load.title}, by the best proxy"
    bare, ours, peer = (results.of(load, name, figure) for name in (NO_RELAY, DIRECT, best))
    if not (bare and ours and peer):
        return unmeasured(identifier, title, "ms", _why(results, load, (NO_RELAY, DIRECT, best)))
    added = [
        # Nobody is faster than no relay, and less than this nobody can tell.
        [max(one - without, _LEAST_ADDED_MS) for one, without in zip(side, bare, strict=True)]
        for side in (ours, peer)
    ]
    goal = Goal("most", 1.0, of="ratio")
    return measured(identifier, title, "ms", added[0], peer=added[1], goal=goal, note=f"peer: {best}")


def best_proxy(results: Results, load: Load, figure: str) -> str:
    """The proxy with the least of it."""
    found = {name: results.middle(load, name, figure) for name in PROXIES}
    there = {name: value for name, value in found.items() if value is not None}
    return min(there, key=lambda name: there[name]) if there else PROXIES[0]


# ---------------------------------------------------------------- everybody's own figures

_PERFORMANCE: Final[Mapping[Counted, Mapping[str, str]]] = {
    "bytes": {"gbit_s": "Gbit/s"},
    "messages": {"p50_ms": "p50 ms", "p99_ms": "p99 ms"},
    "set-ups": {"per_s": "1/s"},
}
_COST: Final = {"core": "relay's core", "relay": "relay", "agent": "agent", "machine": "machine"}


def sheets(results: Results, loads: Sequence[Load], where: str = "") -> list[Sheet]:
    """A sheet for each load: the median of each figure, with its range."""
    written = []
    for load in loads:
        unit = "s/GB" if load.counted == "bytes" else "µs"
        shown = {**_PERFORMANCE[load.counted], **{name: f"{head} {unit}" for name, head in _COST.items()}}
        names = tuple(shown)
        lines = [
            [name, *(_spread(results.of(load, name, figure)) for figure in names)]
            for key, name in results.rounds
            if key == load.id
        ]
        lines += [
            [name, why, *[""] * (len(names) - 1)]
            for (key, name), why in results.failed.items()
            if key == load.id
        ]
        if lines:
            written.append(Sheet(f"{load.title}{where}", ("", *shown.values()), lines))
    return written


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return f"{number(middle)} ({number(ordered[0])}–{number(ordered[-1])})"
