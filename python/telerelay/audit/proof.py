"""Records as an auditor gets them: lines that carry the chain's proof (docs/AUDIT.md §3).

A header, then segments of one node's chain. In a segment stands each record as its exact bytes, or, where it
is nobody's business here, its fingerprint, so that the links can be computed all the same.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from telerelay.audit.chain import Head

SCHEMA: Final = "telerelay.audit/1"


def header(scope: Mapping[str, Any]) -> bytes:
    """The first line. `scope`: what was asked for, empty for everything."""
    return _line({"schema": SCHEMA, **scope})


def segment(head: Head) -> bytes:
    """What follows stands behind `head`."""
    return _line({"segment": _fields(head)})


def foreign(fingerprint: bytes) -> bytes:
    """A record that is not shown."""
    return _line({"fingerprint": fingerprint.hex()})


def end(head: Head) -> bytes:
    """The running node's own word on where its chain stands."""
    return _line({"end": _fields(head)})


def read_head(value: Any) -> Head:
    """The head in a segment's or the end's line. Raises ValueError, KeyError, TypeError."""
    return Head(str(value["node"]), int(value["seq"]), bytes.fromhex(value["link"]))


def _fields(head: Head) -> dict[str, Any]:
    return {"node": head.node, "seq": head.seq, "link": head.link.hex()}


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
