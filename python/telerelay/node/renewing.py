"""The node's certificate, made anew in time while the node runs: nobody who is connected notices."""

import asyncio
import time
from typing import Final

import structlog

from telerelay.audit.checkpoints import Notary
from telerelay.node.cluster import Cluster
from telerelay.node.core import Shown
from telerelay_core import CoreError
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

LOOK_S: Final = LIMITS["expiry_look_s"]


class Renewing:
    """Looks at the files of DATA/cluster now and then, and when asked; what is new there is shown."""

    def __init__(self, cluster: Cluster, name: str, data_plane: Shown, notary: Notary) -> None:
        self._cluster = cluster
        self._name = name
        self._data_plane = data_plane
        self._notary = notary
        self._asked = asyncio.Event()
        self._shown = cluster.chain_file.read_bytes()
        self._expiries = cluster.expiries()
        self._log = structlog.get_logger("node")

    def ask(self) -> None:
        """Look now: the operator has put another certificate there, or taken it away."""
        self._asked.set()

    def statistics(self) -> dict[str, int]:
        """When what is shown expires: node and CA, Unix seconds."""
        return dict(self._expiries)

    async def watch(self) -> None:
        """Work until cancelled. What cannot be used is told, and the certificate that is shown stays."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                self._look(int(time.time()))
            except (TelerelayError, CoreError) as error:
                self._log.error("the node's certificate stays as it was", code=error.code, reason=str(error))

    def _look(self, now: int) -> None:
        self._cluster.certify(self._name, now)
        found = self._cluster.chain_file.read_bytes()
        if found == self._shown:
            return
        self._cluster.require_own(self._name, now)
        # A checkpoint counts only where its signer's certificate was valid at that time.
        self._notary.signer = self._cluster.node_signer()
        self._data_plane.show(self._cluster.chain_file, self._cluster.key_file)
        self._shown, self._expiries = found, self._cluster.expiries()
        self._log.info("another certificate is shown")
