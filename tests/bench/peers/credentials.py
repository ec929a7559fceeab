"""Keys and certificates of peers, made anew for each run."""

import datetime as dt
import subprocess
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

_PASSWORD: Final = b"bench"
_LIFE: Final = dt.timedelta(days=1)


def make_tls(folder: Path) -> None:
    """`ca.pem`, `office.pem` (chain and key), `office.p12`: P-256, for localhost."""
    folder.mkdir()
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("bench", root_key, "bench", root_key, is_authority=True)
    office = _certificate("localhost", key, "bench", root_key, is_authority=False)
    (folder / "ca.pem").write_bytes(root.public_bytes(Encoding.PEM))
    chain = folder / "office.pem"
    chain.touch(0o600)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(office.public_bytes(Encoding.PEM) + secret)
    sealed = pkcs12.serialize_key_and_certificates(
        b"office", key, office, [root], BestAvailableEncryption(_PASSWORD)
    )
    (folder / "office.p12").write_bytes(sealed)


def make_ssh(folder: Path) -> None:
    """`host` and `user`, a key each, with `.pub` beside them."""
    folder.mkdir()
    for name in ("host", "user"):
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(folder / name))
        subprocess.run(command, check=True)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
