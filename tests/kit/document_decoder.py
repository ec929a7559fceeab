"""Reads documents, lines and an invite's keys from PROTOCOL.md §9 and §10 alone, to keep the product honest.

It shares no code with the product. X.509 and ECDSA are the library's; form and derivations are its own.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.kit.decoder.items import ARRAY, BYTES, MAP, NEGATIVE, SIMPLE, TEXT, BrokenError, walk

SIGNERS = {"computer": "policy", "stamp": "freshness", "revocations": "revoker", "nodes": None}
FIELDS = {
    "computer": ("computer", "agent", "version", "issued", "expires", "grants", "rules", "label"),
    "stamp": ("computer", "document_version", "revocations_version", "epoch", "issued", "expires"),
    "revocations": ("version", "issued", "devices"),
    "nodes": ("version", "issued", "nodes"),
}
GRANT = ("client", "label", "not_before", "not_after", "own")
OWN = ("approver", "reason")
RULES = ("services", "sessions", "resume_limit", "idle_timeout", "view_only")
FURTHER: Mapping[str, Any] = {
    "hours": None,
    "allowed_networks": [],
    "denied_networks": [],
    "minimum_version": None,
    "notices": [],
    "watermark": "",
    "session_limit": 0,
    "lock_on_disconnect": False,
    "own_devices": False,
}
HOURS = ("offset", "spans", "holidays")
SPAN = ("day", "begin", "end")
TAG_AND_ARRAY = b"\xd2\x84"
COLUMN = 32
FUTURE_S = 300


class RefusedError(Exception):
    """A document that must be refused; the argument is the step of §9 and what is wrong there."""


# ---------------------------------------------------------------- documents


def read_document(
    data: bytes, kind: str, authority: bytes | Sequence[bytes], now: int, held: bytes | None = None
) -> dict[str, Any]:
    """The fields of a document under a root (DER) or, for a node list, pins. Raises RefusedError."""
    header_bytes, payload_bytes, signature = _parts(data)
    header = _step("1 header", lambda: _value(header_bytes))
    if set(header) != {1, 16, 33, -70001} or header[1] != -7 or not isinstance(header[33], bytes):
        raise RefusedError("1 header")
    if header[16] != f"application/telerelay-{kind}+cose":
        raise RefusedError("1 typ")
    certificate = _step("1 header", lambda: x509.load_der_x509_certificate(header[33]))
    _require_signer(certificate, header[-70001], kind, authority, now)
    _require_signature(certificate, header_bytes, payload_bytes, signature)
    fields: dict[str, Any] = _step("4 payload", lambda: _fields(kind, _value(payload_bytes)))
    if fields["issued"] > now + FUTURE_S:
        raise RefusedError("5 future")
    if "expires" in fields and now >= fields["expires"]:
        raise RefusedError("5 expired")
    if held is not None:
        _require_newer(kind, data, fields, held)
    return fields


def annotate(data: bytes) -> list[str]:
    """The whole document, cut into its parts, each with its meaning."""
    header, payload, signature = _parts(data)
    lines = [(TAG_AND_ARRAY, "tag 18, array of 4")]
    lines += [(_head(BYTES, len(header)), f"protected header, {len(header)} bytes"), *_pieces(header)]
    lines += [(b"\xa0", "unprotected header: empty")]
    lines += [(_head(BYTES, len(payload)), f"payload, {len(payload)} bytes"), *_pieces(payload)]
    lines += [(_head(BYTES, len(signature)), "signature, r and s"), (signature, "  the bytes")]
    return [f"{part.hex():{COLUMN}} ; {meaning}" for part, meaning in lines if part]


def annotate_line(data: bytes) -> list[str]:
    """What a line carries, cut into its parts."""
    return [f"{part.hex():{COLUMN}} ; {meaning.removeprefix('  ')}" for part, meaning in _pieces(data)]


def _parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    if not data.startswith(TAG_AND_ARRAY):
        raise RefusedError("1 form")
    rest = data[len(TAG_AND_ARRAY) :]
    header, rest = _byte_string(rest)
    if not rest.startswith(b"\xa0"):
        raise RefusedError("1 form")
    payload, rest = _byte_string(rest[1:])
    signature, rest = _byte_string(rest)
    if rest or len(signature) != 64:
        raise RefusedError("1 form")
    return header, payload, signature


def _byte_string(data: bytes) -> tuple[bytes, bytes]:
    for width in (0, 1, 2, 4):
        length = data[0] - 0x40 if width == 0 and data else int.from_bytes(data[1 : 1 + width], "big")
        head = data[: 1 + width]
        if data and 0 <= length <= len(data) and head == _head(BYTES, length):
            return data[1 + width : 1 + width + length], data[1 + width + length :]
    raise RefusedError("1 form")


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * width:
            return bytes([major << 5 | info]) + argument.to_bytes(width, "big")
    raise ValueError(argument)


def _require_signer(
    certificate: x509.Certificate, organisation: Any, kind: str, authority: bytes | Sequence[bytes], now: int
) -> None:
    root = x509.load_der_x509_certificate(authority) if isinstance(authority, bytes) else certificate
    known = [_key_id(root)] if isinstance(authority, bytes) else authority
    if organisation not in known or organisation != _key_id(root):
        raise RefusedError("1 organisation")
    try:
        certificate.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError):
        raise RefusedError("2 not under the root") from None
    if not certificate.not_valid_before_utc.timestamp() <= now <= certificate.not_valid_after_utc.timestamp():
        raise RefusedError("2 validity")
    if SIGNERS[kind] is not None:
        names = [
            name.value
            for extension in certificate.extensions
            if isinstance(extension.value, x509.SubjectAlternativeName)
            for name in extension.value
        ]
        if names != [f"telerelay-role:{SIGNERS[kind]}"]:
            raise RefusedError("2 role")


def _require_signature(
    certificate: x509.Certificate, header: bytes, payload: bytes, signature: bytes
) -> None:
    key = certificate.public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    name = b"Signature1"
    signed = b"\x84" + _head(TEXT, len(name)) + name
    for part in (header, b"", payload):
        signed += _head(BYTES, len(part)) + part
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RefusedError("2 key")
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise RefusedError("3 signature") from None


def _require_newer(kind: str, data: bytes, fields: Mapping[str, Any], held: bytes) -> None:
    before = _fields(kind, _value(_parts(held)[1]))
    number = "epoch" if kind == "stamp" else "version"
    if fields[number] < before[number]:
        raise RefusedError("5 older")
    if fields[number] == before[number] and data != held:
        raise RefusedError("5 same version")
    if kind == "revocations" and not set(before["devices"]) <= set(fields["devices"]):
        raise RefusedError("5 gives back")


def _fields(kind: str, payload: Mapping[int, Any]) -> dict[str, Any]:
    named = _named(FIELDS[kind], payload)
    if kind == "computer":
        named["grants"] = [_grant(grant) for grant in named["grants"]]
        named["rules"] = _rules(named["rules"])
    if kind == "nodes":
        named["nodes"] = [
            {"name": name, "addresses": addresses, "program": program}
            for name, addresses, program in named["nodes"]
        ]
    return named


def _grant(grant: Mapping[int, Any]) -> dict[str, Any]:
    named = dict.fromkeys(GRANT) | _named(GRANT, grant, optional=3)
    if named["own"] is not None:
        named["own"] = _named(OWN, named["own"])
        if named["not_after"] is None:
            raise BrokenError("an own device for ever")
    return named


def _rules(rules: Mapping[int, Any]) -> dict[str, Any]:
    written = _named((*RULES, *FURTHER), rules, optional=len(FURTHER))
    if any(written.get(name, ...) == default for name, default in FURTHER.items()):
        raise BrokenError("a default is written")
    named = {**FURTHER, **written}
    if named["hours"] is not None:
        hours = {"holidays": []} | _named(HOURS, named["hours"], optional=1)
        named["hours"] = {**hours, "spans": [dict(zip(SPAN, span, strict=True)) for span in hours["spans"]]}
    return named


def _named(names: Sequence[str], payload: Mapping[int, Any], optional: int = 0) -> dict[str, Any]:
    if not set(range(len(names) - optional)) <= set(payload) <= set(range(len(names))):
        raise BrokenError("keys")
    return {names[key]: _shown(value) for key, value in payload.items()}


# ---------------------------------------------------------------- lines and keys


def read_line(line: str) -> dict[str, Any]:
    """The fields of a cluster line or an invite (§10.1). Raises RefusedError."""
    prefix, _, text = line.partition(":")
    names = {
        "telerelay-cluster": ("pins", "nodes"),
        "telerelay-invite": (
            "organisation",
            "pins",
            "nodes",
            "id",
            "kind",
            "computer",
            "label",
            "expiry",
            "secret",
        ),
    }.get(prefix)
    if names is None or "=" in text:
        raise RefusedError("prefix")
    fields = _step("form", lambda: _value(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    named = dict.fromkeys(names) | {names[key]: _shown(value) for key, value in fields.items()}
    named["nodes"] = [{"name": name, "addresses": addresses} for name, addresses in named["nodes"]]
    if "kind" in named:
        named["kind"] = ("agent", "client")[named["kind"]]
    return named


def invite_keys(master: bytes, invite: Mapping[str, Any]) -> dict[str, str]:
    """The secret, k1, its hash and k2 of an invite's fields (§10.2), as hexadecimal digits."""
    organisation = bytes.fromhex(invite["organisation"])
    label = invite["label"].encode()
    name = b"telerelay-invite"
    info = _head(ARRAY, 6) + _head(TEXT, len(name)) + name
    info += _head(BYTES, 16) + bytes.fromhex(invite["id"])
    info += _head(0, ("agent", "client").index(invite["kind"]))
    info += b"\xf6" if invite["computer"] is None else _head(BYTES, 10) + bytes.fromhex(invite["computer"])
    info += _head(TEXT, len(label)) + label + _head(0, invite["expiry"])
    secret = _hkdf(master, organisation, info)
    k1, k2 = _hkdf(secret, b"", b"telerelay-invite-admit"), _hkdf(secret, b"", b"telerelay-invite-bind")
    return {
        "secret": secret.hex(),
        "k1": k1.hex(),
        "admit": hashlib.sha256(k1).hexdigest(),
        "k2": k2.hex(),
    }


def request_mac(k2: bytes, csr: bytes, organisation: bytes, invite: bytes) -> str:
    """The MAC of an enrolment request (§10.3 step 1), as hexadecimal digits."""
    return hmac.new(k2, csr + organisation + invite, hashlib.sha256).hexdigest()


def _hkdf(material: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, one block."""
    extracted = hmac.new(salt or bytes(32), material, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


# ---------------------------------------------------------------- values


def _value(data: bytes) -> dict[int, Any]:
    """A map in deterministic CBOR; header and payload alike. Raises BrokenError."""
    if data[:1] and any(piece.meaning == "" for piece in _walked(data)):
        raise BrokenError("foreign")
    value, rest = _item(data)
    if rest or not isinstance(value, dict):
        raise BrokenError("trailing")
    return value


def _walked(data: bytes) -> list[Any]:
    # The header has one negative key, which frames never have.
    return walk(data.replace(b"\x3a\x00\x01\x11\x70", b"\x1a\x00\x01\x11\x70"))


def _item(data: bytes) -> tuple[Any, bytes]:
    major, info = divmod(data[0], 32)
    width = 0 if info < 24 else 1 << info - 24
    number = info if info < 24 else int.from_bytes(data[1 : 1 + width], "big")
    rest = data[1 + width :]
    if major in (BYTES, TEXT):
        content = rest[:number]
        return (content.decode() if major == TEXT else content), rest[number:]
    if major == NEGATIVE:
        return -1 - number, rest
    if major == SIMPLE:
        return number == 21, rest
    if major not in (ARRAY, MAP):
        return number, rest
    items = []
    for _ in range(number * (2 if major == MAP else 1)):
        item, rest = _item(rest)
        items.append(item)
    return (dict(zip(items[::2], items[1::2], strict=True)) if major == MAP else items), rest


def _pieces(data: bytes) -> list[tuple[bytes, str]]:
    return [
        (
            data[piece.start : piece.end],
            "  " * (piece.depth + 1) + piece.meaning.replace("key 70000", "key -70001"),
        )
        for piece in _walked(data)
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return value


def _key_id(certificate: x509.Certificate) -> bytes:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        raise RefusedError("2 key") from None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _step(step: str, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (BrokenError, ValueError, IndexError, TypeError) as error:
        raise RefusedError(step) from error
