"""The cluster as this node stands for it: its CA, the successor's key, the node's certificate, the node list.

The first start makes all of it in DATA/cluster. `successor.key` belongs off the machine: the day the CA's key
is lost or stolen, it is what endpoints go on to trust (PROTOCOL.md §3.3).
"""

import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay import __version__
from telerelay.authority.cluster import ClusterAuthority, new_cluster
from telerelay.authority.signing import Signer, sign_nodes
from telerelay.node.settings import split_address
from telerelay.store import tables
from telerelay_endpoint import cose, files
from telerelay_endpoint.certificates import (
    NODE_URI,
    CertificateRefusedError,
    format_chain,
    parse_chain,
    verify_node_certificate,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import create_key_file, load_key_file, write_key_file
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import ADDRESSES_MAXIMUM, ListedNode, NodeAddress, NodeList

RENEW_S: Final = LIMITS["node_certificate_renew_d"] * 86_400
PROGRAM: Final = f"telerelay/{__version__}"


@dataclass(frozen=True)
class Cluster:
    """The files of DATA/cluster."""

    authority: ClusterAuthority
    successor: ec.EllipticCurvePublicKey
    folder: Path

    @property
    def chain_file(self) -> Path:
        """The node's leaf and the CA, PEM."""
        return self.folder / "node.pem"

    @property
    def key_file(self) -> Path:
        """The node's key, PKCS#8 PEM of mode 0600."""
        return self.folder / "node.key"

    @property
    def successor_file(self) -> Path:
        """The successor's private key, until it is moved away."""
        return self.folder / "successor.key"

    def node_signer(self) -> Signer:
        """The node's own key, which signs checkpoints. Raises TelerelayError(KEY_FILE)."""
        leaf = parse_chain(self.chain_file.read_bytes())[0]
        return Signer(self.authority.signer.organisation, leaf, load_key_file(self.key_file))

    def line(self, node: NodeAddress) -> ClusterLine:
        """What an administrator needs to know: pins and this node's addresses."""
        return ClusterLine(self.authority.pins(self.successor), (node,))

    def expiries(self) -> dict[str, int]:
        """When the certificates of node and CA expire, Unix seconds, by the names of monitoring."""
        leaf, ca = parse_chain(self.chain_file.read_bytes())
        return {
            "node_certificate_expires": int(leaf.not_valid_after_utc.timestamp()),
            "ca_certificate_expires": int(ca.not_valid_after_utc.timestamp()),
        }

    def certify(self, name: str, now: int) -> None:
        """See to it that the node's certificate is there, for `name`, and lives on for RENEW_S.

        Raises TelerelayError(KEY_FILE, MACHINE).
        """
        key = (
            load_key_file(self.key_file) if self.key_file.exists() else create_key_file(self.key_file)
        ).public_key()
        if not _serves(self.chain_file, key, name, now):
            _write(self.chain_file, format_chain(self.authority.certify_node(key, name, now)))

    def require_own(self, name: str, now: int) -> None:
        """Raises TelerelayError(CERTIFICATE) where the node's certificate is not `name`'s at `now`."""
        try:
            leaf = parse_chain(self.chain_file.read_bytes())[0]
            verify_node_certificate(leaf, self.authority.certificate, name, now)
        except CertificateRefusedError as error:
            raise TelerelayError("CERTIFICATE", f"{self.chain_file}: {error}") from error


def open_cluster(folder: Path, now: int) -> Cluster:
    """The cluster in `folder`, made there where there is none. `now` in Unix seconds.

    Raises TelerelayError: KEY_FILE, CERTIFICATE, MACHINE.
    """
    if not folder.exists():
        _found(folder, now)
    try:
        (certificate,) = parse_chain((folder / "ca.pem").read_bytes())
        successor = load_pem_public_key((folder / "successor.pub").read_bytes())
    except OSError as error:
        raise TelerelayError("CERTIFICATE", f"{error.filename}: {error.strerror}") from error
    except (CertificateRefusedError, ValueError) as error:
        raise TelerelayError("CERTIFICATE", f"{folder}: {error}") from error
    if not isinstance(successor, ec.EllipticCurvePublicKey):
        raise TelerelayError("CERTIFICATE", f"{folder / 'successor.pub'} holds no P-256 key")
    return Cluster(ClusterAuthority(certificate, load_key_file(folder / "ca.key")), successor, folder)


def node_address(name: str, advertised: Sequence[str], listening: Sequence[str]) -> NodeAddress:
    """How endpoints reach this node: as the operator advertises, else where it listens."""
    return NodeAddress(
        name, tuple(advertised or dict.fromkeys(map(_reachable, listening)))[:ADDRESSES_MAXIMUM]
    )


async def publish_node_list(session: AsyncSession, cluster: Cluster, node: NodeAddress, now: int) -> int:
    """See to it that the stored node list holds this node as it is now; its version."""
    nodes = (ListedNode(node, PROGRAM),)
    pin = cluster.authority.signer.organisation
    row = await session.get(tables.NodeList, pin, with_for_update=True)
    if row is None:
        row = tables.NodeList(cluster=pin, version=0, body=b"")
        session.add(row)
    elif NodeList.decode(cose.take_apart(row.body).payload).nodes == nodes:
        return row.version
    row.version += 1
    row.body = sign_nodes(NodeList(row.version, now, nodes), cluster.authority.signer).encoded
    return row.version


def _found(folder: Path, now: int) -> None:
    """Make CA and successor beside the folder and put them there whole: a crash leaves no half cluster."""
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    authority, successor = new_cluster(now)
    public = successor.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        files.make_private_folder(unfinished)
        write_key_file(unfinished / "ca.key", authority.key)
        write_key_file(unfinished / "successor.key", successor)
        _write(unfinished / "successor.pub", public)
        _write(unfinished / "ca.pem", format_chain([authority.certificate]))
        unfinished.rename(folder)
    except OSError as error:
        raise TelerelayError("MACHINE", f"{error.filename}: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        files.replace(path, content)
    except OSError as error:
        raise TelerelayError("MACHINE", f"{path} cannot be written: {error.strerror}") from error


def _serves(chain_file: Path, key: ec.EllipticCurvePublicKey, name: str, now: int) -> bool:
    try:
        leaf = parse_chain(chain_file.read_bytes())[0]
    except FileNotFoundError:
        return False
    except CertificateRefusedError as error:
        raise TelerelayError("CERTIFICATE", f"{chain_file}: {error}") from error
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        leaf.public_key() == key
        and NODE_URI + name in names.get_values_for_type(x509.UniformResourceIdentifier)
        and leaf.not_valid_after_utc.timestamp() - now > RENEW_S
    )


def _reachable(listening: str) -> str:
    host, port = split_address(listening)
    return f"{socket.gethostname()}:{port}" if ip_address(host).is_unspecified else listening
