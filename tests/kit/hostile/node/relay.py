"""The honest pairing of legs (PROTOCOL.md §5), with a place at each step where a test may put a lie."""

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.kit.decoder.frames import Frame
from tests.kit.hostile.node.leg import Leg

Direction = Literal["to_agent", "to_client"]
_GAP_WAIT_S = 3
Tamper = Callable[[Direction, bytes], Iterable[bytes]]


def passed_on(_direction: Direction, piece: bytes) -> list[bytes]:
    """What an honest node does with a PATH frame."""
    return [piece]


@dataclass
class Pairing:
    """One path, and everything that crossed it, as the node saw it."""

    path: bytes
    attempt: str
    agent: Leg
    client: Leg
    to_agent: list[bytes] = field(default_factory=list)
    to_client: list[bytes] = field(default_factory=list)

    def crossed(self, direction: Direction) -> bytes:
        """All ciphertext of one direction."""
        return b"".join(self.to_agent if direction == "to_agent" else self.to_client)


@dataclass
class Relay:
    """Joins whoever asks with whoever is there. `computers`: the agent's device ID of each computer ID."""

    computers: dict[bytes, bytes] = field(default_factory=dict)
    incoming: dict[str, Any] = field(default_factory=dict)
    """What INCOMING says otherwise than an honest node's."""
    path: bytes | None = None
    """The path of every pairing, where it is not a new one each time."""
    paired_client: dict[str, Any] = field(default_factory=dict)
    """What PAIRED says to the client otherwise than to the agent."""
    tamper: Tamper = passed_on
    recording: bool = True
    ready: dict[bytes, "_AgentLeg"] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    pairings: list[Pairing] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    """The fields of every SESSION_END."""

    async def serve(self, leg: Leg) -> None:
        """Have one leg from WELCOME to its end."""
        if leg.hello["role"] == "agent":
            await _AgentLeg(self, leg).run()
        else:
            await self._serve_client(leg)

    async def claim(self, device: bytes) -> "_AgentLeg":
        """Take the ready connection of a device, as soon as there is one. Raises TimeoutError."""
        async with asyncio.timeout(_GAP_WAIT_S), self.changed:
            await self.changed.wait_for(lambda: device in self.ready)
            return self.ready.pop(device)

    async def _serve_client(self, leg: Leg) -> None:
        frame = await leg.receive()
        if frame is None:
            return
        assert frame.name == "CONNECT", frame
        asked = frame.fields
        try:
            agent = await self.claim(self.computers[bytes.fromhex(asked["computer"])])
        except TimeoutError:
            await leg.send("ERROR", code="ABSENT", server_time=1, attempt=asked["attempt"], retry=15)
            return
        path = self.path or os.urandom(16)
        honest = {
            "path": path.hex(),
            "attempt": asked["attempt"],
            "client": leg.device.hex(),
            "service": asked["service"],
            "address": "198.51.100.7:40000",
            "program": leg.hello["program"],
        }
        answer = await agent.ask(**honest | self.incoming)
        if answer.name == "REFUSE":
            code = answer.fields["code"]
            await leg.send("ERROR", code=code, server_time=1, attempt=asked["attempt"], retry=15)
            return
        assert answer.fields["path"] == path.hex()
        pairing = Pairing(path, asked["attempt"], agent.leg, leg)
        self.pairings.append(pairing)
        agent.pairing = pairing
        await agent.leg.send("PAIRED", path=path.hex())
        await leg.send("PAIRED", **{"path": path.hex()} | self.paired_client)
        async for frame in leg.frames():
            await self.forward(pairing, "to_agent", frame)
        agent.leg.close()

    async def forward(self, pairing: Pairing, direction: Direction, frame: Frame) -> None:
        """A frame came on a leg that is a path."""
        assert frame.name == "PATH", f"{frame.name} on a path"
        piece = bytes.fromhex(frame.fields["bytes"])
        if self.recording:
            (pairing.to_agent if direction == "to_agent" else pairing.to_client).append(piece)
        leg = pairing.agent if direction == "to_agent" else pairing.client
        for passed in self.tamper(direction, piece):
            await leg.send_path(passed)


class _AgentLeg:
    """A leg of an agent: ready, asked, and then the half of a path."""

    def __init__(self, relay: Relay, leg: Leg) -> None:
        self.relay = relay
        self.leg = leg
        self.pairing: Pairing | None = None
        self._answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        await self._get_ready()
        async for frame in self.leg.frames():
            await self._take(frame)
        if self.relay.ready.get(self.leg.device) is self:
            del self.relay.ready[self.leg.device]
        if self.pairing is not None:
            self.pairing.client.close()

    async def ask(self, **fields: Any) -> Frame:
        """INCOMING; the agent's ACCEPT or REFUSE."""
        self._answer = asyncio.get_running_loop().create_future()
        await self.leg.send("INCOMING", **fields)
        return await self._answer

    async def _take(self, frame: Frame) -> None:
        match frame.name:
            case "KEEPALIVE":
                if frame.fields["ask"]:
                    await self.leg.send("KEEPALIVE", ask=False)
            case "SESSION_END":
                self.relay.reports.append(frame.fields)
            case "ACCEPT":
                self._answer.set_result(frame)
            case "REFUSE":
                self._answer.set_result(frame)
                await self._get_ready()
            case "ERROR":
                # The last frame of its leg. Who lied looks for it among what the leg has heard.
                return
            case _:
                assert self.pairing is not None, frame
                await self.relay.forward(self.pairing, "to_client", frame)

    async def _get_ready(self) -> None:
        async with self.relay.changed:
            self.relay.ready[self.leg.device] = self
            self.relay.changed.notify_all()
