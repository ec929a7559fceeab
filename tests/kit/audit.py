"""A node's audit without the node: a cluster that certifies it, a notary, heads."""

import functools
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from telerelay.audit.chain import Head
from telerelay.audit.checkpoints import Notary
from telerelay.authority.cluster import ClusterAuthority, new_cluster
from telerelay.authority.signing import Signer
from telerelay_endpoint.keys import make_key


@dataclass(frozen=True)
class Office:
    """A cluster and one node of it."""

    authority: ClusterAuthority
    signer: Signer
    node: str

    @property
    def ca(self) -> x509.Certificate:
        return self.authority.certificate

    def notary(self, folder: Path) -> Notary:
        """Keeps its newest checkpoint in `folder`."""
        return Notary(self.signer, folder / f"{self.node}.checkpoint")

    def head(self) -> Head:
        """Before the node's first record."""
        return Head.of_nothing(self.node)


@functools.cache
def office(node: str = "n1") -> Office:
    """A node of a cluster of its own."""
    now = int(time.time())
    authority, _ = new_cluster(now)
    key = make_key()
    leaf = authority.certify_node(key.public_key(), node, now)[0]
    return Office(authority, Signer(authority.signer.organisation, leaf, key), node)
