"""The command `import`: documents that came on a stick, verified like those that come through a relay."""

import time
from collections.abc import Sequence
from pathlib import Path

from telerelay_agent.documents import OwnDocuments
from telerelay_agent.state import only_one
from telerelay_agent.verdict import why_stale
from telerelay_endpoint.console import Console
from telerelay_endpoint.credentials import load_credentials
from telerelay_endpoint.documents import Clock, kind_of
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS


def import_documents(console: Console, folder: Path, paths: Sequence[Path]) -> None:
    """Put each document in force that is newer than what is held, and say whether anybody is let in then.

    Raises TelerelayError: DOCUMENT, POLICY_STALE (what was taken before stays), ADDRESS_IN_USE, CERTIFICATE.
    """
    clock, taken = Clock(), []
    credentials = load_credentials(folder, clock.now())
    with only_one(folder):
        own = OwnDocuments(credentials, clock)
        for path in paths:
            encoded = _read(path)
            kind = kind_of(encoded)
            if own.take(kind, encoded):
                taken.append({"kind": str(kind), "version": own.version(kind)})
    stale = why_stale(own.for_verdict(), int(time.time()))
    lines = [f"{one['kind']} {one['version']}" for one in taken] or [console.text("nothing new", "変更なし")]
    lines.append(stale or console.text("granted clients are let in", "許可された端末が接続できます"))
    console.data("agent-import", {"taken": taken, "serves": stale is None, "reason": stale}, "\n".join(lines))


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        encoded = file.read(LIMITS["document_bytes"] + 1)
    if len(encoded) > LIMITS["document_bytes"]:
        raise TelerelayError("DOCUMENT", f"{path} is larger than any document")
    return encoded
