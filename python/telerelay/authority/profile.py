"""The certificates of PROTOCOL.md §3: one function each. Whoever calls holds the issuer's key."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from telerelay_endpoint.certificates import NODE_URI, ROLE_URI, RoleKey, computer_uri, public_key
from telerelay_endpoint.keys import key_id
from telerelay_endpoint.limits import LIMITS

CA_LIFE: Final = timedelta(days=LIMITS["ca_d"])
ROLE_LIFE: Final = timedelta(days=LIMITS["role_d"])
LEAF_LIFE: Final = timedelta(days=LIMITS["leaf_d"])
BACKDATED: Final = timedelta(seconds=LIMITS["backdated_s"])
_SERIAL_BITS = 128


def make_root(key: ec.EllipticCurvePrivateKey, name: str, now: int) -> x509.Certificate:
    """An organisation's root. `name` is for people only; two roots of one name are two organisations."""
    return _self_signed(key, name, now, path_length=1)


def make_cluster_ca(key: ec.EllipticCurvePrivateKey, name: str, now: int) -> x509.Certificate:
    """A cluster's CA, the operator's."""
    return _self_signed(key, name, now, path_length=0)


def certify_role(
    role: RoleKey,
    key: ec.EllipticCurvePublicKey,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    now: int,
) -> x509.Certificate:
    """The certificate of a role key, directly under the root."""
    is_issuer = role is RoleKey.ISSUER
    # RFC 5280 §4.1.2.6 wants a CA to have a name; the others are known by their role URI.
    builder = _builder(key, "telerelay issuer" if is_issuer else None, root, now, ROLE_LIFE)
    builder = _constrain(builder, path_length=0 if is_issuer else None)
    builder = _allow(builder, certificates=is_issuer, lists=False)
    if role in (RoleKey.ADMIN, RoleKey.KEEPER):
        builder = _for_use(builder, ExtendedKeyUsageOID.CLIENT_AUTH)
    names = [x509.UniformResourceIdentifier(ROLE_URI + role)]
    return _name(builder, names, critical=not is_issuer).sign(root_key, SHA256())


def certify_agent(
    key: ec.EllipticCurvePublicKey,
    computer: bytes,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: int,
) -> x509.Certificate:
    """The leaf of the agent of one computer (ID of 10 bytes)."""
    builder = _leaf(key, None, issuer, now, ExtendedKeyUsageOID.SERVER_AUTH)
    names = [x509.UniformResourceIdentifier(computer_uri(computer))]
    return _name(builder, names, critical=True).sign(issuer_key, SHA256())


def certify_client(
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: int,
) -> x509.Certificate:
    """The leaf of a client."""
    builder = _leaf(key, "telerelay client", issuer, now, ExtendedKeyUsageOID.CLIENT_AUTH)
    return builder.sign(issuer_key, SHA256())


def certify_node(
    key: ec.EllipticCurvePublicKey,
    name: str,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: int,
) -> x509.Certificate:
    """The leaf of a node; `name` as §2.4 gives it."""
    builder = _leaf(key, None, ca, now, ExtendedKeyUsageOID.SERVER_AUTH)
    names = [x509.DNSName(name), x509.UniformResourceIdentifier(NODE_URI + name)]
    return _name(builder, names, critical=True).sign(ca_key, SHA256())


# ---------------------------------------------------------------- parts of a certificate


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, now: int, path_length: int) -> x509.Certificate:
    builder = _builder(key.public_key(), name, None, now, CA_LIFE)
    builder = _constrain(builder, path_length=path_length)
    return _allow(builder, certificates=True, lists=True).sign(key, SHA256())


def _leaf(
    key: ec.EllipticCurvePublicKey,
    name: str | None,
    issuer: x509.Certificate,
    now: int,
    usage: ObjectIdentifier,
) -> x509.CertificateBuilder:
    builder = _constrain(_builder(key, name, issuer, now, LEAF_LIFE), path_length=None)
    return _for_use(_allow(builder, certificates=False, lists=False), usage)


def _builder(
    key: ec.EllipticCurvePublicKey,
    name: str | None,
    issuer: x509.Certificate | None,
    now: int,
    life: timedelta,
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    issuer_key_id = key_id(public_key(issuer) if issuer else key)
    issued = datetime.fromtimestamp(now, UTC)
    # A leaf that outlives what it hangs on would look valid and be refused.
    end = min(issued + life, issuer.not_valid_after_utc) if issuer else issued + life
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key)
        # At least 1: RFC 5280 §4.1.2.2 wants a positive serial.
        .serial_number(secrets.randbits(_SERIAL_BITS) | 1)
        .not_valid_before(issued - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier(key_id(key)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(issuer_key_id, None, None), critical=False)
    )


def _constrain(builder: x509.CertificateBuilder, path_length: int | None) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=path_length is not None, path_length=path_length)
    return builder.add_extension(constraints, critical=True)


def _allow(builder: x509.CertificateBuilder, *, certificates: bool, lists: bool) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=lists,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return builder.add_extension(usage, critical=True)


def _for_use(builder: x509.CertificateBuilder, usage: ObjectIdentifier) -> x509.CertificateBuilder:
    return builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)


def _name(
    builder: x509.CertificateBuilder, names: Sequence[x509.GeneralName], *, critical: bool
) -> x509.CertificateBuilder:
    # RFC 5280 §4.2.1.6: critical exactly where the subject is empty.
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=critical)
