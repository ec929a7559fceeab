"""The parts of a run: who is compared under which loads, on which ground, and the rows that it gives."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from tests.bench.benchmark import ROUNDS, Say
from tests.bench.peers import credentials, crowd, verdicts
from tests.bench.peers.contest import Clock, Contestant, Results, contest
from tests.bench.peers.ground import Ground, open_segments, segment_bytes
from tests.bench.peers.line import IPTABLES, open_line
from tests.bench.peers.loads import BULK, MESSAGES, Load, bulk, desktop, set_ups
from tests.bench.peers.ours import Ours, open_node, open_ours
from tests.bench.peers.peer import Need, Peer
from tests.bench.peers.programs import open_programs
from tests.bench.peers.running import RunningPeer
from tests.bench.report import Sheet
from tests.bench.rows import Row
from tests.kit.node import NodeProcess

Part: TypeAlias = Literal["wrapped", "set-ups", "plain", "crowd", "end-to-end", "segments", "line"]
PARTS: Final[tuple[Part, ...]] = get_args(Part)
"""In the order in which they are measured."""
_PLAIN: Final = (*BULK, *MESSAGES)
_SET_UPS: Final = set_ups(100, at_once=4).lasting(0.3, 2.4)
_ON_SEGMENTS: Final = (bulk(16), desktop())
# Half of what the line takes; tenths of a second pass until windows are as large as they become. What is read
# of a stream before it is spliced is more than 5 % of what a sixteenth of the line carries in less time.
_ON_THE_LINE: Final = tuple(load.lasting(0.6, 2.4) for load in (bulk(1), bulk(16), desktop(12)))
_TLS: Final = ("haproxy-tls",)
_WRAPPED: Final = (*_TLS, "floor-tls")
_CROWD: Final = ("haproxy-splice", "nginx")
_TUNNELS: Final = ("ssh-R", "rathole-tls")
_LINE: Final = (verdicts.NO_RELAY, "haproxy-splice", "nginx")
_SEGMENT_MOST: Final = 1_514
"""Bytes of a frame on a virtual cable: 1,448 of TCP, its header with time stamps, IP, Ethernet."""


@dataclass
class Found:
    """What a run has come to; `disturbed`: rounds that were so each time."""

    rows: list[Row] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    disturbed: int = 0


@dataclass(frozen=True)
class Place:
    """A node of ours on a ground, and the folder of its organisation."""

    ground: Ground
    node: NodeProcess
    organisation: Path

    def ours(self, *, wrapped: bool = False) -> AbstractContextManager[Ours]:
        """Sessions through the node."""
        return open_ours(self.ground, self.node, self.organisation, wrapped=wrapped)


class Run:
    """One run: who takes part, in what, and what it has found."""

    def __init__(self, peers: Sequence[Peer], parts: Collection[Part], folder: Path, say: Say) -> None:
        self._peers = {peer.name: peer for peer in peers}
        self._plain_peers = [name for name in self._peers if name not in _WRAPPED]
        self._parts = parts
        self._folder = folder
        self._say = say
        self._number = 0
        turns: dict[Part, int] = {
            "wrapped": ROUNDS * (len(_WRAPPED) + 1),
            "set-ups": ROUNDS * (len(_TLS) + 1),
            "plain": ROUNDS * len(_PLAIN) * (len(self._plain_peers) + 1),
            "crowd": crowd.TURNS,
            "end-to-end": ROUNDS * (len(_TUNNELS) + 1),
            "segments": ROUNDS * len(_ON_SEGMENTS) * (len(verdicts.PROXIES) + 1),
            "line": ROUNDS * len(_ON_THE_LINE) * (len(_LINE) + 1),
        }
        self._clock = Clock(sum(turns[part] for part in parts), say)
        self.found = Found()

    def needs(self) -> Iterator[Need]:
        """Programs that the parts need and that are not ours."""
        names: dict[Part, Sequence[str]] = {
            "wrapped": _WRAPPED,
            "set-ups": _TLS,
            "plain": self._plain_peers,
            "crowd": _CROWD,
            "end-to-end": _TUNNELS,
            "segments": verdicts.PROXIES,
            "line": _LINE,
        }
        for part in self._parts:
            for name in names[part]:
                yield from self._peers[name].needs
        if "line" in self._parts:
            yield IPTABLES

    def measure(self, ground: Ground) -> None:
        """All parts that were asked for, on the network that this process is in.

        Each adds to `found` at its end.
        """
        credentials.make_tls(self._folder / "tls")
        credentials.make_ssh(self._folder / "ssh")
        beside: dict[Part, Callable[[Place], None]] = {
            "wrapped": self._wrapped,
            "set-ups": self._set_ups,
            "plain": self._plain,
            "crowd": self._crowd,
        }
        asked = [measure for part, measure in beside.items() if part in self._parts]
        if asked:
            with self._place(ground) as place:
                for measure in asked:
                    measure(place)
        if "end-to-end" in self._parts:
            self._end_to_end(ground)
        if "segments" in self._parts:
            self._on_segments()
        if "line" in self._parts:
            self._on_the_line()

    # ------------------------------------------------------------ parts

    def _wrapped(self, place: Place) -> None:
        """B3."""
        with place.ours(wrapped=True) as ours, self._running(_WRAPPED, place.ground) as peers:
            results = self._contest([bulk(16)], [*peers, ours], ", TLS on both legs")
        self.found.rows += verdicts.wrapped(results)

    def _set_ups(self, place: Place) -> None:
        """B7, beside HAProxy."""
        with place.ours() as ours, self._running(_TLS, place.ground) as peers:
            results = self._contest([_SET_UPS], [*peers, ours], ", TLS on both legs")
        self.found.rows.append(verdicts.set_up(results, _SET_UPS, *_TLS))

    def _plain(self, place: Place) -> None:
        """B1, B2, B4."""
        with self._running(self._plain_peers, place.ground) as peers, place.ours() as ours:
            results = self._contest(_PLAIN, [*peers, ours])
        self.found.rows += verdicts.verdicts(results)

    def _crowd(self, place: Place) -> None:
        """B5, B9, B10."""
        with place.ours() as ours:
            self.found.rows += crowd.stalled(ours, self._clock)
        with place.ours() as ours, self._running(_CROWD, place.ground) as peers:
            self.found.rows += crowd.crowd(ours, peers, self._say, self._clock)

    def _end_to_end(self, ground: Ground) -> None:
        """B14: what a person has, against tunnels that encrypt one leg at least."""
        with (
            self._running(_TUNNELS, ground) as peers,
            open_programs(ground, self._folder / "programs") as programs,
        ):
            results = self._contest([bulk(1)], [*peers, programs], ", end to end")
        self.found.rows += verdicts.end_to_end(results, _TUNNELS)

    def _on_segments(self) -> None:
        """B1 and B4 again where a packet is a segment of 1,448 bytes."""
        with (
            open_segments() as ground,
            self._place(ground) as place,
            self._running(verdicts.PROXIES, ground) as peers,
            place.ours() as ours,
        ):
            results = self._contest(_ON_SEGMENTS, [*peers, ours], ", segments of 1,448 bytes")
            seen = segment_bytes(ground)
            if seen > _SEGMENT_MOST:
                raise ValueError(f"packets of {seen:.0f} bytes are more than one segment")
        self.found.rows += verdicts.segments(results, _ON_SEGMENTS)

    def _on_the_line(self) -> None:
        """B2 and B4 again where the way home is long and narrow."""
        with (
            open_line() as ground,
            self._place(ground) as place,
            self._running(_LINE, ground) as peers,
            place.ours() as ours,
        ):
            where = f", {ground.name}"
            results = self._contest(_ON_THE_LINE, [*peers, ours], where, ground.carriers)
        self.found.rows += verdicts.line(results, _ON_THE_LINE)

    # ------------------------------------------------------------ what they share

    def _contest(
        self,
        loads: Sequence[Load],
        contestants: Sequence[Contestant],
        where: str = "",
        carriers: Sequence[int] = (),
    ) -> Results:
        results, own = (
            Results(),
            frozenset(one.name for one in contestants if one.name.startswith("telerelay")),
        )
        contest(loads, contestants, results, self._clock, must=own, carriers=carriers)
        self.found.disturbed += results.disturbed
        self.found.sheets += verdicts.sheets(results, loads, where)
        return results

    @contextmanager
    def _place(self, ground: Ground) -> Iterator[Place]:
        with open_node(ground, self._folder / f"{self._next()}-node") as (node, organisation):
            yield Place(ground, node, organisation)

    @contextmanager
    def _running(self, names: Sequence[str], ground: Ground) -> Iterator[list[RunningPeer]]:
        with ExitStack() as ends:
            yield [
                ends.enter_context(RunningPeer(self._peers[name], self._next(), ground, self._folder))
                for name in names
            ]

    def _next(self) -> int:
        self._number += 1
        return self._number
