"""A COSE_Sign1 put together by hand, so that each part of it can be wrong (RFC 9052 §4.2)."""

from collections.abc import Mapping
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from telerelay.authority.signing import Signer
from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.documents import Kind


def header(kind: Kind, signer: Signer) -> dict[int, Any]:
    """The protected header as it should be."""
    return {1: -7, 16: kind.typ, 33: encode_certificate(signer.certificate), -70001: signer.organisation}


def sign1(
    protected: Mapping[int, Any] | bytes,
    payload: bytes,
    key: ec.EllipticCurvePrivateKey,
    *,
    unprotected: Mapping[int, Any] | None = None,
    tag: int = 18,
) -> bytes:
    """Sign whatever is given; `protected` as a map is written deterministically."""
    written = protected if isinstance(protected, bytes) else cbor2.dumps(dict(protected), canonical=True)
    r, s = decode_dss_signature(
        key.sign(cbor2.dumps(["Signature1", written, b"", payload]), ec.ECDSA(SHA256()))
    )
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor2.dumps(cbor2.CBORTag(tag, [written, dict(unprotected or {}), payload, signature]))
