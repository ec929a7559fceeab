"""What an operator signs with: the cluster's CA, its successor, node certificates (PROTOCOL.md §3)."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from telerelay.authority.profile import certify_node, make_cluster_ca
from telerelay.authority.signing import Signer
from telerelay_endpoint.certificates import organisation_id
from telerelay_endpoint.keys import key_id, make_key

CLUSTER_NAME = "telerelay cluster"


@dataclass(frozen=True)
class ClusterAuthority:
    """The CA of a cluster with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def signer(self) -> Signer:
        """Signs node lists."""
        return Signer(organisation_id(self.certificate), self.certificate, self.key)

    def pins(self, successor: ec.EllipticCurvePublicKey) -> tuple[bytes, bytes]:
        """What endpoints know the cluster by (§3.3): 32 bytes each, the CA's first."""
        return organisation_id(self.certificate), key_id(successor)

    def certify_node(self, key: ec.EllipticCurvePublicKey, name: str, now: int) -> list[x509.Certificate]:
        """The chain that a node sends: its leaf, the CA. `name` as §2.4 gives it, `now` in Unix seconds."""
        return [certify_node(key, name, self.certificate, self.key, now), self.certificate]


def new_cluster(now: int) -> tuple[ClusterAuthority, ec.EllipticCurvePrivateKey]:
    """A CA and its successor's key, which belongs off this machine."""
    key = make_key()
    return ClusterAuthority(make_cluster_ca(key, CLUSTER_NAME, now), key), make_key()
