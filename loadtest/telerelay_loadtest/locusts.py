"""A scenario conducted by locust: one user is one employee, and each stage of a visit is one `request`.

locust shows, starts, stops and adds up, over several workers if it is told to. What loads and what measures
is the generator in each worker: visits begin at their moments there, and every time that locust is told was
taken there.

The process that commands lets every worker bring up its share of the office PCs; when all are there it says
when the play begins, and lets users come as the plan says (`Morning`).
"""

import sys
import time
from argparse import ArgumentParser
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import gevent
from gevent.event import Event
from gevent.socket import wait_read
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.rpc import Message
from locust.runners import LocalRunner, MasterRunner, WorkerRunner
from typing_extensions import override

import telerelay_generator as rust
from telerelay_endpoint.errors import TelerelayError, entry
from telerelay_loadtest.commands.options import plan_of
from telerelay_loadtest.play.generating import SESSION, STAGES, RustGenerators
from telerelay_loadtest.running import LINE_FILE, is_local
from telerelay_loadtest.scenario.file import Scenario, find_scenario
from telerelay_loadtest.scenario.plan import Plan, Visit
from telerelay_loadtest.screens import screen_name, screens_of
from telerelay_loadtest.target import read_target

REQUEST: Final = "telerelay"
"""What locust calls the kind of every request."""
SET_UP: Final = "set_up"
"""The request that all stages of a set-up are together, from the moment that was meant."""
_RAISE, _READY, _BEGIN = "telerelay_raise", "telerelay_ready", "telerelay_begin"
"""Messages between the process that commands and its workers."""
_LEAD_S: Final = 1.0
"""Until the play begins, once every worker is ready: so long the message may take."""
_AHEAD_MS: Final = 3_000
"""So long before its first visit a user is there: users come once a second, visits at any moment."""
_ONLINE_S: Final = 120.0
"""How long office PCs may take beyond the time over which they come up."""
_LOOK_S: Final = 0.1
_MS_NS: Final = 1_000_000


def _add_options(parser: ArgumentParser) -> None:
    asked = parser.add_argument_group("telerelay")
    asked.add_argument("--scenario", required=True, help="a file, or the name of a ready one")
    asked.add_argument("--prepared", required=True, help="the folder of `telerelay-loadtest prepare`")
    asked.add_argument("--play-from", metavar="HH:MM", help="play from this time of day on")
    asked.add_argument("--play-for", metavar="TIME", help="play for so long, such as 10m")
    asked.add_argument("--play-speed", type=float, default=1.0, help="play so many times as fast")


def _conduct(environment: Environment, **_rest: object) -> None:
    """Give this process its part: to command, to play, or both."""
    options, runner = environment.parsed_options, environment.runner
    if options is None or runner is None:
        raise AssertionError("locust has read its options and made a runner before")
    try:
        scenario = find_scenario(options.scenario)
        plan = plan_of(scenario, options.play_from, options.play_for, options.play_speed)
    except TelerelayError as error:
        sys.stderr.write(f"error[{error.code}] {error.detail}\n")
        sys.exit(entry(error.code).exit_code)
    shape = environment.shape_class
    if isinstance(runner, LocalRunner | MasterRunner) and isinstance(shape, Morning):
        shape.conduct(runner, scenario, plan)
        runner.register_message(_READY, shape.hear)
        environment.events.test_stop.add_listener(shape.forget)
    if isinstance(runner, LocalRunner | WorkerRunner):
        share = Share(runner, scenario, plan, Path(options.prepared))
        Employee.share = share
        runner.register_message(_RAISE, share.rise, concurrent=True)
        runner.register_message(_BEGIN, share.begin)
        environment.events.test_stopping.add_listener(share.close)


@dataclass(frozen=True)
class Person:
    """An employee of a plan. `organisation`: its number; `visits`: in the order of their moments."""

    organisation: int
    client: int
    visits: Sequence[Visit]


def people_of(plan: Plan) -> Sequence[Person]:
    """Everybody who comes, in the order in which they come first."""
    visits: dict[tuple[int, int], list[Visit]] = {}
    for visit in plan.visits:
        visits.setdefault((visit.organisation, visit.client), []).append(visit)
    return [Person(organisation, client, own) for (organisation, client), own in visits.items()]


class Morning(LoadTestShape):
    """Users come when their employees do, and stay until the play is over."""

    _runner: LocalRunner | MasterRunner
    _agents_over_s: float
    _length_s: float
    _firsts: Sequence[int]
    _answers: list[str]
    _begin_s: float | None
    _came: int

    def conduct(self, runner: LocalRunner | MasterRunner, scenario: Scenario, plan: Plan) -> None:
        """Let this runner's users come by this plan."""
        self._runner = runner
        self._agents_over_s = scenario.head.agents_over.ms / 1000
        self._length_s = plan.length_ms / 1000
        self._firsts = [person.visits[0].at_ms for person in people_of(plan)]
        self.forget(runner.environment)

    def forget(self, environment: Environment) -> None:
        """The play is over; another one may follow."""
        del environment
        self._answers, self._begin_s, self._came = [], None, 0

    def hear(self, environment: Environment, msg: Message) -> None:
        """A worker has brought its office PCs up, or could not: the code tells."""
        del environment
        self._answers.append(msg.data["code"])

    @override
    def tick(self) -> tuple[int, float] | None:
        if self._begin_s is None:
            self._begin_s = self._raised()
        if self._begin_s is None:
            return None
        past_s = time.monotonic() - self._begin_s
        if past_s >= self._length_s:
            return None
        came = max(1, bisect_right(self._firsts, past_s * 1000 + _AHEAD_MS))
        rate, self._came = max(1, came - self._came), came
        return came, float(rate)

    def _raised(self) -> float | None:
        """Let every worker rise, and say when it begins: seconds of the monotonic clock; None in vain."""
        runner = self._runner
        workers = runner.worker_count
        runner.send_message(_RAISE, {"of": workers})
        deadline = time.monotonic() + self._agents_over_s + _ONLINE_S + _LEAD_S
        while len(self._answers) < workers and time.monotonic() < deadline:
            gevent.sleep(_LOOK_S)
        failed = [code for code in self._answers if code]
        if failed or len(self._answers) < workers:
            code = failed[0] if failed else "ABSENT"
            sys.stderr.write(
                f"error[{code}] {len(self._answers) - len(failed)} of {workers} workers are ready\n"
            )
            runner.environment.process_exit_code = entry(code).exit_code
            return None
        runner.send_message(_BEGIN, {"at_s": time.time() + _LEAD_S})
        return time.monotonic() + _LEAD_S


class Share:
    """The employees that this process plays, on generators of their organisations."""

    def __init__(
        self, runner: LocalRunner | WorkerRunner, scenario: Scenario, plan: Plan, prepared: Path
    ) -> None:
        """`prepared`: the folder of `telerelay-loadtest prepare`."""
        self._runner = runner
        self._scenario = scenario
        self._plan = plan
        self._prepared = prepared
        self._generators: list[rust.Generator] = []
        self._listening: list[gevent.Greenlet[..., None]] = []
        self._people: list[Person] = []
        self._begin_ns = 0
        self._begun = Event()
        self._waiting: dict[tuple[int, int], Event] = {}

    # ------------------------------------------------------------ as it is commanded

    def rise(self, environment: Environment, msg: Message) -> None:
        """Bring up this worker's share of the office PCs, and say so when all are there."""
        code = ""
        try:
            self._rise(msg.data["of"])
        except (TelerelayError, rust.GeneratorError) as error:
            sys.stderr.write(f"error[{error.code}] {error.detail}\n")
            code = error.code
        del environment
        self._runner.send_message(_READY, {"code": code})

    def begin(self, environment: Environment, msg: Message) -> None:
        """The play begins at this time of the clock on the wall, which all workers share."""
        del environment
        self._begin_ns = time.monotonic_ns() + int((msg.data["at_s"] - time.time()) * 1e9)
        self._begun.set()

    def close(self, environment: Environment) -> None:
        """End all visits and office PCs, and tell how they ended."""
        del environment
        for generator in self._generators:
            # It takes seconds, in which locust has to go on telling that it lives.
            gevent.get_hub().threadpool.apply(generator.stop)
        gevent.killall(self._listening)
        for number, generator in enumerate(self._generators):
            while self._take(number, generator):
                pass
        self._generators, self._listening = [], []
        self._begun.clear()

    def _rise(self, workers: int) -> None:
        index = self._runner.worker_index % workers
        target = read_target(str(self._prepared / LINE_FILE), ())
        opener = RustGenerators(threads=1, local=is_local(target))
        models, seed = screens_of(self._scenario), self._scenario.head.seed + index
        over_ms = self._scenario.head.agents_over.ms
        self._people.clear()
        wanted = 0
        for number, party in enumerate(self._plan.parties):
            first, end = (party.agents * (index + step) // workers for step in (0, 1))
            self._people += [
                person
                for person in people_of(self._plan)
                if person.organisation == number and first <= person.client < end
            ]
            folder = self._prepared / str(number)
            # Reading everybody's keys takes seconds.
            generator = gevent.get_hub().threadpool.apply(opener, (folder,), {"models": models, "seed": seed})
            self._generators.append(generator)
            self._listening.append(gevent.spawn(self._listen, number, generator))
            generator.start_agents(first=first, count=end - first, spread_ms=over_ms)
            wanted += end - first
        self._people.sort(key=lambda person: person.visits[0].at_ms)
        self._wait_online(wanted, over_ms / 1000 + _ONLINE_S)

    def _wait_online(self, wanted: int, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while (online := sum(generator.counts().online for generator in self._generators)) < wanted:
            if time.monotonic() > deadline:
                raise TelerelayError("ABSENT", f"{online} of {wanted} agents got their ready connection")
            gevent.sleep(_LOOK_S)

    # ------------------------------------------------------------ its users

    def next_person(self) -> Person | None:
        """The employee who comes next and has no user yet."""
        self._begun.wait()
        return self._people.pop(0) if self._people else None

    def attend(self, person: Person) -> None:
        """Play a person's visits, all at their own moments, and wait until they are over."""
        generator = self._generators[person.organisation]
        first = generator.begin(
            [
                rust.Visit(
                    at_ns=self._begin_ns + visit.at_ms * _MS_NS,
                    client=person.client,
                    hold_ms=visit.hold_ms,
                    model=screen_name(visit.screen, visit.link),
                )
                for visit in person.visits
            ]
        )
        own = {(person.organisation, first + place): Event() for place in range(len(person.visits))}
        self._waiting |= own
        try:
            for over in own.values():
                over.wait()
        finally:
            # A user that was stopped takes what is left of its visits with it.
            for key in own:
                if self._waiting.pop(key, None) is not None:
                    generator.end(key[1])

    # ------------------------------------------------------------ what the generator tells

    def _listen(self, number: int, generator: rust.Generator) -> None:
        """Let other greenlets run until there are events."""
        while True:
            wait_read(generator.fd)
            self._take(number, generator)

    def _take(self, number: int, generator: rust.Generator) -> int:
        """Tell locust of every event that waits; how many there were."""
        taken = generator.events()
        for event in taken:
            self._fire(event.stage, event.began_ns, event.ended_ns, event.code)
            if event.stage == STAGES[-1] and not event.code:
                self._fire(SET_UP, event.intended_ns, event.ended_ns, "")
            if event.stage == SESSION or event.code:
                over = self._waiting.pop((number, event.visit), None)
                if over is not None:
                    over.set()
        return len(taken)

    def _fire(self, name: str, began_ns: int, ended_ns: int, code: str) -> None:
        self._runner.environment.events.request.fire(
            request_type=REQUEST,
            name=name,
            response_time=(ended_ns - began_ns) / _MS_NS,
            response_length=0,
            exception=None if code in {"", "DONE"} else TelerelayError(code),
            context={},
            start_time=time.time() - (time.monotonic_ns() - began_ns) / 1e9,
        )


class Employee(User):
    """Somebody who comes when the plan says. Stays to the end: a user who left would be replaced."""

    share: ClassVar[Share]

    @task
    def work(self) -> None:
        """Every visit of the employee who comes next."""
        person = self.share.next_person()
        if person is not None:
            self.share.attend(person)
        Event().wait()


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_conduct)
