"""What comes as a certificate request with an invite: its key, or one refusal (PROTOCOL.md §10.3)."""

import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from telerelay_endpoint.certificates import CertificateRefusedError, computer_uri, requested_key
from telerelay_endpoint.enrolment import make_csr
from telerelay_endpoint.keys import make_key
from tests.kit.organisations import COMPUTER

KEY = make_key()
AGENTS, CLIENTS = make_csr(KEY, COMPUTER), make_csr(KEY, None)
VERSION = b"\x02\x01\x00"
"""A request's first field: INTEGER 0, which is called v1."""


def request(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
    *names: x509.GeneralName,
    subject: str | None = None,
) -> bytes:
    """A well-formed request for whatever one likes."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=True)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    return made.sign(key, digest).public_bytes(Encoding.DER)


def test_an_honest_request_has_its_key() -> None:
    for csr, computer in ((AGENTS, COMPUTER), (CLIENTS, None)):
        assert requested_key(csr, computer) == KEY.public_key()


@pytest.mark.parametrize(
    ("csr", "sentence"),
    [
        (b"", "cannot be read"),
        (AGENTS[:-1], "cannot be read"),
        (AGENTS + b"\x00", "cannot be read"),
        (AGENTS.replace(VERSION, b"\x02\x01\x07", 1), "cannot be read"),
        (AGENTS.replace(b"telerelay-computer", b"telerelay-c\xffmputer", 1), "cannot be read"),
        (AGENTS.replace(b"telerelay-computer", b"telerelay-komputer", 1), "not signed by its own key"),
        (CLIENTS, "another computer"),
        (make_csr(KEY, bytes(10)), "another computer"),
        (request(KEY, *[x509.UniformResourceIdentifier(computer_uri(COMPUTER))] * 2), "another computer"),
        (request(KEY, x509.DNSName("office.example")), "no URI"),
        (request(KEY, subject="admin"), "has a subject"),
        (request(ec.generate_private_key(ec.SECP384R1())), "not P-256"),
        (request(rsa.generate_private_key(65537, 2048)), "not P-256"),
        (request(ed25519.Ed25519PrivateKey.generate()), "not P-256"),
    ],
)
def test_a_request_that_does_not_fit_says_why(csr: bytes, sentence: str) -> None:
    with pytest.raises(CertificateRefusedError, match=sentence):
        requested_key(csr, COMPUTER)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An honest request with some bytes changed, left out or put in."""
    csr = bytearray(draw(st.sampled_from([AGENTS, CLIENTS])))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(csr) - 1))
        csr[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(csr)


@given(st.one_of(mutated(), st.binary(max_size=300)), st.sampled_from([COMPUTER, None]))
def test_whatever_came_is_a_key_or_refused(csr: bytes, computer: bytes | None) -> None:
    with contextlib.suppress(CertificateRefusedError):
        requested_key(csr, computer)


@given(st.integers(0, len(AGENTS) - 1), st.integers(1, 255))
def test_a_request_with_one_byte_changed_is_refused(place: int, change: int) -> None:
    csr = bytearray(AGENTS)
    csr[place] ^= change
    with pytest.raises(CertificateRefusedError):
        requested_key(bytes(csr), COMPUTER)
