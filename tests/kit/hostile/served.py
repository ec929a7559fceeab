"""The agent program in this process, its documents and its log included, towards a node that may lie."""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from structlog import wrap_logger
from structlog.testing import CapturingLogger

from telerelay.authority.organisation import NewOrganisation
from telerelay.authority.signing import sign_computer_document, sign_revocations, sign_stamp
from telerelay_agent import run
from telerelay_agent.desktop import Desktop
from telerelay_agent.documents import OwnDocuments
from telerelay_endpoint.certificates import Role, RoleKey, parse_chain
from telerelay_endpoint.credentials import KEY_FILE, Relay, load_credentials, save_chain
from telerelay_endpoint.documents import Clock
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import ComputerDocument, Grant, NodeAddress, RevocationList, Rules, Stamp
from tests.kit.condition import eventually
from tests.kit.hostile.world import World

DAY = 86_400
_RULES = Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=0, view_only=False)


@dataclass
class Documents:
    """What an organisation signs about this world's computer, as often and as wrongly as a test wants."""

    world: World
    issued: int = field(default_factory=lambda: int(time.time()))

    def computer(
        self,
        version: int = 1,
        *,
        of: NewOrganisation | None = None,
        signer: RoleKey = RoleKey.POLICY,
        computer: bytes | None = None,
        agent: bytes | None = None,
    ) -> bytes:
        """A computer document that grants this world's client."""
        document = ComputerDocument(
            computer=computer or self.world.computer,
            agent=agent or self.world.agent_certificate.id,
            version=version,
            issued=self.issued,
            expires=self.issued + 180 * DAY,
            grants=(Grant(self.world.client_certificate.id, "home PC"),),
            rules=_RULES,
            label=f"version {version}",
        )
        return sign_computer_document(document, self._keys(of).signer(signer)).encoded

    def stamp(
        self,
        document: int = 1,
        revocations: int = 1,
        *,
        epoch: int = 1,
        of: NewOrganisation | None = None,
        signer: RoleKey = RoleKey.FRESHNESS,
    ) -> bytes:
        """A stamp of these versions, good for 14 days."""
        expires = self.issued + 14 * DAY
        stamp = Stamp(self.world.computer, document, revocations, epoch, self.issued, expires)
        return sign_stamp(stamp, self._keys(of).signer(signer)).encoded

    def revocations(
        self,
        version: int = 1,
        *devices: bytes,
        of: NewOrganisation | None = None,
        signer: RoleKey = RoleKey.REVOKER,
    ) -> bytes:
        """A revocation list."""
        revoked = RevocationList(version, self.issued, frozenset(devices))
        return sign_revocations(revoked, self._keys(of).signer(signer)).encoded

    def serve(self, **documents: bytes) -> None:
        """Let the node's API give these out, by their kind, and no others of these kinds."""
        for kind, encoded in documents.items():
            self.world.gate.api.lay_out(f"GET /v1/documents/{kind}", (200, encoded))

    def _keys(self, of: NewOrganisation | None) -> NewOrganisation:
        return of or self.world.office.keys


class ServedAgent:
    """`telerelay-agent run` on an enrolled folder. `clock` is ahead of the wall's by `ahead` seconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ahead = 0
        self.clock = Clock(lambda: time.time() + self.ahead)
        self.said = CapturingLogger()
        own = world.agent_certificate
        folder = world.folder / "agent"
        # A second start finds what the first one left.
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(own.key, folder / KEY_FILE)
        leaf, issuer = parse_chain(own.chain.read_bytes())
        save_chain(folder, (leaf, issuer), world.office.keys.root.certificate)
        line = ClusterLine(world.cluster.pins, (NodeAddress("first", (world.gate.address,)),))
        relay = Relay(Role.AGENT, line, "desk 4", own.computer)
        self.credentials = load_credentials(folder, int(time.time()), relay)
        self.own = OwnDocuments(self.credentials, self.clock)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [call.kwargs for call in self.said.calls if call.kwargs["event"] == event]

    async def says(self, event: str, count: int = 1) -> dict[str, Any]:
        """The line of this event with this number, counted from 1."""
        try:
            await eventually(lambda: len(self.lines(event)) >= count)
        except TimeoutError:
            raise AssertionError(f"no {event} number {count} among {self.said.calls}") from None
        return self.lines(event)[count - 1]


@asynccontextmanager
async def served_agent(world: World) -> AsyncIterator[ServedAgent]:
    """Run it from its first ready connection on until it was told to stop."""
    agent = ServedAgent(world)
    log = wrap_logger(agent.said, processors=[])
    serving = asyncio.create_task(
        run._serve(agent.credentials, agent.own, agent.clock, Desktop(world.desktop.address), "auto", log)
    )
    try:
        await agent.says("online")
        yield agent
    finally:
        # As the service manager tells it; the handler is the program's own.
        signal.raise_signal(signal.SIGTERM)
        await serving
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
