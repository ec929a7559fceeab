"""The keys of a new organisation: its root and one key for each role (PROTOCOL.md §3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from telerelay.authority.profile import certify_role, make_root
from telerelay.authority.signing import Signer
from telerelay_endpoint.certificates import RoleKey, organisation_id
from telerelay_endpoint.keys import make_key


@dataclass(frozen=True)
class KeyPair:
    """A private key and the certificate of its public half."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True)
class NewOrganisation:
    """All that exists on the first day, nothing of it written anywhere yet."""

    root: KeyPair
    roles: Mapping[RoleKey, KeyPair]

    @property
    def organisation(self) -> bytes:
        """Organisation ID, 32 bytes."""
        return organisation_id(self.root.certificate)

    def signer(self, role: RoleKey) -> Signer:
        """Signs documents of that role."""
        pair = self.roles[role]
        return Signer(self.organisation, pair.certificate, pair.key)


def new_organisation(name: str, now: int) -> NewOrganisation:
    """Make every key. `name` is for people only, `now` in Unix seconds."""
    root_key = make_key()
    root = make_root(root_key, name, now)
    roles: dict[RoleKey, KeyPair] = {}
    for role in RoleKey:
        key = make_key()
        roles[role] = KeyPair(key, certify_role(role, key.public_key(), root, root_key, now))
    return NewOrganisation(KeyPair(root_key, root), roles)
