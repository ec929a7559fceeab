"""What a lying node does by hand, leg by leg, where the relay of `node` would do what is right."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from tests.kit.hostile.node.leg import Leg

Act = Callable[[Leg], Awaitable[None]]
ATTEMPT = bytes(range(5)).hex()


class FirstLeg:
    """Acts on the first leg that comes; every later one waits for its end. `done`: the act is over."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._began = False
        self.done = asyncio.Event()
        self.later: list[Leg] = []

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The fields of every SESSION_END on a later leg."""
        frames = (frame for leg in self.later for frame in leg.heard)
        return [frame.fields for frame in frames if frame.name == "SESSION_END"]

    async def __call__(self, leg: Leg) -> None:
        if self._began:
            self.later.append(leg)
            await leg.ended()
            return
        self._began = True
        await self._act(leg)
        self.done.set()
        await leg.ended()


async def pair_client(leg: Leg) -> bytes:
    """Tell a client that it is paired, with nobody. Gives the path."""
    await leg.expect("CONNECT")
    path = os.urandom(16)
    await leg.send("PAIRED", path=path.hex())
    return path


async def ask_agent(leg: Leg, client: bytes, **said: Any) -> bytes:
    """INCOMING in the name of a client (device ID). Gives the path."""
    path = os.urandom(16)
    asked = {
        "path": path.hex(),
        "attempt": ATTEMPT,
        "client": client.hex(),
        "service": "rfb",
        "address": "198.51.100.7:40000",
        "program": "telerelay-client/0.1.0",
    }
    await leg.send("INCOMING", **asked | said)
    return path


async def pair_agent(leg: Leg, client: bytes) -> bytes:
    """Pair an agent that accepts, with nobody. Gives the path."""
    path = await ask_agent(leg, client)
    await leg.expect("ACCEPT")
    await leg.send("PAIRED", path=path.hex())
    return path
