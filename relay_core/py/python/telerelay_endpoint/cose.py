"""COSE_Sign1 with one certificate inside: a document's form, steps 1 and 3 of its check (PROTOCOL.md §9)."""

from dataclasses import dataclass
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey
from cwt.exceptions import VerifyError

from telerelay_endpoint.certificates import CertificateRefusedError, parse_certificate, public_key
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.strict_cbor import FormRefusedError, byte_string, decode, encode

SIGN1_TAG = 18  # RFC 9052 §4.2
ALGORITHM = 1  # RFC 9052 §3.1
TYPE = 16  # RFC 9596
CHAIN = 33  # RFC 9360: x5chain
ORGANISATION = -70001  # private use, PROTOCOL.md §9
ES256 = -7  # RFC 9053 §2.1
MAXIMUM: Final = LIMITS["document_bytes"]
_SIGNATURE_SIZE = 64
_KEY_ID_SIZE = 32


@dataclass(frozen=True)
class Envelope:
    """A document taken apart, nothing about it believed yet. `organisation`: 32 bytes."""

    encoded: bytes
    typ: str
    organisation: bytes
    certificate: x509.Certificate
    payload: bytes


def take_apart(encoded: bytes) -> Envelope:
    """Step 1: the form and the header, to the byte. Raises FormRefusedError."""
    if len(encoded) > MAXIMUM:
        raise FormRefusedError(f"it has {len(encoded)} bytes, more than {MAXIMUM}")
    tagged = decode(encoded)
    if not isinstance(tagged, cbor2.CBORTag) or tagged.tag != SIGN1_TAG:
        raise FormRefusedError("it is no tagged COSE_Sign1")
    parts = tagged.value
    if not isinstance(parts, list) or len(parts) != 4:  # noqa: PLR2004 — RFC 9052 §4.2
        raise FormRefusedError("a COSE_Sign1 has four parts")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise FormRefusedError("header, payload and signature must be byte strings")
    if unprotected != {} or len(signature) != _SIGNATURE_SIZE:
        raise FormRefusedError("its unprotected header must be empty and its signature 64 bytes")
    # Shapes are fixed by now, so writing it again costs no more than reading it did.
    if encode(cbor2.CBORTag(SIGN1_TAG, [protected, {}, payload, signature])) != encoded:
        raise FormRefusedError("it is not in deterministic CBOR")
    return _with_header(encoded, protected, payload)


def verify_signature(envelope: Envelope) -> None:
    """Step 3: the signature, by the key of the certificate inside. Raises FormRefusedError."""
    try:
        COSE.new().decode(envelope.encoded, COSEKey.new(_cose_key(public_key(envelope.certificate))))
    except (VerifyError, ValueError) as error:
        raise FormRefusedError("its signature is wrong") from error


def _with_header(encoded: bytes, protected: bytes, payload: bytes) -> Envelope:
    header = decode(protected)
    if not isinstance(header, dict) or set(header) != {ALGORITHM, TYPE, CHAIN, ORGANISATION}:
        raise FormRefusedError(
            "its protected header must hold alg, typ, x5chain and organisation, and nothing else"
        )
    typ, chain, organisation = header[TYPE], header[CHAIN], header[ORGANISATION]
    if type(header[ALGORITHM]) is not int or header[ALGORITHM] != ES256:
        raise FormRefusedError("its algorithm is not ES256")
    if not isinstance(typ, str) or not isinstance(chain, bytes):
        raise FormRefusedError("typ must be text and x5chain one certificate")
    byte_string(organisation, _KEY_ID_SIZE, "the organisation in its header")
    if encode({ALGORITHM: ES256, TYPE: typ, CHAIN: chain, ORGANISATION: organisation}) != protected:
        raise FormRefusedError("its header is not in deterministic CBOR")
    try:
        certificate = parse_certificate(chain)
    except CertificateRefusedError as error:
        raise FormRefusedError(str(error)) from error
    return Envelope(encoded, typ, organisation, certificate, payload)


def _cose_key(key: ec.EllipticCurvePublicKey) -> dict[int, Any]:
    """COSE_Key of a P-256 public key (RFC 9053 §7.1.1): kty EC2, alg, crv, x, y."""
    numbers = key.public_numbers()
    return {1: 2, 3: ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
