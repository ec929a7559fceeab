"""Plays a plan: agents come up, visits begin at their moments whatever the others do; all is taken down."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import telerelay_generator as rust
from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.play import faults
from telerelay_loadtest.play.generating import Generator, Opener, failing
from telerelay_loadtest.play.observing import Look, Observation, Standing
from telerelay_loadtest.scenario.plan import Plan, PlannedFault
from telerelay_loadtest.scraping import Watched, watch
from telerelay_loadtest.screens import screen_name
from telerelay_loadtest.target import Process

_LEAD_S: Final = 0.5
"""Until the first visit can be due: planning them must not make the first ones late."""
_SECOND_S: Final = 1.0
_ONLINE_S: Final = 120.0
"""How long agents may take beyond the time over which they are started."""
_LOOK_S: Final = 0.1
"""How often it is looked whether all agents are there, and whether the last session is over."""
_LAST_S: Final = 10.0
"""How long behind the play's end is waited for visits whose time is over."""
_MS_NS: Final = 1_000_000
_S_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class Cast:
    """Who plays: the folder of each organisation, in the plan's order, and their screens' models as JSON."""

    folders: Sequence[Path]
    models: Mapping[str, str]
    seed: int
    agents_over_ms: int
    agents_first: bool


@dataclass
class Played:
    """What a play came to, or has come to by now.

    `first`: as it stood when the first visit could be due; `stopped`: what ended it before its time, a
    signal's name or the error in words.
    """

    observation: Observation
    first: Look
    happened: Sequence[tuple[str, float]]
    """Faults, and the second at which they happened."""
    last: Look = field(init=False)
    stopped: str | None = None
    error: TelerelayError | None = None

    def __post_init__(self) -> None:
        """Nothing has happened yet."""
        self.last = self.first


class Play:
    """One play. `tell` is given what was played by now, each second."""

    def __init__(
        self,
        plan: Plan,
        cast: Cast,
        watched: Sequence[Watched],
        processes: Sequence[Process],
        tell: Callable[[Played], None],
    ) -> None:
        self._plan = plan
        self._cast = cast
        self._watched = watched
        self._processes = processes
        self._tell = tell
        self._generators: list[Generator] = []
        self._over = asyncio.Event()
        self._stopped: str | None = None
        self._happened: list[tuple[str, float]] = []

    async def run(self, opener: Opener) -> Played:
        """Play it to its end, or to Ctrl-C.

        A fault that could not be ends it too, and stands in `error`. Raises TelerelayError: MACHINE,
        KEY_FILE, USAGE of the generator; ABSENT when agents do not come up.
        """
        with failing():
            try:
                for number, folder in enumerate(self._cast.folders):
                    seed = self._cast.seed + number
                    self._generators.append(opener(folder, models=self._cast.models, seed=seed))
                with self._stopping_on_signals():
                    return await self._play()
            finally:
                await asyncio.gather(*(asyncio.to_thread(one.stop) for one in self._generators))

    # ------------------------------------------------------------ its course

    async def _play(self) -> Played:
        scraping = asyncio.create_task(watch(self._watched, _SECOND_S))
        try:
            await self._raise_agents()
            observation = Observation(time.monotonic_ns() + int(_LEAD_S * _S_NS))
            played = Played(observation, self._look(observation), self._happened)
            with self._listening(observation):
                if not self._over.is_set():
                    self._begin(observation.begin_ns)
                    try:
                        await self._until_over(played)
                    except TelerelayError as error:
                        played.error, self._stopped = error, str(error)
            played.last = self._look(observation)
            played.stopped = self._stopped
            return played
        finally:
            scraping.cancel()

    async def _raise_agents(self) -> None:
        over_ms = self._cast.agents_over_ms
        for generator, party in zip(self._generators, self._plan.parties, strict=True):
            generator.start_agents(first=0, count=party.agents, spread_ms=over_ms)
        wanted = sum(party.agents for party in self._plan.parties)
        deadline = time.monotonic() + over_ms / 1000 + _ONLINE_S
        while self._cast.agents_first and not self._over.is_set():
            online = sum(generator.counts().online for generator in self._generators)
            if online >= wanted:
                break
            if time.monotonic() > deadline:
                raise TelerelayError("ABSENT", f"{online} of {wanted} agents got their ready connection")
            await asyncio.sleep(_LOOK_S)

    def _begin(self, begin_ns: int) -> None:
        for number, generator in enumerate(self._generators):
            generator.begin(
                [
                    rust.Visit(
                        at_ns=begin_ns + visit.at_ms * _MS_NS,
                        client=visit.client,
                        hold_ms=visit.hold_ms,
                        model=screen_name(visit.screen, visit.link),
                    )
                    for visit in self._plan.visits
                    if visit.organisation == number
                ]
            )

    async def _until_over(self, played: Played) -> None:
        """Look each second; let faults happen. Ends with the play, Ctrl-C, or a fault that could not be."""
        harm = [asyncio.create_task(self._let_happen(fault, played)) for fault in self._plan.faults]
        ticking = asyncio.create_task(self._tick(played))
        try:
            while not ticking.done() and not self._over.is_set():
                pending = [task for task in harm if not task.done()]
                over = asyncio.create_task(self._over.wait())
                await asyncio.wait([ticking, over, *pending], return_when=asyncio.FIRST_COMPLETED)
                over.cancel()
                for task in harm:
                    if task.done():
                        task.result()
            if ticking.done():
                ticking.result()
        finally:
            for task in [ticking, *harm]:
                task.cancel()
            # What a fault takes back is taken back before this is over.
            await asyncio.gather(ticking, *harm, return_exceptions=True)

    async def _tick(self, played: Played) -> None:
        """A line each second, from the play's beginning to its end and until the last visit is over."""
        observation = played.observation
        for number in count(1):
            await _until(observation.begin_ns + int(number * _SECOND_S * _S_NS))
            look = self._look(observation)
            observation.seconds.append(look.behind(played.last))
            played.last = look
            self._tell(played)
            past_s = number * _SECOND_S - self._plan.length_ms / 1000
            is_over = look.standing.over == len(self._plan.visits)
            if past_s >= 0 and (is_over or past_s > _LAST_S):
                return

    async def _let_happen(self, planned: PlannedFault, played: Played) -> None:
        begin_ns = played.observation.begin_ns
        await _until(begin_ns + planned.at_ms * _MS_NS)
        await asyncio.to_thread(faults.do, planned.fault, self._processes)
        self._happened.append((planned.name, _since_s(begin_ns)))
        if planned.fault.lasts is not None:
            try:
                await asyncio.sleep(planned.fault.lasts.ms / 1000 / self._plan.speed)
            finally:
                await asyncio.to_thread(faults.take_back, planned.fault, self._processes)

    # ------------------------------------------------------------ what is seen

    @contextmanager
    def _listening(self, observation: Observation) -> Iterator[None]:
        """Take every generator's events as they come."""
        loop = asyncio.get_running_loop()

        def take(number: int) -> None:
            while events := self._generators[number].events():
                observation.take(number, events)

        for number, generator in enumerate(self._generators):
            loop.add_reader(generator.fd, take, number)
        try:
            yield
        finally:
            for number, generator in enumerate(self._generators):
                loop.remove_reader(generator.fd)
                take(number)

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._interrupt, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _interrupt(self, number: int) -> None:
        self._stopped = signal.Signals(number).name
        self._over.set()

    def _look(self, observation: Observation) -> Look:
        seen = [node.samples[-1] for node in self._watched if node.samples]
        standing = Standing.of(
            [generator.counts() for generator in self._generators],
            [generator.histograms() for generator in self._generators],
        )
        nodes = seen if len(seen) == len(self._watched) else []
        return Look.at(_since_s(observation.begin_ns), standing, time.process_time(), nodes)


def _since_s(begin_ns: int) -> float:
    return (time.monotonic_ns() - begin_ns) / _S_NS


async def _until(moment_ns: int) -> None:
    await asyncio.sleep(max(0.0, (moment_ns - time.monotonic_ns()) / _S_NS))
