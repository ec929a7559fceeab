"""A peer that runs: its processes, ended by their IDs, and the generator whose sessions go through it."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Final, Self

from tests.bench.driver import PROGRAM
from tests.bench.peers.generator import Generator
from tests.bench.peers.ground import Ground
from tests.bench.peers.install import CARGO, DEBIAN, GO, libraries
from tests.bench.peers.peer import Peer

_FIRST_PORT: Final = 3_000
_PORTS_EACH: Final = 4
_READY_S: Final = 15.0
_STOP_S: Final = 3.0
_LOOK_S: Final = 0.05
_LISTENS: Final = "0A"
"""The state of a listening socket in /proc/net/tcp."""


class PeerError(Exception):
    """A peer did not start, or has ended."""


class RunningPeer:
    """A peer between homes and an office that are both in its generator."""

    def __init__(self, peer: Peer, number: int, ground: Ground, folder: Path) -> None:
        """`number`: of all peers of the run; `folder`: where each of them has a folder."""
        self.name = peer.name
        self.title = peer.title
        self._peer = peer
        self._ground = ground
        self._folder = folder / f"{number}-{peer.name}"
        front, control, back = (_FIRST_PORT + _PORTS_EACH * number + port for port in range(3))
        self._words = {
            "front": f"{ground.relay_for_homes}:{front}",
            "host": ground.relay_for_homes,
            "port": str(front),
            "back": f"{ground.office}:{back}",
            "back_host": ground.office,
            "back_port": str(back),
            "control": str(control),
            "folder": str(self._folder),
            "debian": str(DEBIAN.resolve()),
            "cargo": str(CARGO.resolve()),
            "go": str(GO.resolve()),
            "load": str(PROGRAM.resolve()),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._generator: Generator | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir()
        for name, text in self._peer.files.items():
            (self._folder / name).write_text(self._filled(text))
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    # ------------------------------------------------------------ what is measured

    @property
    def generator(self) -> Generator:
        """Whose sessions go through it."""
        assert self._generator is not None, "it was not started"
        return self._generator

    def watched(self) -> Mapping[str, Sequence[int]]:
        """The processes of each part. Raises PeerError where one has ended."""
        for role, process in self._processes.items():
            if process.poll() is not None:
                raise PeerError(f"{role} of {self.name} ended with {process.returncode}: {self._said(role)}")
        return {role: family(process.pid) for role, process in self._processes.items()}

    def check(self, done: Mapping[str, object]) -> None:
        """A peer has one kind of path."""

    # ------------------------------------------------------------ its life

    def _start(self) -> None:
        to = self._words["front"]
        if self._peer.relay:
            self._spawn("relay", self._peer.relay, self._ground.before)
            # Some listen for homes only once their agent has come, others for nobody else.
            self._listens("control", "port", needed=any)
        else:
            to = f"{self._ground.office_for_homes}:{self._words['back_port']}"
        if self._peer.agent:
            self._spawn("agent", self._peer.agent)
            self._listens("control", "port", needed=all)
        tls = self._folder.parent / "tls"
        files = ("--tls", tls / "ca.pem", tls / "office.pem") if self._peer.has_tls else ()
        self._generator = Generator("plain", "--to", to, "--office", self._words["back"], *files)

    def _spawn(self, role: str, command: str, before: Sequence[str] = ()) -> None:
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": libraries(),
            "HOME": str(self._folder),
            "RUST_LOG": "error",
        }
        with (self._folder / f"{role}.log").open("wb") as log:
            self._processes[role] = subprocess.Popen(
                [*before, *shlex.split(self._filled(command))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def _filled(self, text: str) -> str:
        return Template(text).substitute(self._words)

    def _listens(self, *ports: str, needed: Callable[[Iterable[bool]], bool]) -> None:
        """Return when somebody listens there. Looked up: a connection would go on to the office."""
        relay, wanted = self._processes["relay"], [f":{int(self._words[port]):04X}" for port in ports]
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            self.watched()
            sockets = map(str.split, Path(f"/proc/{relay.pid}/net/tcp").read_text().splitlines())
            listening = {fields[1][-5:] for fields in sockets if fields[3] == _LISTENS}
            if needed(port in listening for port in wanted):
                return
            time.sleep(_LOOK_S)
        raise PeerError(f"{self.name} does not listen: {self._said('relay')} {self._said('agent')}")

    def _said(self, role: str) -> str:
        log = self._folder / f"{role}.log"
        return log.read_text(errors="replace")[-500:] if log.exists() else ""

    def _stop(self) -> None:
        if self._generator is not None:
            self._generator.stop()
        # The agent first: a relay that is gone would be dialled again.
        for process in reversed(self._processes.values()):
            end(process)


def family(pid: int) -> list[int]:
    """A process and whatever it started."""
    children: Iterable[str] = ()
    # One that has ended has no file.
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        children = [*children, *task.read_text().split()]
    return [pid, *(member for child in children for member in family(int(child)))]


def end(process: subprocess.Popen[bytes]) -> None:
    """A process and whatever it started, in order, then at once."""
    members = family(process.pid)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for member in members:
            try:
                os.kill(member, sent)
            except ProcessLookupError:
                continue
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            continue
