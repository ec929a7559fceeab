"""The report of a run: one JSON object, the device's signature over its very bytes, and a page for people."""

import base64
import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from telerelay import __version__
from telerelay.authority.signing import Signer, sign
from telerelay.prove.page import page
from telerelay.prove.requirements import REQUIREMENTS
from telerelay.prove.run import Proof
from telerelay.prove.verdicts import Outcome, Said
from telerelay_endpoint import cose, files, foreign_json
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    Role,
    encode_certificate,
    organisation_id,
    parse_certificate,
    verify_device_chain,
)
from telerelay_endpoint.console import rfc3339
from telerelay_endpoint.credentials import KEY_FILE, Credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import load_key_file
from telerelay_endpoint.strict_cbor import FormRefusedError

SCHEMA: Final = "telerelay.prove/1"
TYP: Final = "application/telerelay-prove+cose"
JSON_FILE, SIGNED_FILE, PAGE_FILE = "prove.json", "prove.cose", "prove.html"
_READABLE: Final = 0o644
_UNREADABLE: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""What comes of JSON that is signed and yet no report."""

SIGNATURE: Final = Said(
    "The signature says that a program which held this device's key wrote these bytes. It does not say that "
    "the program, the machine or the watch on the desktop was honest, nor when it was signed: whoever holds "
    "the key can sign anything.",
    "署名は、この端末の鍵を持つプログラムがこの内容を書いたことを示す。プログラム、端末、デスクトップの監視が"
    "正しかったこと、署名の時刻は示さない。鍵を持つ者は何にでも署名できる。",
)


def record(proof: Proof, credentials: Credentials) -> dict[str, Any]:
    """The report as JSON has it."""
    leaf, issuer = credentials.chain
    return {
        "schema": SCHEMA,
        "program": f"telerelay {__version__}",
        "time": rfc3339(proof.began),
        "asked": asdict(proof.asked),
        "organisation": credentials.organisation.hex(),
        "device": credentials.device.hex(),
        "guarded": proof.guarded,
        "well": proof.is_well,
        "left_out": [tried.id for tried in proof.left_out],
        "counts": {outcome.value: proof.count(outcome) for outcome in Outcome},
        "tries": [
            {
                "id": result.tried.id,
                "requirements": [f"S{number}" for number in result.tried.requirements],
                "essential": result.tried.essential,
                "sentence": result.tried.sentence._asdict(),
                "outcome": result.verdict.outcome.value,
                "why": result.verdict.why._asdict(),
                "attempts": list(result.verdict.attempts),
                "seconds": round(result.seconds, 2),
            }
            for result in proof.results
        ],
        "requirements": [
            {
                "id": f"S{finding.number}",
                "title": REQUIREMENTS[finding.number].title._asdict(),
                "outcome": finding.outcome.value,
                "why": finding.why._asdict(),
                "tries": list(finding.tries),
            }
            for finding in proof.findings()
        ],
        "signature": {
            "means": SIGNATURE._asdict(),
            "chain": [base64.b64encode(encode_certificate(one)).decode() for one in (leaf, issuer)],
        },
    }


def write(folder: Path, reported: dict[str, Any], credentials: Credentials) -> None:
    """Write report, signature and page into `folder`. Raises TelerelayError(KEY_FILE), OSError."""
    encoded = json.dumps(reported, ensure_ascii=False, indent=1).encode() + b"\n"
    signer = Signer(
        credentials.organisation, credentials.chain[0], load_key_file(credentials.folder / KEY_FILE)
    )
    folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder / JSON_FILE, encoded, _READABLE)
    files.replace(folder / SIGNED_FILE, sign(TYP, encoded, signer), _READABLE)
    files.replace(folder / PAGE_FILE, _page(reported, encoded), _READABLE)


def check(folder: Path, root: x509.Certificate) -> dict[str, Any]:
    """The report of a folder, when the client that it names has signed it, of the organisation of `root`.

    The certificates are judged at the time that the report names: it is kept for longer than they last.
    Raises TelerelayError(DOCUMENT) that says what is wrong, OSError.
    """
    encoded = (folder / JSON_FILE).read_bytes()
    try:
        envelope = cose.take_apart((folder / SIGNED_FILE).read_bytes())
        if envelope.typ != TYP or envelope.organisation != organisation_id(root):
            raise FormRefusedError("it is no report of this organisation")
        cose.verify_signature(envelope)
        if envelope.payload != encoded:
            raise FormRefusedError(f"{JSON_FILE} is not what was signed")
        reported: dict[str, Any] = foreign_json.read(encoded)
        issuer = parse_certificate(base64.b64decode(reported["signature"]["chain"][1]))
        began = int(datetime.fromisoformat(reported["time"]).timestamp())
        signer = verify_device_chain(envelope.certificate, issuer, root, began)
        if signer.role is not Role.CLIENT:
            raise FormRefusedError(f"it is signed by a device of the role {signer.role}")
        named = (reported["organisation"], reported["device"])
        if named != (envelope.organisation.hex(), signer.device.hex()):
            raise FormRefusedError(f"it names another device than {signer.device.hex()}, which signed it")
        if (folder / PAGE_FILE).read_bytes() != _page(reported, encoded):
            raise FormRefusedError(
                f"{PAGE_FILE} is not the page that telerelay {__version__} makes of it; "
                f"it is said to be by {reported['program']}"
            )
    except (*_UNREADABLE, CertificateRefusedError, FormRefusedError) as error:
        raise TelerelayError("DOCUMENT", f"{folder}: {error}") from error
    return reported


def _page(reported: dict[str, Any], encoded: bytes) -> bytes:
    return page(reported, JSON_FILE, hashlib.sha256(encoded).hexdigest()).encode()
