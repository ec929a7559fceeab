"""What monitoring asks of a running node: where, and whether it should be sent anybody.

Served last, when the node listens and knows whom to let in; until then nobody answers there.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import telerelay_core as core
from telerelay.audit.spool import Spool
from telerelay.metrics.readiness import Readiness
from telerelay.node.bridge import Bridge
from telerelay.node.draining import Draining, State
from telerelay.node.settings import split_address
from telerelay.store.engine import Store
from telerelay_endpoint.errors import TelerelayError


@contextmanager
def bind(address: str) -> Iterator[socket.socket]:
    """A socket that listens on IP:PORT. Raises TelerelayError(ADDRESS_IN_USE, MACHINE)."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        code = "ADDRESS_IN_USE" if error.errno == errno.EADDRINUSE else "MACHINE"
        raise TelerelayError(code, f"{address} (metrics_listen): {error.strerror}") from error
    with listening:
        yield listening


def url(listening: socket.socket) -> str:
    """Where /metrics is."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"


def readiness(node: core.Node, draining: Draining, bridge: Bridge, store: Store, spool: Spool) -> Readiness:
    """A node is ready that takes newcomers, and whose data plane, store and audit do their work.

    `draining` is the reason of one that takes nothing new, whether it will end or not.
    """

    async def newcomers() -> str | None:
        return None if draining.state is State.SERVING else "draining"

    async def data_plane() -> str | None:
        return "the data plane has ended" if bridge.stopped.is_set() else None

    async def memory() -> str | None:
        return "memory is short" if node.statistics()["memory_short"] else None

    async def database() -> str | None:
        try:
            await store.answers()
        except TelerelayError as error:
            return f"the database does not answer: {error.detail}"
        return "the database cannot be written" if store.refusing else None

    async def audit() -> str | None:
        return "audit records cannot be written" if spool.failing else None

    return Readiness([newcomers, data_plane, memory, database, audit])
