"""Devices and nodes with their certificates, as enrolment would have given them, in files."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay.authority.cluster import ClusterAuthority, new_cluster
from telerelay.authority.organisation import NewOrganisation, new_organisation
from telerelay.authority.profile import certify_agent, certify_client
from telerelay_endpoint.certificates import RoleKey, encode_certificate
from telerelay_endpoint.keys import key_id, make_key, write_key_file


@dataclass(frozen=True)
class Certified:
    """A key with its chain, in files of its own. `id`: the device ID, 32 bytes."""

    chain: Path
    key: Path
    leaf: x509.Certificate
    id: bytes
    computer: bytes = b""

    @property
    def der(self) -> bytes:
        return encode_certificate(self.leaf)


@dataclass(frozen=True)
class Office:
    """An organisation, with its root's key at hand."""

    folder: Path
    keys: NewOrganisation = field(default_factory=lambda: new_organisation("Kitamachi", int(time.time())))

    @property
    def root(self) -> bytes:
        return encode_certificate(self.keys.root.certificate)

    def agent(self, computer: bytes | None = None) -> Certified:
        """The agent of a computer (ID of 10 bytes), by default of a new one."""
        computer = computer or os.urandom(10)
        issuer = self.keys.roles[RoleKey.ISSUER]
        key = make_key()
        leaf = certify_agent(key.public_key(), computer, issuer.certificate, issuer.key, int(time.time()))
        return put(self.folder, key, [leaf, issuer.certificate], computer)

    def client(self) -> Certified:
        """A client."""
        issuer = self.keys.roles[RoleKey.ISSUER]
        key = make_key()
        leaf = certify_client(key.public_key(), issuer.certificate, issuer.key, int(time.time()))
        return put(self.folder, key, [leaf, issuer.certificate])


class Cluster:
    """A cluster's CA with its pins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority: ClusterAuthority
        self.authority, successor = new_cluster(int(time.time()))
        self.pins = self.authority.pins(successor.public_key())

    def node(self, name: str = "first") -> Certified:
        """A node of this cluster."""
        key = make_key()
        return put(self.folder, key, self.authority.certify_node(key.public_key(), name, int(time.time())))


def put(
    folder: Path, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate], computer: bytes = b""
) -> Certified:
    """Write a key and its chain into files."""
    identity = key_id(key.public_key())
    place = folder / identity.hex()[:16]
    place.mkdir(parents=True)
    write_key_file(place / "key.pem", key)
    (place / "chain.pem").write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in chain))
    return Certified(place / "chain.pem", place / "key.pem", chain[0], identity, computer)
