"""A generator that loads nobody: visits take as long, are as late and fail as it was told to make them."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from telerelay_generator import Visit
from telerelay_loadtest.play.generating import SESSION, STAGES

MS_NS: Final = 1_000_000


@dataclass(frozen=True)
class FakeEvent:
    visit: int
    stage: str
    code: str
    intended_ns: int
    began_ns: int
    ended_ns: int


@dataclass(frozen=True)
class FakeCounts:
    agents: int
    online: int
    begun: int
    live: int
    ended: Mapping[str, int]
    failed: Mapping[tuple[str, str], int]
    asked: int = 0
    answered: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    lost_events: int = 0


@dataclass(frozen=True)
class Course:
    """How visits go: each is begun so late, each stage takes so long, messages are answered so late.

    `fails`: what the visits of some clients end with, at which stage; `ends`: sessions' own ends; `forgets`:
    clients whose visits are never begun.
    """

    late_ms: int = 1
    message_late_ms: int = 1
    stage_ms: int = 2
    delay_ms: int = 3
    online: bool = True
    fails: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    ends: Mapping[int, str] = field(default_factory=dict)
    forgets: frozenset[int] = frozenset()


class FakeGenerator:
    """Opened as the real one is; all that it will do is known as soon as visits are planned."""

    def __init__(self, course: Course, folder: Path, models: Mapping[str, str]) -> None:
        self.folder = folder
        self.models = models
        self.stopped = False
        self._course = course
        self._agents = 0
        self._events: list[FakeEvent] = []
        self._taken = 0
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)

    def start_agents(self, *, first: int, count: int, spread_ms: int = 0) -> None:
        assert (first, spread_ms >= 0) == (0, True)
        self._agents = count

    def begin(self, visits: Sequence[Visit]) -> int:
        assert all(visit.model in self.models for visit in visits)
        events = [event for number, visit in enumerate(visits) for event in self._course_of(number, visit)]
        self._events = sorted(events, key=lambda event: event.ended_ns)
        return 0

    def events(self) -> Sequence[FakeEvent]:
        came = self._due()[self._taken :]
        self._taken += len(came)
        return came

    def histograms(self) -> Mapping[str, Sequence[tuple[int, int]]]:
        counted: dict[str, Counter[int]] = {
            name: Counter() for name in (*STAGES, "set_up", "delay", "late", "message_late")
        }
        for event in self._due():
            if event.stage == STAGES[0]:
                counted["late"][self._course.late_ms * 1000] += 1
            if event.stage in STAGES and not event.code:
                counted[event.stage][(event.ended_ns - event.began_ns) // 1000] += 1
            if event.stage == STAGES[-1] and not event.code:
                counted["set_up"][(event.ended_ns - event.intended_ns) // 1000] += 1
                counted["delay"][self._course.delay_ms * 1000] += 10
                counted["message_late"][self._course.message_late_ms * 1000] += 10
        return {name: sorted(counter.items()) for name, counter in counted.items()}

    def counts(self) -> FakeCounts:
        due = self._due()
        opened = sum(event.stage == STAGES[-1] and not event.code for event in due)
        ended = Counter(event.code for event in due if event.stage == SESSION)
        return FakeCounts(
            agents=self._agents,
            online=self._agents if self._course.online else 0,
            begun=len({event.visit for event in due}),
            live=opened - ended.total(),
            ended=ended,
            failed=Counter(
                (event.stage, event.code) for event in due if event.code and event.stage != SESSION
            ),
            # One of each went down with its session.
            asked=11 * opened,
            answered=10 * opened,
        )

    def stop(self) -> int:
        if not self.stopped:
            os.close(self.fd)
        self.stopped = True
        return 0

    def _due(self) -> list[FakeEvent]:
        now = time.monotonic_ns()
        return [event for event in self._events if event.ended_ns <= now]

    def _course_of(self, number: int, visit: Visit) -> Iterator[FakeEvent]:
        course = self._course
        if visit.client in course.forgets:
            return
        at = visit.at_ns + course.late_ms * MS_NS
        failing = course.fails.get(visit.client, ("", ""))
        for stage in STAGES:
            ended = at + course.stage_ms * MS_NS
            code = failing[1] if stage == failing[0] else ""
            yield FakeEvent(number, stage, code, visit.at_ns, at, ended)
            if code:
                return
            at = ended
        code = course.ends.get(visit.client, "DONE")
        yield FakeEvent(number, SESSION, code, visit.at_ns, at, at + visit.hold_ms * MS_NS)
