"""A throw-away organisation: made here, admitted by the operator, and as a folder that the generator reads.

The folder holds everybody's private keys, as relay_core/load/src/tenant.rs tells; nobody needs it behind the
run. Computers are numbered from 0, and the first ones may be reached, each by a client of its own.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telerelay.authority.organisation import new_organisation
from telerelay.authority.profile import certify_agent, certify_client
from telerelay.authority.signing import sign_computer_document, sign_revocations, sign_stamp
from telerelay.org.api import OrganisationApi, Overview
from telerelay_core import Dial, format_computer_id
from telerelay_endpoint.certificates import RoleKey, encode_certificate, format_chain
from telerelay_endpoint.documents import COMPUTER_LIFE_S, STAMP_LIFE_S
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.files import PRIVATE, make_private_folder
from telerelay_endpoint.keys import key_id, make_key, write_key_file
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import COMPUTER_SIZE, ComputerDocument, Grant, RevocationList, Rules, Stamp

ROOT_FILE: Final = "root.pem"
"""What the operator admits."""
_PUBLISHERS: Final = 8
"""Connections that post documents: the node writes what comes together in one transaction."""
_RULES: Final = Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=0, view_only=False)
_ASK_AGAIN_S: Final = 1.0
"""How often the node is asked whether the operator has admitted it."""


@dataclass(frozen=True)
class _Desk:
    """An office PC and, where somebody may reach it, that person's device."""

    computer: bytes
    agent: ec.EllipticCurvePrivateKey
    client: ec.EllipticCurvePrivateKey | None


class ThrowAway:
    """An organisation that exists for one run. Nothing of it is written before `write_root`."""

    def __init__(self, name: str, folder: Path) -> None:
        """`name` is for people. `folder` is made, or has to be empty."""
        self.name = name
        self.folder = folder
        self._now = int(time.time())
        self._keys = new_organisation(name, self._now)

    @property
    def id(self) -> bytes:
        """Organisation ID, 32 bytes."""
        return self._keys.organisation

    @property
    def root(self) -> x509.Certificate:
        """Its root."""
        return self._keys.root.certificate

    def write_root(self) -> Path:
        """Write what the operator admits, and the keys of administrator and keeper beside it."""
        make_private_folder(self.folder)
        path = self.folder / ROOT_FILE
        path.write_bytes(self.root.public_bytes(Encoding.PEM))
        for role in (RoleKey.ADMIN, RoleKey.KEEPER):
            pair = self._keys.roles[role]
            (self.folder / f"{role}.pem").write_bytes(format_chain([pair.certificate]))
            write_key_file(self.folder / f"{role}.key", pair.key)
        return path

    def wait_until_admitted(self, line: ClusterLine, within_s: float) -> int | None:
        """Ask the cluster until it knows this organisation. Raises TelerelayError(CERTIFICATE) in vain.

        When its admission for a test ends (Unix seconds); None: it was not admitted for one.
        """
        deadline = time.monotonic() + within_s
        while (known := self._overview(line)) is None:
            if time.monotonic() > deadline:
                raise TelerelayError(
                    "CERTIFICATE", f"the operator has not admitted organisation {self.id.hex()[:12]}…"
                )
            time.sleep(_ASK_AGAIN_S)
        return known.until

    def _overview(self, line: ClusterLine) -> Overview | None:
        """What the cluster says of this organisation; None while it does not let its administrator in."""
        try:
            with self._api(line, RoleKey.ADMIN) as api:
                return api.overview()
        except TelerelayError as error:
            # TLS 1.3: our side stands before the node has looked at the certificate, so what it thinks of
            # it may come as a connection that breaks. That a node answers at all was seen before.
            if error.code in ("CERTIFICATE", "UNREACHABLE"):
                return None
            raise

    def prepare(
        self,
        line: ClusterLine,
        *,
        agents: int,
        clients: int,
        tell: Callable[[int], None] = lambda _done: None,
    ) -> None:
        """Write everybody's keys and publish what lets clients in, once the operator has admitted it.

        `clients`: how many of the `agents` computers somebody may reach. `tell` is given how many documents
        are published by then. Raises TelerelayError.
        """
        desks = [
            _Desk(number.to_bytes(COMPUTER_SIZE), make_key(), make_key() if number < clients else None)
            for number in range(agents)
        ]
        self._write(line, desks)
        self._publish(line, desks[:clients], tell)

    # ------------------------------------------------------------ its folder

    def _write(self, line: ClusterLine, desks: Sequence[_Desk]) -> None:
        for part in ("agents", "clients"):
            make_private_folder(self.folder / part)
        (self.folder / "root.der").write_bytes(encode_certificate(self.root))
        (self.folder / "cluster.json").write_text(_cluster(line))
        issuer = self._keys.roles[RoleKey.ISSUER]
        signer = (issuer.certificate, issuer.key, self._now)
        for desk in desks:
            name = f"{format_computer_id(desk.computer)}.pem"
            leaf = certify_agent(desk.agent.public_key(), desk.computer, *signer)
            _write_device(self.folder / "agents" / name, [leaf, issuer.certificate], desk.agent)
            if desk.client is not None:
                leaf = certify_client(desk.client.public_key(), *signer)
                _write_device(self.folder / "clients" / name, [leaf, issuer.certificate], desk.client)

    # ------------------------------------------------------------ what routing asks for

    def _publish(self, line: ClusterLine, desks: Sequence[_Desk], tell: Callable[[int], None]) -> None:
        """The revocation list, then for each computer a document that grants, and its stamp."""
        with self._api(line, RoleKey.ADMIN) as admin:
            revocations = RevocationList(1, self._now, frozenset())
            admin.post_document(sign_revocations(revocations, self._keys.signer(RoleKey.REVOKER)).encoded)
        published = [0] * _PUBLISHERS

        def publish(number: int) -> None:
            with self._api(line, RoleKey.ADMIN) as admin, self._api(line, RoleKey.KEEPER) as keeper:
                for desk in desks[number::_PUBLISHERS]:
                    admin.post_document(self._document(desk))
                    keeper.post_document(self._stamp(desk))
                    published[number] += 1
                    tell(sum(published))

        with ThreadPoolExecutor(_PUBLISHERS) as publishers:
            # Whatever failed is raised here.
            list(publishers.map(publish, range(_PUBLISHERS)))

    def _document(self, desk: _Desk) -> bytes:
        if desk.client is None:
            raise AssertionError("nobody is granted this computer")
        document = ComputerDocument(
            computer=desk.computer,
            agent=key_id(desk.agent.public_key()),
            version=1,
            issued=self._now,
            expires=self._now + COMPUTER_LIFE_S,
            grants=(Grant(key_id(desk.client.public_key()), "load"),),
            rules=_RULES,
            label="load",
        )
        return sign_computer_document(document, self._keys.signer(RoleKey.POLICY)).encoded

    def _stamp(self, desk: _Desk) -> bytes:
        stamp = Stamp(desk.computer, 1, 1, 1, self._now, self._now + STAMP_LIFE_S)
        return sign_stamp(stamp, self._keys.signer(RoleKey.FRESHNESS)).encoded

    def _api(self, line: ClusterLine, role: RoleKey) -> OrganisationApi:
        nodes = [(node.name, list(node.addresses)) for node in line.nodes]
        chain, key = self.folder / f"{role}.pem", self.folder / f"{role}.key"
        return OrganisationApi(Dial(nodes=nodes, pins=line.pins, chain=chain, key=key))


def _cluster(line: ClusterLine) -> str:
    nodes = [{"name": node.name, "addresses": list(node.addresses)} for node in line.nodes]
    return json.dumps({"nodes": nodes, "pins": [pin.hex() for pin in line.pins]})


def _write_device(path: Path, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> None:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(PRIVATE)
    path.write_bytes(format_chain(chain) + secret)
