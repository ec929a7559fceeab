"""What a benchmark stands on: a real node with a throw-away organisation, fleets of agents and clients."""

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.bench import probed, tenant
from tests.bench.driver import Driver, DriverError
from tests.bench.machine import cpu_s
from tests.kit.node import TELERELAY, NodeProcess

AGENTS_A_PROCESS: Final = 4_500
"""A driver has fewer than 20,000 descriptors, and an agent may take four."""
SESSIONS_A_PROCESS: Final = 3_600
"""The same of the homes' side of a session, which takes five."""
_AGENTS_FROM: Final = "127.1.0.0/16"
_CLIENTS_FROM: Final = "127.2.0.0/16"
CORE_VARIABLE: Final = "PYTHONPATH"
"""Where `make bench` has the core as it is delivered; without it the node loads that of the tests."""
_READY_S: Final = 240.0
_SETTLED_S: Final = 60.0
_LOOK_S: Final = 0.1
_BACKGROUND: Final = 5
"""The niceness of what is load only: on a machine this small it would measure itself otherwise.

A third of the processor's share of whoever is measured: with less, handshakes run into the node's deadlines.
"""

_CROWD_EVERY_MS: Final = 10_000
"""Between two keys of a person who mostly looks: thousands leave the machine room for whoever is measured."""
_CROWD_PER_S: Final = 80

_Seen = TypeVar("_Seen")


class Scene:
    """One node and what is done to it. Whatever was started ends with `open_scene`."""

    def __init__(self, node: NodeProcess, folder: Path, probe: Path | None, ends: ExitStack) -> None:
        self.node = node
        self.folder = folder
        self._probe = probe
        self._ends = ends

    # ------------------------------------------------------------ fleets

    def agents(self, count: int, *, first: int = 0, niceness: int = 0) -> list[Driver]:
        """Agents that stay, in as many processes as they need. They have begun to dial."""
        shares = range(first, first + count, AGENTS_A_PROCESS)
        return [
            self._start(
                *("agents", self.folder, "--first", str(begin), "--from", _AGENTS_FROM),
                *("--count", str(min(AGENTS_A_PROCESS, first + count - begin))),
                niceness=niceness,
            )
            for begin in shares
        ]

    def ready_agents(self, count: int, *, first: int = 0) -> list[Driver]:
        """As `agents`; all are ready, and the node has told and written down what belongs to that."""
        fleets = self.agents(count, first=first, niceness=_BACKGROUND)
        for fleet in fleets:
            fleet.wait("ready", _READY_S, lambda line: line["percent"] == 100)
        self.settled(first + count)
        return fleets

    def storm(self, count: int, *, first: int = 0) -> list[Driver]:
        """As `agents`, as load only."""
        return self.agents(count, first=first, niceness=_BACKGROUND)

    def office(self, number: int, desktop: str, *, guarded: bool, marked: bool = False) -> Driver:
        """One agent in a process of its own, in front of a desktop ("HOST:PORT"); it is online.

        `marked`: its guard draws the screen anew, with a mark.
        """
        guard = [switch for switch, wanted in (("--guarded", guarded), ("--marked", marked)) if wanted]
        agent = self._start(
            *("agents", self.folder, "--first", str(number), "--count", "1", "--desktop", desktop), *guard
        )
        agent.wait("ready", _READY_S, lambda line: line["percent"] == 100)
        return agent

    def sessions(
        self, count: int, *, first: int = 0, every_ms: int = 50, per_s: int = 20, niceness: int = 0
    ) -> Driver:
        """Sessions of so many clients, each with so much to do, `per_s` begun each second; all are open."""
        held = self._start(
            *("hold", self.folder, "--sessions", str(count), "--every", str(every_ms)),
            *("--first", str(first), "--rate", str(per_s), "--from", _CLIENTS_FROM),
            niceness=niceness,
        )
        opened = held.wait("ready", _READY_S)
        if opened["sessions"] != count:
            raise DriverError(f"of {count} sessions {opened['sessions']} were opened: {opened['failed']}")
        # Its first second is not a whole one.
        held.wait("second", _READY_S, lambda line: line["due"] > 0)
        return held

    def crowd(self, count: int, *, first: int) -> list[Driver]:
        """As `sessions`, as load only, in as many processes as they need, each with little to do."""
        return [
            self.sessions(
                min(SESSIONS_A_PROCESS, first + count - begin),
                first=begin,
                every_ms=_CROWD_EVERY_MS,
                per_s=_CROWD_PER_S,
                niceness=_BACKGROUND,
            )
            for begin in range(first, first + count, SESSIONS_A_PROCESS)
        ]

    def set_ups(self, rate: float, seconds: float, *, clients: int, first: int = 0) -> Driver:
        """Set-ups at a rate, each by the next of `clients`."""
        return self._start(
            *("connect", self.folder, "--rate", str(rate), "--count", str(round(rate * seconds))),
            *("--clients", str(clients), "--first", str(first), "--from", _CLIENTS_FROM),
        )

    def handshakes(self, *arrivals: str, clients: int, seconds: float, cluster: Path | None = None) -> Driver:
        """Bare handshakes, `--rate R` or `--concurrency N`."""
        elsewhere: tuple[str | Path, ...] = ("--cluster", cluster) if cluster else ()
        return self._start(
            *("handshakes", self.folder, "--clients", str(clients), "--for", str(seconds)),
            *("--from", _CLIENTS_FROM, *arrivals, *elsewhere),
        )

    def reference(self, cluster: Path) -> Driver:
        """The server that does handshakes and nothing else; it listens."""
        server = self._start("reference", self.folder, "--cluster", cluster)
        server.wait("listening", _READY_S)
        return server

    def _start(self, *arguments: str | Path, niceness: int = 0) -> Driver:
        return self._ends.enter_context(Driver(*arguments, niceness=niceness))

    # ------------------------------------------------------------ the node

    @property
    def pid(self) -> int:
        """The node's process."""
        return self.node.process.pid

    def cpu_s(self) -> float:
        """What the node's process has used of processors, in seconds."""
        return cpu_s(self.pid)

    def settled(self, agents: int, attempts: int = 0) -> Mapping[str, int]:
        """The node's counts once all agents are known, and told, and everything is written down."""

        def counts() -> Mapping[str, int] | None:
            found = self.node.statistics()
            waiting = ("newcomers_waiting", "sightings_waiting", "audit_backlog_bytes")
            still = any(found[name] for name in waiting) or found["attempts"] > attempts
            return found if found["agents_present"] >= agents and not still else None

        return until(counts, _SETTLED_S, "the node came to rest")

    def lateness(self) -> Mapping[str, float]:
        """How late the event loop was since the last question, in seconds (`probed.py`)."""
        return self._ask("lateness")

    def hold_gil(self, seconds: float) -> None:
        """Return when a thread of the node has held the GIL so long."""
        self._ask(f"hold {seconds}")

    def _ask(self, question: str) -> dict[str, float]:
        assert self._probe is not None, "the node was not started with a probe"
        with socket.socket(socket.AF_UNIX) as door, door.makefile("rb") as answers:
            door.connect(str(self._probe))
            door.sendall(question.encode() + b"\n")
            answer: dict[str, float] = json.loads(answers.readline())
            return answer


@contextmanager
def open_scene(
    *,
    agents: int,
    clients: int,
    sessions: int | None = None,
    settings: Mapping[str, str] | None = None,
    probe: bool = False,
    address: str | None = None,
    before: Sequence[str] = (),
) -> Iterator[Scene]:
    """A node that admitted an organisation of so many agents; the first `clients` have a client each.

    `sessions`: how many it may have at once, where not as many as any organisation. `settings`: more of the
    node's environment. `probe`: run it so that `lateness` and `hold_gil` answer. `address`: where it listens,
    `before`: a command that runs it otherwise.
    """
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="telerelay-bench-")))
        folder.chmod(0o700)
        door = folder / "probe.sock" if probe else None
        program = (sys.executable, str(Path(probed.__file__))) if probe else (TELERELAY,)
        environment = {**(settings or {}), **({probed.SOCKET_VARIABLE: str(door)} if probe else {})}
        if released := os.environ.get(CORE_VARIABLE):
            environment[CORE_VARIABLE] = str(Path(released).resolve())
        node = NodeProcess(folder, program=(*before, *program), environment=environment)
        node.address = address or node.address
        ends.enter_context(node)
        organisation = folder / "organisation"
        tenant.prepare(
            node.data / "control.sock", organisation, agents=agents, clients=clients, sessions=sessions
        )
        yield Scene(node, organisation, door, ends)


def until(look: Callable[[], _Seen | None], timeout_s: float, what: str) -> _Seen:
    """What `look` sees as soon as it is not None. Raises DriverError."""
    deadline = time.monotonic() + timeout_s
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise DriverError(f"{timeout_s:g} s passed, and not yet: {what}")
        time.sleep(_LOOK_S)
    return seen


def whole_seconds(held: Driver, begin: float, end: float) -> list[Mapping[str, Any]]:
    """The lines of seconds that lie wholly between two moments (monotonic)."""
    return [line for line in held.lines("second") if begin + 1 <= line["at"] <= end and line["due"] > 0]


def wait_until(moment: float) -> None:
    """Return at that moment (monotonic)."""
    time.sleep(max(moment - time.monotonic(), 0.0))
