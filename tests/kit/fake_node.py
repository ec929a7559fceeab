"""A node's API in this process, in memory (PROTOCOL.md §11): checks nothing, and lies where a test wants it.

Endpoint and organisation must be safe against any node; this one is the worst that answers in the right form.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from telerelay_core import CoreError, format_computer_id
from telerelay_endpoint import cose
from telerelay_endpoint.certificates import device_id, parse_certificate
from telerelay_endpoint.documents import Kind, kind_of
from telerelay_endpoint.lines import from_base64url, to_base64url
from telerelay_endpoint.payloads import ComputerDocument, RevocationList, Stamp

Json = dict[str, Any]
Shown = Callable[[Json], Json]
_WAIT_S = 0.2
"""How long a long poll is held: short, so that a test that waits for nothing ends soon."""


def as_it_is(shown: Json) -> Json:
    """What an honest node does."""
    return shown


@dataclass
class FakeNode:
    """What the node knows. Every attribute may be changed by a test, before or while requests come."""

    organisation: bytes
    invites: dict[str, Json] = field(default_factory=dict)
    requests: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, Json] = field(default_factory=dict)
    devices: dict[str, Json] = field(default_factory=dict)
    documents: dict[tuple[Kind, str | None], bytes] = field(default_factory=dict)
    shown_request: Shown = as_it_is
    """How a waiting request is shown to the keeper."""
    shown_chain: Shown = as_it_is
    """How an answer is shown to the endpoint."""
    withheld: set[tuple[Kind, str | None]] = field(default_factory=set)
    """Documents that are taken and never shown."""
    asked_again: set[str] = field(default_factory=set)
    """Invites whose request is shown although it was answered."""
    taken: bool = False
    """Whether every computer ID belongs to another key already."""
    failures: list[Literal["cut", "refuse"]] = field(default_factory=list)
    """What the next connections meet, instead of an answer."""
    return_s: str | None = None
    """When it wants to be asked again, as it says with every answer."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    served: list[str] = field(default_factory=list)
    """Method and path of every request that was answered."""

    def opener(self) -> "Opener":
        """The way to this node."""
        return Opener(self)

    def put(self, encoded: bytes) -> None:
        """Take a document, whatever it is."""
        kind = kind_of(encoded)
        computer = None
        if kind in (Kind.COMPUTER, Kind.STAMP):
            computer = format_computer_id(_payload(kind, encoded).computer)
        with self.changed:
            self.documents[(kind, computer)] = encoded
            self.changed.notify_all()

    def behind(self) -> list[str]:
        """The computers whose stamp does not name what there is."""
        revocations = self.documents.get((Kind.REVOCATIONS, None))
        version = _payload(Kind.REVOCATIONS, revocations).version if revocations else 0
        found = []
        for (kind, computer), encoded in self.documents.items():
            if kind is Kind.COMPUTER and computer is not None:
                stamp = self.documents.get((Kind.STAMP, computer))
                named = _payload(Kind.STAMP, stamp) if stamp else None
                wanted = (_payload(kind, encoded).version, version)
                if named is None or (named.document_version, named.revocations_version) != wanted:
                    found.append(computer)
        return found


@dataclass(frozen=True)
class Opener:
    """Stands where `telerelay_core.Dial` stands."""

    node: FakeNode

    def open_api(self) -> int:
        """One end of a socket pair, a server on the other."""
        failure = self.node.failures.pop(0) if self.node.failures else None
        if failure == "refuse":
            error = CoreError("UNREACHABLE: no node")
            error.code, error.detail, error.retry_after_s = "UNREACHABLE", "no node", None
            raise error
        near, far = socket.socketpair()
        if failure == "cut":
            far.close()
        else:
            threading.Thread(target=_Server, args=(far, self.node), daemon=True).start()
        return near.detach()


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, node: FakeNode) -> None:
        self.node = node
        with connection:
            # The base class serves in its constructor and asks its server for nothing.
            super().__init__(connection, ("fake", 0), None)  # type: ignore[arg-type]

    @override
    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET", b"")

    def do_POST(self) -> None:
        self._serve("POST", self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, method: str, body: bytes) -> None:
        url = urlsplit(self.path)
        query = {name: int(values[0]) for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")[1:]
        api = _Api(self.node, query)
        status, answer = api.read(parts) if method == "GET" else api.write(parts, body)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.node.served.append(f"{method} {url.path}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if self.node.return_s is not None:
            self.send_header("Retry-After", self.node.return_s)
        self.end_headers()
        self.wfile.write(content)


@dataclass(frozen=True)
class _Api:
    node: FakeNode
    query: Mapping[str, int]

    def read(self, parts: list[str]) -> tuple[int, Any]:
        match parts:
            case ["enrol", invite]:
                return self._chain(invite)
            case ["org"]:
                return 200, self._overview()
            case ["org", "enrolments"]:
                return self._waiting()
            case ["org", "devices"]:
                return 200, list(self.node.devices.values())
            case ["org", "documents", Kind.COMPUTER]:
                shown = [item for kind, item in self.node.documents if kind is Kind.COMPUTER]
                return 200, [{"computer": computer, "version": 1} for computer in shown]
            case ["org", "documents", kind, *computer]:
                return self._document(Kind(kind), computer[0] if computer else None)
            case ["org", "changes"]:
                return self._changes()
        return _refusal(404, "REQUEST", "no such path")

    def write(self, parts: list[str], body: bytes) -> tuple[int, Any]:
        match parts:
            case ["enrol"]:
                return self._enrol(json.loads(body))
            case ["org", "invites"]:
                invite = json.loads(body)
                self.node.invites[invite["id"]] = invite
                return 201, {}
            case ["org", "enrolments", invite]:
                return self._take_answer(invite, json.loads(body))
            case ["org", "documents"]:
                self.node.put(body)
                return 201, {}
        return _refusal(404, "REQUEST", "no such path")

    def _enrol(self, body: Json) -> tuple[int, Any]:
        invite = self.node.invites.get(body["id"])
        if invite is None:
            return _refusal(403, "INVITE", "unknown")
        with self.node.changed:
            self.node.requests[body["id"]] = {**invite, **body}
            self.node.changed.notify_all()
        return 202, {}

    def _chain(self, invite: str) -> tuple[int, Any]:
        with self.node.changed:
            self.node.changed.wait_for(lambda: invite in self.node.answers, _WAIT_S)
        answer = self.node.answers.get(invite)
        if answer is None:
            return 202, {}
        return (
            (200, self.node.shown_chain(answer)) if "chain" in answer else _refusal(403, answer["refuse"], "")
        )

    def _waiting(self) -> tuple[int, Any]:
        def waiting() -> list[Json]:
            return [
                request
                for invite, request in self.node.requests.items()
                if invite not in self.node.answers or invite in self.node.asked_again
            ]

        with self.node.changed:
            self.node.changed.wait_for(lambda: bool(waiting()), _WAIT_S if "wait" in self.query else 0)
        return 200, [self.node.shown_request(request) for request in waiting()]

    def _take_answer(self, invite: str, answer: Json) -> tuple[int, Any]:
        if "chain" in answer and self.node.taken:
            return _refusal(409, "ID_TAKEN", "the computer ID")
        if invite in self.node.answers and self.node.answers[invite] != answer:
            return _refusal(403, "INVITE", "answered already")
        if "chain" in answer:
            leaf = parse_certificate(from_base64url(answer["chain"][0]))
            shown = {name: self.node.invites[invite].get(name) for name in ("kind", "label", "computer")}
            device = to_base64url(device_id(leaf))
            self.node.devices[device] = {"device": device, "enrolled": 1, "revoked": False, **shown}
        with self.node.changed:
            self.node.answers[invite] = answer
            self.node.changed.notify_all()
        return 200, {}

    def _overview(self) -> Json:
        kinds = [device["kind"] for device in self.node.devices.values()]
        revocations = self.node.documents.get((Kind.REVOCATIONS, None))
        return {
            "organisation": to_base64url(self.node.organisation),
            "counts": {"agents": kinds.count("agent"), "clients": kinds.count("client")},
            "versions": {
                "revocations": _payload(Kind.REVOCATIONS, revocations).version if revocations else 0
            },
        }

    def _document(self, kind: Kind, computer: str | None) -> tuple[int, Any]:
        encoded = self.node.documents.get((kind, computer))
        if encoded is None or (kind, computer) in self.node.withheld:
            return _refusal(404, "REQUEST", "there is none")
        return 200, encoded

    def _changes(self) -> tuple[int, Any]:
        since = self.query["since"]
        with self.node.changed:
            self.node.changed.wait_for(lambda: bool(self.node.behind()), 0 if since == 0 else _WAIT_S)
            return 200, {"next": since + 1, "computers": self.node.behind(), "revocations": 0}


def _payload(kind: Kind, encoded: bytes) -> Any:
    readers: dict[Kind, Callable[[bytes], Any]] = {
        Kind.COMPUTER: ComputerDocument.decode,
        Kind.STAMP: Stamp.decode,
        Kind.REVOCATIONS: RevocationList.decode,
    }
    return readers[kind](cose.take_apart(encoded).payload)


def _refusal(status: int, code: str, detail: str) -> tuple[int, Json]:
    return status, {
        "code": code,
        "sentence": {"en": "", "ja": ""},
        "retry": None,
        "server_time": 0,
        "detail": detail,
    }
