"""An organisation with all its keys in memory: signs whatever a test needs, right or wrong."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from telerelay.authority.organisation import NewOrganisation, new_organisation
from telerelay.authority.signing import sign_computer_document, sign_revocations, sign_stamp
from telerelay.store.engine import Store
from telerelay.store.tables import Organisation
from telerelay_endpoint.certificates import RoleKey, encode_certificate
from telerelay_endpoint.payloads import ComputerDocument, Grant, RevocationList, Rules, Stamp

NOW = 1_800_000_000
DAY = 86_400
RULES = Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=0, view_only=False)


@dataclass(frozen=True)
class Tenant:
    """One organisation, one computer of it and one client, as of NOW."""

    keys: NewOrganisation = field(default_factory=lambda: new_organisation("Kitamachi", NOW))
    computer: bytes = field(default_factory=lambda: os.urandom(10))
    agent: bytes = field(default_factory=lambda: os.urandom(32))
    client: bytes = field(default_factory=lambda: os.urandom(32))

    @property
    def id(self) -> bytes:
        return self.keys.organisation

    def document(
        self,
        version: int = 1,
        grants: Sequence[Grant] | None = None,
        *,
        computer: bytes | None = None,
        expires: int = NOW + 180 * DAY,
        signer: RoleKey = RoleKey.POLICY,
    ) -> bytes:
        """A computer document that grants this tenant's client, or `grants`."""
        document = ComputerDocument(
            computer=computer or self.computer,
            agent=self.agent,
            version=version,
            issued=NOW,
            expires=expires,
            grants=tuple([Grant(self.client, "a client")] if grants is None else grants),
            rules=RULES,
            label="desk 4",
        )
        return sign_computer_document(document, self.keys.signer(signer)).encoded

    def stamp(
        self,
        epoch: int = 1,
        document_version: int = 1,
        revocations_version: int = 1,
        expires: int = NOW + 14 * DAY,
    ) -> bytes:
        stamp = Stamp(self.computer, document_version, revocations_version, epoch, NOW, expires)
        return sign_stamp(stamp, self.keys.signer(RoleKey.FRESHNESS)).encoded

    def revocations(self, version: int = 1, devices: Sequence[bytes] = ()) -> bytes:
        revocations = RevocationList(version, NOW, frozenset(devices))
        return sign_revocations(revocations, self.keys.signer(RoleKey.REVOKER)).encoded

    async def admit(self, store: Store) -> None:
        """Put the organisation into `store` as the operator would."""
        root = encode_certificate(self.keys.root.certificate)
        async with store.writing() as session:
            session.add(Organisation(id=self.id, root=root, admitted=NOW))
