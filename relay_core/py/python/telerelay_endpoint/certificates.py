"""Reading certificates: whom one stands for and whether it may (PROTOCOL.md §3). Nothing here issues any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint.keys import key_id

ROLE_URI = "telerelay-role:"
COMPUTER_URI = "telerelay-computer:"
NODE_URI = "telerelay-node:"


class RoleKey(StrEnum):
    """What a key directly under an organisation's root is for: the role URI of its certificate."""

    ISSUER = "issuer"
    POLICY = "policy"
    REVOKER = "revoker"
    FRESHNESS = "freshness"
    ADMIN = "admin"
    KEEPER = "keeper"


class Role(StrEnum):
    """Who an endpoint's leaf says it is (§3.1)."""

    AGENT = "agent"
    CLIENT = "client"
    ADMIN = "admin"
    KEEPER = "keeper"


_DEVICE_ROLES: Mapping[x509.ObjectIdentifier | None, Role] = {
    ExtendedKeyUsageOID.SERVER_AUTH: Role.AGENT,
    ExtendedKeyUsageOID.CLIENT_AUTH: Role.CLIENT,
}


@dataclass(frozen=True)
class Identity:
    """What a verified leaf stands for. `device`: 32 bytes; `computer`: 10 bytes, of an agent only."""

    role: Role
    device: bytes
    computer: bytes | None


_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for bytes that are no certificate or request."""


class CertificateRefusedError(ValueError):
    """A certificate does not fit; the text says why. The caller knows which code of §13 that is."""


class CertificateExpiredError(CertificateRefusedError):
    """It was good once."""


# ---------------------------------------------------------------- whole chains


def verify_device_chain(
    leaf: x509.Certificate, issuer: x509.Certificate, root: x509.Certificate, now: int
) -> Identity:
    """Leaf and issuer of an agent or client under `root`, valid at `now` (Unix seconds).

    Raises CertificateRefusedError.
    """
    verify_role_certificate(issuer, root, RoleKey.ISSUER, now)
    _require_issued_by(leaf, issuer)
    require_valid(leaf, now)
    _require_not_ca(leaf)
    role = _DEVICE_ROLES.get(_only_usage(leaf))
    if role is None:
        raise CertificateRefusedError("the leaf is for neither serverAuth nor clientAuth")
    names = uris(leaf)
    if role is Role.AGENT:
        return Identity(role, device_id(leaf), _computer_of(names))
    if names:
        raise CertificateRefusedError("a client's certificate names something, and must name nothing")
    return Identity(role, device_id(leaf), None)


def verify_role_certificate(
    certificate: x509.Certificate, root: x509.Certificate, role: RoleKey, now: int
) -> None:
    """The certificate of one role key, directly under `root`, valid at `now` (Unix seconds).

    Raises CertificateRefusedError.
    """
    _require_issued_by(certificate, root)
    require_valid(certificate, now)
    if role is RoleKey.ISSUER:
        _require_ca(certificate)
    else:
        _require_not_ca(certificate)
    names = uris(certificate)
    if names != [ROLE_URI + role]:
        raise CertificateRefusedError(
            f"the certificate names {', '.join(names) or 'no role'}, not {ROLE_URI}{role}"
        )


def verify_node_certificate(certificate: x509.Certificate, ca: x509.Certificate, name: str, now: int) -> None:
    """The leaf of the node `name` directly under a cluster's CA, valid at `now` (Unix seconds).

    Raises CertificateRefusedError.
    """
    _require_issued_by(certificate, ca)
    require_valid(certificate, now)
    _require_not_ca(certificate)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise CertificateRefusedError("the certificate names no node") from error
    if names.get_values_for_type(x509.UniformResourceIdentifier) != [NODE_URI + name]:
        raise CertificateRefusedError(f"the certificate is not of the node {name}")


def verify_root(root: x509.Certificate) -> None:
    """An organisation's root or a cluster's CA: signed by itself, P-256. Raises CertificateRefusedError."""
    _require_issued_by(root, root)
    _require_ca(root)


# ---------------------------------------------------------------- single facts


def parse_certificate(der: bytes) -> x509.Certificate:
    """A certificate with a P-256 key and readable extensions. Raises CertificateRefusedError."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        certificate.extensions  # noqa: B018 — parsed on access; a duplicate or broken one raises here
    except _UNREADABLE as error:
        raise CertificateRefusedError("the certificate cannot be read") from error
    if certificate.serial_number <= 0:
        raise CertificateRefusedError("the certificate's serial is not positive")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateRefusedError("the certificate's key is not P-256")
    return certificate


def requested_key(der: bytes, computer: bytes | None) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a PKCS#10 request that asks as an endpoint does (§10.3), and for nothing beyond it.

    `computer`: 10 bytes, an agent's. Raises CertificateRefusedError.
    """
    try:
        request = x509.load_der_x509_csr(der)
        # First: for a key of another kind the library has no signature to check, and says so in many ways.
        key = public_key(request)
        signed_by_itself = request.is_signature_valid
        subject = list(request.subject)
        names = uris(request)
    except CertificateRefusedError:
        raise
    except _UNREADABLE as error:
        raise CertificateRefusedError("it cannot be read") from error
    if not signed_by_itself:
        raise CertificateRefusedError("it is not signed by its own key")
    if subject:
        raise CertificateRefusedError("it has a subject, and must have none")
    if names != ([] if computer is None else [computer_uri(computer)]):
        raise CertificateRefusedError("it names another computer than the invite does")
    return key


def parse_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file, in its order. Raises CertificateRefusedError."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateRefusedError("no certificate in PEM can be read") from error
    return [parse_certificate(certificate.public_bytes(Encoding.DER)) for certificate in chain]


def format_chain(chain: Sequence[x509.Certificate]) -> bytes:
    """The PEM file of a chain, leaf first."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)


def encode_certificate(certificate: x509.Certificate) -> bytes:
    """DER."""
    return certificate.public_bytes(Encoding.DER)


def public_key(certificate: x509.Certificate | x509.CertificateSigningRequest) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a certificate or request. Raises CertificateRefusedError for any other."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateRefusedError("the key is not P-256")
    return key


def device_id(leaf: x509.Certificate) -> bytes:
    """32 bytes (§2)."""
    return key_id(public_key(leaf))


def organisation_id(root: x509.Certificate) -> bytes:
    """32 bytes (§2)."""
    return key_id(public_key(root))


def uris(certificate: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """The URI names of the SAN, which may hold no other kind of name. Raises CertificateRefusedError."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(found) != len(list(names)):
        raise CertificateRefusedError("the certificate has names that are no URI")
    return found


def computer_uri(computer: bytes) -> str:
    """The URI that binds an agent's certificate to its computer ID (10 bytes)."""
    return COMPUTER_URI + format_computer_id(computer)


def require_valid(certificate: x509.Certificate, now: int) -> None:
    """`now` (Unix seconds) lies in the certificate's validity. Raises CertificateRefusedError."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin.timestamp():
        raise CertificateRefusedError(f"the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC")
    if now > end.timestamp():
        raise CertificateExpiredError(f"the certificate expired at {end:%Y-%m-%d %H:%M} UTC")


def _computer_of(names: list[str]) -> bytes:
    if len(names) != 1 or not names[0].startswith(COMPUTER_URI):
        raise CertificateRefusedError("an agent's certificate must name one computer and nothing else")
    try:
        computer = parse_computer_id(names[0].removeprefix(COMPUTER_URI))
    except CoreError as error:
        raise CertificateRefusedError(f"the certificate names no computer: {error.detail}") from error
    # One spelling only: a reader's typing corrections have no place in a certificate.
    if computer_uri(computer) != names[0]:
        raise CertificateRefusedError("the computer ID in the certificate is not written as §2.1 shows it")
    return computer


def _only_usage(certificate: x509.Certificate) -> x509.ObjectIdentifier | None:
    try:
        usages = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None
    return usages[0] if len(usages) == 1 else None


def _require_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    public_key(certificate)
    public_key(issuer)
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise CertificateRefusedError("the certificate is not signed by the key above it") from error


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _require_ca(certificate: x509.Certificate) -> None:
    if not _is_ca(certificate):
        raise CertificateRefusedError("the certificate may not sign others")


def _require_not_ca(certificate: x509.Certificate) -> None:
    if _is_ca(certificate):
        raise CertificateRefusedError("the certificate may sign others, which a leaf must not")
