"""An organisation with a device that runs `telerelay prove`, and the computers that it tries."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from telerelay.authority.signing import sign_computer_document
from telerelay.demo.desktop import Desktop
from telerelay.demo.programs import Commands, Program
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role, RoleKey, encode_certificate
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.payloads import ComputerDocument, Grant, Rules
from telerelay_endpoint.timetable import Span, Timetable
from tests.kit.ended import Ended, run_to_end
from tests.kit.hostile.certified import Certified
from tests.kit.hostile.endpoints import online, running_agent
from tests.kit.machines import Machines
from tests.kit.node import NodeProcess
from tests.kit.tenant import DAY, RULES, Tenant

NEVER: Final = Timetable(0, (Span(7, 0, 1),))
"""The hours of holidays, and no day is one."""
NO_DESKTOP: Final = "127.0.0.1:9"


@dataclass(frozen=True)
class Office:
    """An organisation at a node, with a granted device that tries."""

    node: NodeProcess
    tenant: Tenant
    home: Path

    @classmethod
    def admitted(cls, node: NodeProcess, home: Path) -> "Office":
        """A new one, with its revocation list. Nothing is published yet."""
        tenant = Tenant(now=int(time.time()))
        node.admit(tenant)
        with node.organisation(tenant, Role.ADMIN) as admin:
            admin.post_document(tenant.revocations())
        return cls(node, tenant, home)

    @property
    def machines(self) -> Machines:
        return Machines(self.node, self.tenant, self.home)

    @property
    def commands(self) -> Commands:
        return Commands.under(self.home)

    def publish(self, rules: Rules = RULES, *, grants: tuple[Grant, ...] | None = None) -> None:
        """What an agent and a node go by, beside the organisation's revocation list."""
        tenant, granted = self.tenant, (Grant(self.tenant.client, "auditor"),)
        document = ComputerDocument(
            computer=tenant.computer,
            agent=tenant.agent,
            version=1,
            issued=tenant.now,
            expires=tenant.now + DAY,
            grants=granted if grants is None else grants,
            rules=rules,
            label="desk",
        )
        with self.node.organisation(tenant, Role.ADMIN) as admin:
            admin.post_document(sign_computer_document(document, tenant.keys.signer(RoleKey.POLICY)).encoded)
        with self.node.organisation(tenant, Role.KEEPER) as keeper:
            keeper.post_document(tenant.stamp())

    def other(self, home: str) -> "Office":
        """The same device's other computer."""
        return replace(
            self,
            tenant=self.tenant.sibling(computer=os.urandom(10), agent_key=make_key()),
            home=self.home / home,
        )

    def publish_refused(self) -> tuple["Office", Sequence[str]]:
        """Three more computers, at which this device must be refused: the closed one, and options for all."""
        closed, expired, foreign = self.other("closed"), self.other("expired"), self.other("foreign")
        closed.publish(replace(RULES, hours=NEVER))
        expired.publish(grants=(Grant(self.tenant.client, "auditor", not_after=self.tenant.now - 1),))
        foreign.publish(grants=())
        closed_and_expired = ("--closed", closed.computer, "--expired", expired.computer)
        return closed, (*closed_and_expired, "--not-granted", foreign.computer)

    @property
    def computer(self) -> str:
        return format_computer_id(self.tenant.computer)

    @asynccontextmanager
    async def open_agent(self, desktop: Desktop) -> AsyncIterator[None]:
        """An agent without a guard."""
        files, line = self.tenant.files(self.node.folder, Role.AGENT), self.node.line(self.tenant)
        leaf = self.tenant.chain(Role.AGENT)[0]
        own = Certified(files.chain, files.key, leaf, self.tenant.agent, self.tenant.computer)
        dial = {"nodes": [(node.name, list(node.addresses)) for node in line.nodes], "pins": list(line.pins)}
        address = f"{desktop.host}:{desktop.port}"
        async with running_agent(own, encode_certificate(self.tenant.root), dial, address) as agent:
            await online(agent)
            yield

    @asynccontextmanager
    async def proving(self, desktop: Desktop | None, *options: str) -> AsyncIterator[Program]:
        """The command as it runs."""
        async with self._watching(desktop).running("prove", *self._command(desktop, *options)) as program:
            yield program

    async def prove(self, desktop: Desktop | None, *options: str) -> Ended:
        """The command to its end; `desktop` is watched."""
        return await run_to_end(self._watching(desktop), *self._command(desktop, *options))

    def _command(self, desktop: Desktop | None, *options: str) -> tuple[str, ...]:
        watch = () if desktop is None else ("--watch", desktop.display)
        places = ("--data", str(self.machines.folder(Role.CLIENT)), "--out", str(self.home / "report"))
        return ("telerelay", "prove", self.computer, *watch, *places, *options)

    def _watching(self, desktop: Desktop | None) -> Commands:
        if desktop is None:
            return self.commands
        cookies = {"XAUTHORITY": str(desktop.folder / "Xauthority")}
        return replace(self.commands, environment={**self.commands.environment, **cookies})
