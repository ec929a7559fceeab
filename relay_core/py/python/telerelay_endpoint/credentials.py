"""The credential folder of whoever dials: its key, its chain, its organisation's root, its cluster."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography import x509

from telerelay_core import CoreError, Dial, format_computer_id, parse_computer_id
from telerelay_endpoint import files, foreign_json
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    Role,
    RoleKey,
    device_id,
    format_chain,
    organisation_id,
    parse_chain,
    verify_device_chain,
    verify_role_certificate,
    verify_root,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import key_id, load_key_file
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress, node_fields, read_node
from telerelay_endpoint.strict_cbor import FormRefusedError, byte_string

KEY_FILE = "device.key"
CHAIN_FILE = "chain.pem"
ROOT_FILE = "root.pem"
RELAY_FILE = "relay.json"
_SCHEMA = "telerelay.relay/1"
_READABLE = 0o644


@dataclass(frozen=True)
class Relay:
    """Which cluster to dial, and as whom. `computer`: 10 bytes, an agent's own."""

    role: Role
    cluster: ClusterLine
    label: str
    computer: bytes | None = None

    def save(self, folder: Path) -> None:
        """Write relay.json. Raises OSError."""
        record = {
            "schema": _SCHEMA,
            "role": self.role,
            "label": self.label,
            "computer": None if self.computer is None else format_computer_id(self.computer),
            "pins": [pin.hex() for pin in self.cluster.pins],
            "nodes": [node_fields(node) for node in self.cluster.nodes],
        }
        content = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        files.replace(folder / RELAY_FILE, content.encode(), _READABLE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read relay.json. Raises TelerelayError: CERTIFICATE when there is none, USAGE when it is bad."""
        path = folder / RELAY_FILE
        try:
            return cls._parse(foreign_json.read(path.read_bytes()))
        except FileNotFoundError:
            raise TelerelayError(
                "CERTIFICATE", f"{folder} is not enrolled: {RELAY_FILE} is missing"
            ) from None
        except (ValueError, KeyError, TypeError, CoreError) as error:
            raise TelerelayError("USAGE", f"{path} does not fit: {error}") from error

    @classmethod
    def _parse(cls, record: Any) -> Self:
        if record["schema"] != _SCHEMA:
            raise FormRefusedError(f"schema is not {_SCHEMA}")
        current, successor = (byte_string(bytes.fromhex(pin), 32, "pin") for pin in record["pins"])
        computer = record["computer"]
        return cls(
            role=Role(record["role"]),
            cluster=ClusterLine((current, successor), tuple(read_node(node) for node in record["nodes"])),
            label=str(record["label"]),
            computer=None if computer is None else parse_computer_id(computer),
        )


@dataclass(frozen=True)
class Credentials:
    """Everything that an enrolled endpoint, administrator or keeper is known by. `chain` is what it sends."""

    folder: Path
    relay: Relay
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate

    @property
    def organisation(self) -> bytes:
        """Organisation ID, 32 bytes."""
        return organisation_id(self.root)

    @property
    def device(self) -> bytes:
        """Device ID, 32 bytes."""
        return device_id(self.chain[0])

    def dial(self, nodes: tuple[NodeAddress, ...] | None = None) -> Dial:
        """The way to the cluster, with the own certificate; to other `nodes` than the enrolment's if given.

        Raises TelerelayError(KEY_FILE, CERTIFICATE).
        """
        return open_dial(self.relay.cluster, self.folder, nodes)


def load_credentials(folder: Path, now: int, relay: Relay | None = None) -> Credentials:
    """Read a folder and check that everything in it belongs together and is valid at `now` (Unix seconds).

    `relay` stands in for a relay.json that is still to be written.
    Raises TelerelayError: CERTIFICATE (not enrolled, expired, does not fit), KEY_FILE, USAGE.
    """
    relay = relay or Relay.load(folder)
    try:
        chain = tuple(parse_chain((folder / CHAIN_FILE).read_bytes()))
        (root,) = parse_chain((folder / ROOT_FILE).read_bytes())
        _verify(relay, chain, root, now)
    except FileNotFoundError as error:
        raise TelerelayError("CERTIFICATE", f"{error.filename} is missing") from None
    except (CertificateRefusedError, ValueError) as error:
        raise TelerelayError("CERTIFICATE", f"{folder}: {error}") from error
    if key_id(load_key_file(folder / KEY_FILE).public_key()) != device_id(chain[0]):
        raise TelerelayError("CERTIFICATE", f"{folder}: {KEY_FILE} is not the key of {CHAIN_FILE}")
    return Credentials(folder, relay, chain, root)


def save_chain(folder: Path, chain: tuple[x509.Certificate, ...], root: x509.Certificate) -> None:
    """Write chain.pem and root.pem. Raises OSError."""
    files.replace(folder / ROOT_FILE, format_chain([root]), _READABLE)
    files.replace(folder / CHAIN_FILE, format_chain(chain), _READABLE)


def open_dial(
    cluster: ClusterLine, folder: Path | None, nodes: tuple[NodeAddress, ...] | None = None
) -> Dial:
    """The way to a cluster, with the certificate of `folder` or, before enrolment, without one.

    Raises TelerelayError(KEY_FILE, CERTIFICATE).
    """
    try:
        return Dial(
            nodes=[(node.name, list(node.addresses)) for node in nodes or cluster.nodes],
            pins=cluster.pins,
            chain=folder / CHAIN_FILE if folder else None,
            key=folder / KEY_FILE if folder else None,
        )
    except CoreError as error:
        raise TelerelayError.from_core(error) from error


def _verify(relay: Relay, chain: tuple[x509.Certificate, ...], root: x509.Certificate, now: int) -> None:
    verify_root(root)
    if relay.role in (Role.ADMIN, Role.KEEPER):
        (leaf,) = chain
        verify_role_certificate(leaf, root, RoleKey(relay.role), now)
        return
    leaf, issuer = chain
    identity = verify_device_chain(leaf, issuer, root, now)
    if identity.role is not relay.role or identity.computer != relay.computer:
        raise CertificateRefusedError(f"the certificate is not that of the {relay.role} in {RELAY_FILE}")
