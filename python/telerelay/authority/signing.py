"""Signing documents: COSE_Sign1 exactly as PROTOCOL.md §9 has it."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey
from cwt.utils import ResolvedHeader

from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.cose import ALGORITHM, CHAIN, ES256, ORGANISATION, TYPE
from telerelay_endpoint.documents import Kind, Signed
from telerelay_endpoint.payloads import ComputerDocument, NodeList, RevocationList, Stamp


@dataclass(frozen=True)
class Signer:
    """A key that signs documents, the certificate that travels inside them, and in whose name.

    `organisation`: organisation ID, or for a node list the pin of the cluster's CA; 32 bytes.
    """

    organisation: bytes
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def sign_computer_document(document: ComputerDocument, policy: Signer) -> Signed[ComputerDocument]:
    """By the `policy` role key."""
    return Signed(document, sign(Kind.COMPUTER.typ, document.encode(), policy))


def sign_stamp(stamp: Stamp, freshness: Signer) -> Signed[Stamp]:
    """By the `freshness` role key."""
    return Signed(stamp, sign(Kind.STAMP.typ, stamp.encode(), freshness))


def sign_revocations(revocations: RevocationList, revoker: Signer) -> Signed[RevocationList]:
    """By the `revoker` role key."""
    return Signed(revocations, sign(Kind.REVOCATIONS.typ, revocations.encode(), revoker))


def sign_nodes(nodes: NodeList, cluster: Signer) -> Signed[NodeList]:
    """By the cluster's CA."""
    return Signed(nodes, sign(Kind.NODES.typ, nodes.encode(), cluster))


def sign(typ: str, payload: bytes, signer: Signer) -> bytes:
    """COSE_Sign1 of `payload`; `typ` in its protected header keeps it from passing for anything else."""
    # In the order of RFC 8949 §4.2.1, which the library keeps.
    header = ResolvedHeader(
        {
            ALGORITHM: ES256,
            TYPE: typ,
            CHAIN: encode_certificate(signer.certificate),
            ORGANISATION: signer.organisation,
        }
    )
    signed = COSE.new().encode_and_sign(payload, COSEKey.new(_cose_key(signer.key)), protected=header)
    if not isinstance(signed, bytes):
        raise TypeError("the COSE library returned no bytes")
    return signed


def _cose_key(key: ec.EllipticCurvePrivateKey) -> dict[int, int | bytes]:
    """COSE_Key of a P-256 private key (RFC 9053 §7.1.1): kty EC2, alg, crv, x, y, d."""
    public, private = key.public_key().public_numbers(), key.private_numbers().private_value
    return {
        1: 2,
        3: ES256,
        -1: 1,
        -2: public.x.to_bytes(32, "big"),
        -3: public.y.to_bytes(32, "big"),
        -4: private.to_bytes(32, "big"),
    }
