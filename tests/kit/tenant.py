"""An organisation with all its keys at hand: signs documents, certifies devices, can be admitted."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from telerelay.authority.devices import DeviceIssuer
from telerelay.authority.organisation import NewOrganisation, new_organisation
from telerelay.authority.profile import certify_agent, certify_client
from telerelay.authority.signing import sign_computer_document, sign_revocations, sign_stamp
from telerelay.documents.storing import store_document
from telerelay.store.engine import Store
from telerelay.store.tables import Organisation
from telerelay_endpoint.certificates import Role, RoleKey, encode_certificate, format_chain
from telerelay_endpoint.keys import key_id, make_key, write_key_file
from telerelay_endpoint.payloads import ComputerDocument, Grant, RevocationList, Rules, Stamp

NOW = 1_800_000_000
DAY = 86_400
RULES = Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=0, view_only=False)


@dataclass(frozen=True)
class Files:
    """A certificate chain and its key, as a dial takes them."""

    chain: Path
    key: Path


@dataclass(frozen=True)
class Tenant:
    """One organisation, one computer of it and one client, as of `now`."""

    now: int = NOW
    name: str = "Kitamachi"
    computer: bytes = field(default_factory=lambda: os.urandom(10))
    agent_key: ec.EllipticCurvePrivateKey = field(default_factory=make_key)
    client_key: ec.EllipticCurvePrivateKey = field(default_factory=make_key)
    rules: Rules = RULES

    @cached_property
    def keys(self) -> NewOrganisation:
        return new_organisation(self.name, self.now)

    def sibling(self, **other: Any) -> "Tenant":
        """The same organisation with another computer, agent or client."""
        tenant = replace(self, **other)
        tenant.__dict__["keys"] = self.keys
        return tenant

    @property
    def id(self) -> bytes:
        return self.keys.organisation

    @property
    def root(self) -> x509.Certificate:
        return self.keys.root.certificate

    @property
    def agent(self) -> bytes:
        return key_id(self.agent_key.public_key())

    @property
    def client(self) -> bytes:
        return key_id(self.client_key.public_key())

    @property
    def issuer(self) -> DeviceIssuer:
        pair = self.keys.roles[RoleKey.ISSUER]
        return DeviceIssuer(self.root, pair.certificate, pair.key)

    def colleague(self) -> "Tenant":
        """The same organisation and computer with another client."""
        other = replace(self, client_key=make_key())
        # Where cached_property keeps what it made.
        other.__dict__["keys"] = self.keys
        return other

    # ------------------------------------------------------------ documents

    def document(
        self,
        version: int = 1,
        grants: Sequence[Grant] | None = None,
        *,
        computer: bytes | None = None,
        expires_in: int = 180 * DAY,
        signer: RoleKey = RoleKey.POLICY,
        rules: Rules | None = None,
    ) -> bytes:
        """A computer document that grants this tenant's client, or `grants`."""
        document = ComputerDocument(
            computer=computer or self.computer,
            agent=self.agent,
            version=version,
            issued=self.now,
            expires=self.now + expires_in,
            grants=tuple([Grant(self.client, "a client")] if grants is None else grants),
            rules=rules or self.rules,
            label="desk 4",
        )
        return sign_computer_document(document, self.keys.signer(signer)).encoded

    def stamp(
        self,
        epoch: int = 1,
        document_version: int = 1,
        revocations_version: int = 1,
        *,
        expires_in: int = 14 * DAY,
    ) -> bytes:
        expires = self.now + expires_in
        stamp = Stamp(self.computer, document_version, revocations_version, epoch, self.now, expires)
        return sign_stamp(stamp, self.keys.signer(RoleKey.FRESHNESS)).encoded

    def revocations(self, version: int = 1, devices: Sequence[bytes] = ()) -> bytes:
        revocations = RevocationList(version, self.now, frozenset(devices))
        return sign_revocations(revocations, self.keys.signer(RoleKey.REVOKER)).encoded

    # ------------------------------------------------------------ certificates

    def chain(self, role: Role) -> list[x509.Certificate]:
        """What the agent, the client, an administrator or the keeper sends."""
        if role in (Role.ADMIN, Role.KEEPER):
            return [self.keys.roles[RoleKey(role)].certificate]
        signer = (self.issuer.certificate, self.issuer.key)
        if role is Role.AGENT:
            leaf = certify_agent(self.agent_key.public_key(), self.computer, *signer, self.now)
        else:
            leaf = certify_client(self.client_key.public_key(), *signer, self.now)
        return [leaf, self.issuer.certificate]

    def files(self, folder: Path, role: Role) -> Files:
        """The files of one role, written into `folder`."""
        keys = {Role.AGENT: self.agent_key, Role.CLIENT: self.client_key}
        devices = {Role.AGENT: self.agent, Role.CLIENT: self.client}
        name = f"{devices.get(role, self.id).hex()[:16]}-{role}"
        written = Files(folder / f"{name}.pem", folder / f"{name}.key")
        if not written.chain.exists():
            written.chain.write_bytes(format_chain(self.chain(role)))
            write_key_file(written.key, keys.get(role) or self.keys.roles[RoleKey(role)].key)
        return written

    async def admit(self, store: Store) -> None:
        """Put the organisation into `store` as the operator would."""
        async with store.writing() as session:
            session.add(Organisation(id=self.id, root=encode_certificate(self.root), admitted=self.now))

    async def publish(self, store: Store) -> None:
        """Put what lets the tenant's client in into `store`, as its administrator and keeper would."""
        documents = (
            (Role.ADMIN, self.document()),
            (Role.ADMIN, self.revocations()),
            (Role.KEEPER, self.stamp()),
        )
        async with store.writing() as session:
            for poster, encoded in documents:
                await store_document(session, self.id, poster, encoded, self.now)
