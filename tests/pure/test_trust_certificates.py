"""Every certificate has the profile of PROTOCOL.md §3, and only those are taken for what they are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from telerelay.authority.cluster import new_cluster
from telerelay.authority.organisation import new_organisation
from telerelay.authority.profile import certify_agent, certify_client
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import (
    CertificateExpiredError,
    CertificateRefusedError,
    Role,
    RoleKey,
    device_id,
    encode_certificate,
    format_chain,
    organisation_id,
    parse_certificate,
    parse_chain,
    verify_device_chain,
    verify_role_certificate,
    verify_root,
)
from telerelay_endpoint.keys import key_id, make_key
from tests.kit.organisations import COMPUTER, NOW, issuer_of

ORGANISATION = new_organisation("City of Example", NOW)
ROOT = ORGANISATION.root.certificate
ISSUER = issuer_of(ORGANISATION)
CLUSTER, SUCCESSOR = new_cluster(NOW)
KEY = make_key()
AGENT = certify_agent(KEY.public_key(), COMPUTER, ISSUER.certificate, ISSUER.key, NOW)
CLIENT = certify_client(KEY.public_key(), ISSUER.certificate, ISSUER.key, NOW)
NODE = CLUSTER.certify_node(KEY.public_key(), "tokyo-1", NOW)[0]
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Profile:
    """One row of the table in §3."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    path_length: int | None
    signs: tuple[bool, bool, bool]  # digitalSignature, keyCertSign, cRLSign
    usage: x509.ObjectIdentifier | None
    names: tuple[str, ...]
    years: int
    subject: str


CERTIFY = (False, True, False)
CERTIFY_AND_LIST = (False, True, True)
SIGN = (True, False, False)
CLIENT_AUTH, SERVER_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def role(name: RoleKey, usage: x509.ObjectIdentifier | None = None) -> Profile:
    certificate = ORGANISATION.roles[name].certificate
    if name is RoleKey.ISSUER:
        names = (f"telerelay-role:{name}",)
        return Profile(certificate, ROOT, 0, CERTIFY, None, names, 5, "CN=telerelay issuer")
    return Profile(certificate, ROOT, None, SIGN, usage, (f"telerelay-role:{name}",), 5, "")


PROFILES = {
    "root": Profile(ROOT, ROOT, 1, CERTIFY_AND_LIST, None, (), 20, "CN=City of Example"),
    "issuer": role(RoleKey.ISSUER),
    "policy": role(RoleKey.POLICY),
    "revoker": role(RoleKey.REVOKER),
    "freshness": role(RoleKey.FRESHNESS),
    "admin": role(RoleKey.ADMIN, CLIENT_AUTH),
    "keeper": role(RoleKey.KEEPER, CLIENT_AUTH),
    "agent": Profile(
        AGENT,
        ISSUER.certificate,
        None,
        SIGN,
        SERVER_AUTH,
        (f"telerelay-computer:{format_computer_id(COMPUTER)}",),
        2,
        "",
    ),
    "client": Profile(CLIENT, ISSUER.certificate, None, SIGN, CLIENT_AUTH, (), 2, "CN=telerelay client"),
    "cluster CA": Profile(
        CLUSTER.certificate, CLUSTER.certificate, 0, CERTIFY_AND_LIST, None, (), 20, "CN=telerelay cluster"
    ),
    "node": Profile(
        NODE, CLUSTER.certificate, None, SIGN, SERVER_AUTH, ("tokyo-1", "telerelay-node:tokyo-1"), 2, ""
    ),
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_certificate_has_its_profile(profile: Profile) -> None:
    certificate = profile.certificate
    certificate.verify_directly_issued_by(profile.issuer)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert certificate.version is x509.Version.v3
    assert isinstance(certificate.signature_hash_algorithm, SHA256)
    assert 0 < certificate.serial_number < 2**128
    assert certificate.subject.rfc4514_string() == profile.subject
    extensions = certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(profile.path_length is not None, profile.path_length)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_cert_sign, usage.value.crl_sign) == profile.signs
    others = (usage.value.content_commitment, usage.value.key_encipherment, usage.value.data_encipherment)
    assert not any((*others, usage.value.key_agreement))
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest == key_id(key)
    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier == organisation_id(profile.issuer)
    assert authority.authority_cert_issuer is None
    assert authority.authority_cert_serial_number is None
    usages = [item for item in extensions if isinstance(item.value, x509.ExtendedKeyUsage)]
    assert [list(item.value) for item in usages] == ([[profile.usage]] if profile.usage else [])
    names = [item for item in extensions if isinstance(item.value, x509.SubjectAlternativeName)]
    assert [[name.value for name in item.value] for item in names] == (
        [list(profile.names)] if profile.names else []
    )
    # RFC 5280 §4.2.1.6: critical exactly where the subject is empty.
    assert all(item.critical == (profile.subject == "") for item in names)
    assert len(extensions) == 4 + len(usages) + len(names)
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(NOW - 3600, UTC)
    life = certificate.not_valid_after_utc - datetime.fromtimestamp(NOW, UTC)
    assert profile.years * YEAR <= life <= profile.years * YEAR + timedelta(days=profile.years / 4 + 1)


def test_serials_are_random() -> None:
    serials = {new_cluster(NOW)[0].certificate.serial_number for _ in range(8)}
    assert len(serials) == 8
    assert max(serials).bit_length() > 100


def test_a_leaf_does_not_outlive_its_issuer() -> None:
    late = NOW + 4 * 365 * 86_400
    leaf = certify_client(KEY.public_key(), ISSUER.certificate, ISSUER.key, late)
    assert leaf.not_valid_after_utc == ISSUER.certificate.not_valid_after_utc


def test_two_roots_of_one_name_are_two_organisations() -> None:
    other = new_organisation("City of Example", NOW)
    assert other.root.certificate.subject == ROOT.subject
    assert other.organisation != ORGANISATION.organisation
    with pytest.raises(CertificateRefusedError, match="not signed by the key above it"):
        verify_device_chain(CLIENT, ISSUER.certificate, other.root.certificate, NOW)


def test_role_of_a_leaf() -> None:
    agent = verify_device_chain(AGENT, ISSUER.certificate, ROOT, NOW)
    assert (agent.role, agent.device, agent.computer) == (Role.AGENT, key_id(KEY.public_key()), COMPUTER)
    client = verify_device_chain(CLIENT, ISSUER.certificate, ROOT, NOW)
    assert (client.role, client.device, client.computer) == (Role.CLIENT, device_id(CLIENT), None)


@pytest.mark.parametrize(
    ("leaf", "issuer", "sentence"),
    [
        (NODE, ISSUER.certificate, "not signed by the key above it"),
        (CLIENT, ORGANISATION.roles[RoleKey.POLICY].certificate, "may not sign others"),
        (ISSUER.certificate, ISSUER.certificate, "not signed by the key above it"),
        (ORGANISATION.roles[RoleKey.ADMIN].certificate, ISSUER.certificate, "not signed by the key above it"),
    ],
)
def test_a_chain_that_is_none(leaf: x509.Certificate, issuer: x509.Certificate, sentence: str) -> None:
    with pytest.raises(CertificateRefusedError, match=sentence):
        verify_device_chain(leaf, issuer, ROOT, NOW)


def leaf_with(*extensions: x509.ExtensionType) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ISSUER.certificate.subject)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime.fromtimestamp(NOW, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 60, UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ISSUER.key, SHA256())


def names(*uris: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


SHOWN = format_computer_id(COMPUTER)


@pytest.mark.parametrize(
    ("extensions", "sentence"),
    [
        ((), "neither serverAuth nor clientAuth"),
        ((x509.ExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]),), "neither serverAuth nor clientAuth"),
        ((x509.ExtendedKeyUsage([SERVER_AUTH]),), "must name one computer"),
        ((x509.ExtendedKeyUsage([SERVER_AUTH]), names("telerelay-node:a")), "must name one computer"),
        (
            (x509.ExtendedKeyUsage([SERVER_AUTH]), names(f"telerelay-computer:{SHOWN}", "telerelay-node:a")),
            "must name one computer",
        ),
        ((x509.ExtendedKeyUsage([SERVER_AUTH]), names("telerelay-computer:ABCD")), "names no computer"),
        (
            (x509.ExtendedKeyUsage([SERVER_AUTH]), names(f"telerelay-computer:{SHOWN.lower()}")),
            "not written as",
        ),
        (
            (x509.ExtendedKeyUsage([SERVER_AUTH]), x509.SubjectAlternativeName([x509.DNSName("a.example")])),
            "names that are no URI",
        ),
        ((x509.ExtendedKeyUsage([CLIENT_AUTH]), names(f"telerelay-computer:{SHOWN}")), "must name nothing"),
        (
            (x509.ExtendedKeyUsage([CLIENT_AUTH]), x509.BasicConstraints(ca=True, path_length=None)),
            "leaf must not",
        ),
    ],
)
def test_a_leaf_that_fits_no_role(extensions: tuple[x509.ExtensionType, ...], sentence: str) -> None:
    with pytest.raises(CertificateRefusedError, match=sentence):
        verify_device_chain(leaf_with(*extensions), ISSUER.certificate, ROOT, NOW)


def test_validity_ends() -> None:
    end = int(CLIENT.not_valid_after_utc.timestamp())
    verify_device_chain(CLIENT, ISSUER.certificate, ROOT, end)
    with pytest.raises(CertificateExpiredError, match="expired at"):
        verify_device_chain(CLIENT, ISSUER.certificate, ROOT, end + 1)
    with pytest.raises(CertificateRefusedError, match="not valid before"):
        verify_device_chain(CLIENT, ISSUER.certificate, ROOT, NOW - 3601)


@pytest.mark.parametrize("wanted", RoleKey)
@pytest.mark.parametrize("shown", RoleKey)
def test_no_role_passes_for_another(shown: RoleKey, wanted: RoleKey) -> None:
    certificate = ORGANISATION.roles[shown].certificate
    if shown is wanted:
        verify_role_certificate(certificate, ROOT, wanted, NOW)
    else:
        with pytest.raises(CertificateRefusedError):
            verify_role_certificate(certificate, ROOT, wanted, NOW)


def test_only_a_root_passes_for_a_root() -> None:
    verify_root(ROOT)
    verify_root(CLUSTER.certificate)
    for certificate in (ISSUER.certificate, CLIENT, NODE):
        with pytest.raises(CertificateRefusedError):
            verify_root(certificate)


def test_a_chain_file_is_read_as_written() -> None:
    assert parse_chain(format_chain([CLIENT, ISSUER.certificate])) == [CLIENT, ISSUER.certificate]
    with pytest.raises(CertificateRefusedError, match="PEM"):
        parse_chain(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def test_bytes_that_are_no_certificate_of_ours() -> None:
    der = encode_certificate(CLIENT)
    assert parse_certificate(der) == CLIENT
    for broken in (b"", der[:-1], der + b"\0", b"\x30\x00"):
        with pytest.raises(CertificateRefusedError, match="cannot be read"):
            parse_certificate(broken)
    other = rsa.generate_private_key(65537, 2048)
    for key in (other.public_key(), ec.generate_private_key(ec.SECP384R1()).public_key()):
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key)
            .serial_number(1)
            .not_valid_before(datetime.fromtimestamp(NOW, UTC))
            .not_valid_after(datetime.fromtimestamp(NOW + 60, UTC))
            .sign(KEY, SHA256())
        )
        with pytest.raises(CertificateRefusedError, match="not P-256"):
            parse_certificate(encode_certificate(certificate))
