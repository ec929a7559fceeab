"""Private keys in files: P-256, PKCS#8 PEM, mode 0600, made once and never overwritten.

Everything that signs takes a key from here, so that a TPM or a PKCS#11 token has one place to stand in.
"""

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from telerelay_endpoint import files
from telerelay_endpoint.errors import TelerelayError


def make_key() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key, in memory only."""
    return ec.generate_private_key(ec.SECP256R1())


def create_key_file(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """Make a key and its file. Raises TelerelayError: KEY_FILE when it exists, MACHINE when it cannot be."""
    key = make_key()
    write_key_file(path, key, passphrase)
    return key


def write_key_file(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> None:
    """Write `key` into a new file. Raises TelerelayError(KEY_FILE, MACHINE)."""
    protection: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    )
    try:
        files.create_private(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    except FileExistsError:
        raise TelerelayError("KEY_FILE", f"{path} exists and is never overwritten") from None
    except OSError as error:
        raise TelerelayError("MACHINE", f"{path} cannot be written: {error.strerror}") from error


def load_key_file(path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """The key of a file.

    Raises TelerelayError(KEY_FILE) when it is missing, readable by others, locked or no P-256 key.
    """
    try:
        key = load_pem_private_key(files.read_private(path), passphrase)
    except files.ReadableByOthersError as error:
        raise TelerelayError("KEY_FILE", str(error)) from None
    except OSError as error:
        raise TelerelayError("KEY_FILE", f"{path} cannot be read: {error.strerror}") from error
    except TypeError:
        wanted = (
            "is encrypted and needs its passphrase"
            if passphrase is None
            else "is not encrypted, yet a passphrase was given"
        )
        raise TelerelayError("KEY_FILE", f"{path} {wanted}") from None
    except ValueError:
        reason = (
            "holds no key that can be read" if passphrase is None else "does not open with this passphrase"
        )
        raise TelerelayError("KEY_FILE", f"{path} {reason}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TelerelayError("KEY_FILE", f"{path} holds no P-256 key")
    return key


def is_encrypted(path: Path) -> bool:
    """Whether the file of a key asks for a passphrase. Raises TelerelayError(KEY_FILE) as `load_key_file`."""
    try:
        return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in files.read_private(path)
    except files.ReadableByOthersError as error:
        raise TelerelayError("KEY_FILE", str(error)) from None
    except OSError as error:
        raise TelerelayError("KEY_FILE", f"{path} cannot be read: {error.strerror}") from error


def key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo (DER): organisation ID, device ID or pin (PROTOCOL.md §2)."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
