"""What a play shows: taken down event by event and second by second. Pure: nothing here asks a clock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from telerelay_loadtest.play.generating import STAGES, Counts, Event
from telerelay_loadtest.play.histogram import Rows, merged, since, value_at
from telerelay_loadtest.scraping import Sample

_US_NS = 1_000
_S_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a play: counts within it; sessions, agents and memory at its end.

    What is None was not seen: no metrics were read, no message was answered. `at_s`: its end, seconds from
    the play's beginning. Processor time is in seconds, of all nodes together.
    """

    at_s: float
    begun: int
    set_ups: int
    failed: int
    ended: int
    sessions: int
    agents: int
    messages: int
    bytes: int
    generator_cpu_s: float
    node_cpu_s: float | None
    node_loop_s: float | None
    """Of that the event loops' own, of which a node has one."""
    node_rss_bytes: float | None
    delay_p50_ms: float | None
    delay_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that is counted, as it stands at one moment. `node_…`: of all nodes together."""

    at_s: float
    standing: "Standing"
    generator_cpu_s: float
    node_cpu_s: float | None
    node_loop_s: float | None
    node_rss_bytes: float | None

    @classmethod
    def at(cls, at_s: float, standing: "Standing", cpu_s: float, nodes: Sequence[Sample]) -> "Look":
        """`cpu_s`: processor time of this process; `nodes`: the newest of each, none where one has none."""
        return cls(
            at_s=at_s,
            standing=standing,
            generator_cpu_s=cpu_s,
            node_cpu_s=sum(node.cpu_s for node in nodes) if nodes else None,
            node_loop_s=sum(node.loop_s for node in nodes) if nodes else None,
            node_rss_bytes=sum(node.memory for node in nodes) if nodes else None,
        )

    def behind(self, before: "Look") -> Second:
        """What happened from `before` on."""
        now, then = self.standing, before.standing
        delay = since(then.histograms["delay"], now.histograms["delay"])
        return Second(
            at_s=round(self.at_s, 3),
            begun=now.begun - then.begun,
            set_ups=now.opened - then.opened,
            failed=sum(now.failed.values()) - sum(then.failed.values()),
            ended=sum(now.ended.values()) - sum(then.ended.values()),
            sessions=now.sessions,
            agents=now.agents,
            messages=now.messages - then.messages,
            bytes=now.bytes - then.bytes,
            generator_cpu_s=round(self.generator_cpu_s - before.generator_cpu_s, 6),
            node_cpu_s=_risen(before.node_cpu_s, self.node_cpu_s),
            node_loop_s=_risen(before.node_loop_s, self.node_loop_s),
            node_rss_bytes=self.node_rss_bytes,
            delay_p50_ms=_ms(value_at(delay, 0.50)),
            delay_p99_ms=_ms(value_at(delay, 0.99)),
        )


@dataclass(frozen=True, slots=True)
class SetUp:
    """A visit that saw its desktop: when it was to begin, seconds from the play's beginning, and how long.

    `stages`: microseconds of each of STAGES; `total_us`: from the moment that was meant.
    """

    intended_s: float
    total_us: int
    stages: tuple[int, ...]


@dataclass
class Observation:
    """What was seen by now. `begin_ns`: when the play began, of `time.monotonic_ns()`."""

    begin_ns: int
    seconds: list[Second] = field(default_factory=list)
    set_ups: list[SetUp] = field(default_factory=list)
    _under_way: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def take(self, organisation: int, events: Iterable[Event]) -> None:
        """Events of one organisation's generator, in their order."""
        for event in events:
            key = organisation, event.visit
            if event.code:
                self._under_way.pop(key, None)
            elif event.stage in STAGES:
                stages = self._under_way.setdefault(key, [])
                stages.append((event.ended_ns - event.began_ns) // _US_NS)
                if event.stage == STAGES[-1]:
                    del self._under_way[key]
                    self._set_up(event, tuple(stages))

    def _set_up(self, event: Event, stages: tuple[int, ...]) -> None:
        # One whose events were lost on the way has fewer; it is in the histograms, which lose nothing.
        if len(stages) == len(STAGES):
            total_us = (event.ended_ns - event.intended_ns) // _US_NS
            self.set_ups.append(SetUp((event.intended_ns - self.begin_ns) / _S_NS, total_us, stages))


@dataclass(frozen=True)
class Standing:
    """How it stands at one moment: histograms and counts of all organisations together."""

    histograms: Mapping[str, Rows]
    failed: Mapping[tuple[str, str], int]
    """Visits that did not get a session, by stage and code."""
    ended: Mapping[str, int]
    """Sessions that are over, by code."""
    sessions: int
    begun: int
    agents: int
    messages: int
    """Those that were answered."""
    unanswered: int
    """Messages that asked for an answer, which has not come."""
    bytes: int
    lost_events: int

    @property
    def opened(self) -> int:
        """Visits that saw their desktop."""
        return self.sessions + sum(self.ended.values())

    @property
    def under_way(self) -> int:
        """Visits that have begun and neither saw their desktop nor failed."""
        return self.begun - self.opened - sum(self.failed.values())

    @property
    def over(self) -> int:
        """Visits that failed, and sessions that have ended."""
        return sum(self.failed.values()) + sum(self.ended.values())

    @classmethod
    def of(cls, counts: Sequence[Counts], histograms: Sequence[Mapping[str, Rows]]) -> "Standing":
        """What the generators say, one for each organisation."""
        answered = sum(one.answered for one in counts)
        return cls(
            histograms={name: merged(one[name] for one in histograms) for name in histograms[0]},
            failed=sum((Counter(one.failed) for one in counts), Counter()),
            ended=sum((Counter(one.ended) for one in counts), Counter()),
            sessions=sum(one.live for one in counts),
            begun=sum(one.begun for one in counts),
            agents=sum(one.online for one in counts),
            messages=answered,
            unanswered=sum(one.asked for one in counts) - answered,
            bytes=sum(one.sent_bytes + one.received_bytes for one in counts),
            lost_events=sum(one.lost_events for one in counts),
        )


def _risen(before: float | None, now: float | None) -> float | None:
    """How much a sum rose; None where it was not seen, or a node began anew."""
    return None if before is None or now is None or now < before else round(now - before, 6)


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
