"""The relay beside its peers: a real node with an organisation, whose agents and clients the ends are."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench import tenant
from tests.bench.peers.generator import Generator
from tests.bench.peers.ground import Ground
from tests.bench.scene import CORE_VARIABLE, until
from tests.kit.node import TELERELAY, NodeProcess

PAIRS: Final = 300
"""A device may have 64 legs and ask 30 times a minute, a process has 20,000 descriptors: 9,000 sessions."""
SESSIONS: Final = 30 * PAIRS
KINDS: Final = ("wrapped", "mixed", "direct")
"""Of a path, as the node tells them."""
SPLICED: Final = 0.95
"""The least share of the bytes of bulk that is spliced."""
_PORT: Final = 2_443
_LEFT_S: Final = 30.0


class NotDirectError(Exception):
    """The node says something else of the paths, or of how bytes went, than what is claimed."""


class Ours:
    """Sessions through one node: direct, or wrapped as they are before that."""

    def __init__(self, name: str, title: str, node: NodeProcess, generator: Generator, kind: str) -> None:
        self.name = name
        self.title = title
        self.node = node
        self.generator = generator
        self._kind = kind
        self._spliced = self._carried = 0

    @property
    def pid(self) -> int:
        """The node."""
        return self.node.process.pid

    def watched(self) -> Mapping[str, Sequence[int]]:
        """The node is all of the relay."""
        counted = self.node.statistics()
        self._spliced, self._carried = _moved(counted)
        return {"relay": [self.pid]}

    def check(self, done: Mapping[str, object]) -> None:
        """Raises NotDirectError unless every session is of the kind that is claimed, and bulk was spliced."""
        counted = self.node.statistics()
        live = live_paths(counted)
        others = sum(count for kind, count in live.items() if kind != self._kind)
        sessions = done["sessions"]
        if done["kind"] != self._kind or others or live[self._kind] < int(str(sessions)):
            raise NotDirectError(f"{sessions} sessions are to be {self._kind}, and the node has {live}")
        if self._kind == "direct" and "fairness" in done:
            spliced, carried = (
                now - before for now, before in zip(_moved(counted), self._before(), strict=True)
            )
            if spliced < SPLICED * carried:
                raise NotDirectError(f"of {carried} bytes {spliced} were spliced")

    def _before(self) -> tuple[int, int]:
        return self._spliced, self._carried


def live_paths(counted: Mapping[str, int]) -> dict[str, int]:
    """By kind the paths that a node has, whoever they are for."""
    return {
        kind: sum(count for name, count in counted.items() if name.startswith(f"live_paths.{kind}."))
        for kind in KINDS
    }


def _moved(counted: Mapping[str, int]) -> tuple[int, int]:
    """Bytes that were spliced, and all bytes."""
    return counted["engine.bytes_spliced"], counted["bytes_to_client"] + counted["bytes_to_agent"]


@contextmanager
def open_node(ground: Ground, folder: Path) -> Iterator[tuple[NodeProcess, Path]]:
    """A node on the ground, on the relay's core, and the folder of an organisation with `PAIRS` pairs."""
    folder.mkdir()
    released = os.environ.get(CORE_VARIABLE)
    environment = {
        "TELERELAY_NODE_WORKERS": "1",
        "TELERELAY_NODE_ADVERTISE": f"{ground.relay_for_offices}:{_PORT}",
        # Sessions are made before they are measured.
        "TELERELAY_NODE_ARRIVALS_PER_S": "100000",
        "TELERELAY_NODE_HANDSHAKES_PER_S": "100000",
        **({CORE_VARIABLE: str(Path(released).resolve())} if released else {}),
    }
    node = NodeProcess(folder, program=(*ground.before, TELERELAY), environment=environment)
    node.address = f"0.0.0.0:{_PORT}"
    with node:
        organisation = folder / "organisation"
        control = node.data / "control.sock"
        tenant.prepare(control, organisation, agents=PAIRS, clients=PAIRS, sessions=2 * SESSIONS)
        yield node, organisation


@contextmanager
def open_ours(
    ground: Ground, node: NodeProcess, organisation: Path, *, wrapped: bool = False
) -> Iterator[Ours]:
    """Sessions through the node."""
    kind = "wrapped" if wrapped else "direct"
    way: list[str | Path] = ["relay", organisation, "--pairs", str(PAIRS)]
    way += ["--clients-to", f"{ground.relay_for_homes}:{_PORT}"]
    if wrapped:
        way.append("--wrapped")
    before = live_paths(node.statistics())[kind]
    generator = Generator(*way)
    try:
        title = "telerelay, both legs in TLS" if wrapped else "telerelay, direct"
        yield Ours(f"telerelay-{kind}", title, node, generator, kind)
    finally:
        generator.stop()
    until(lambda: live_paths(node.statistics())[kind] <= before or None, _LEFT_S, "its sessions were over")
