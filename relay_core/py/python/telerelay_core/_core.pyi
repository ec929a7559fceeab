"""The Rust core: sockets, TLS, framing, pairing and splicing. Conversion only; every class is frozen or a handle.

Identifiers that people read are text (attempt `7KQ2-M9XB`, computer `ABCD-EFGH-JKMN-PQRS-T`); all others are `bytes` of the
length that PROTOCOL.md §2 gives. Times in the past are Unix seconds, durations carry their unit in the name.

A handle (`Node`, `Agent`, `Client`) runs threads of its own. It tells what happened through a bounded queue: `event_fd()` is an eventfd
that becomes readable when the queue stops being empty, `events()` takes a batch and never blocks. No method of a handle waits for
the network.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypeAlias, final

__all__ = [
    "ERRORS_TOML",
    "LIMITS_TOML",
    "Agent",
    "AgentGone",
    "AgentOffline",
    "AgentOnline",
    "AgentReady",
    "ApiConnection",
    "Asked",
    "AskedAgain",
    "AttemptEnded",
    "Client",
    "CoreError",
    "Decision",
    "Dial",
    "Distribution",
    "DoorOpen",
    "DoorRefused",
    "Finished",
    "Flagged",
    "Identity",
    "Incoming",
    "News",
    "Node",
    "NoticeAsked",
    "RouteAsked",
    "SessionEnded",
    "SessionOpened",
    "SessionRules",
    "StageReached",
    "Stopped",
    "__version__",
    "format_attempt_id",
    "format_computer_id",
    "log_to_stderr",
    "parse_attempt_id",
    "parse_computer_id",
]

__version__: str
ERRORS_TOML: str
"""relay_core/spec/errors.toml, the catalogue of every code (PROTOCOL.md §13)."""
LIMITS_TOML: str
"""relay_core/spec/limits.toml, the table of every bound (docs/LIMITS.md)."""

_RoleName: TypeAlias = Literal["agent", "client", "admin", "keeper"]
_StageName: TypeAlias = Literal[
    "dial", "hello", "route", "claim", "accept", "inner", "auth", "open", "session"
]
_ServiceName: TypeAlias = Literal["rfb", "rdp"]
_PathName: TypeAlias = Literal["auto", "wrapped"]
_NewsName: TypeAlias = Literal["computer", "stamp", "revocations", "nodes"]
_SideName: TypeAlias = Literal["inside", "outside", "both"]
_NodeAddress: TypeAlias = tuple[str, list[str]]
"""Node name and its addresses, "host:port"."""

class CoreError(Exception):
    """The one exception of the core. `code` stands in errors.toml (PROTOCOL.md §13)."""

    code: str
    detail: str
    retry_after_s: int | None

def parse_computer_id(text: str) -> bytes:
    """The 10 bytes of a computer ID, typing errors corrected. Raises CoreError(USAGE) that names what is wrong (§2.1)."""

def format_computer_id(value: bytes) -> str:
    """A computer ID as it is shown, with its check character. Raises ValueError unless 10 bytes."""

def parse_attempt_id(text: str) -> bytes: ...
def format_attempt_id(value: bytes) -> str: ...
def log_to_stderr(level: Literal["debug", "info", "warning", "error"], json: bool) -> None:
    """Send the core's log lines to standard error. Once per process; later calls change nothing."""

# ---------------------------------------------------------------- dial stack

@final
class Dial:
    """How an endpoint reaches its cluster: nodes, pins, its own certificate (PROTOCOL.md §1, §3)."""

    def __new__(
        cls,
        *,
        nodes: Sequence[_NodeAddress],
        pins: Sequence[bytes],
        chain: str | PathLike[str] | None = None,
        key: str | PathLike[str] | None = None,
    ) -> Dial:
        """`chain`: PEM, leaf first. `key`: PKCS#8 PEM of mode 0600. Raises CoreError(KEY_FILE, CERTIFICATE)."""

    def open_api(self) -> int:
        """Connect with ALPN http/1.1. The descriptor of a stream socket that carries the plaintext; the caller owns it.

        Blocks without the GIL, at most 15 s. Raises CoreError(UNREACHABLE, PIN, CERTIFICATE).
        """

# ---------------------------------------------------------------- node

@final
class Identity:
    """Who is at the other end of a connection, as its certificate says (§3.1)."""

    @property
    def organisation(self) -> bytes: ...
    @property
    def device(self) -> bytes: ...
    @property
    def role(self) -> _RoleName: ...
    @property
    def computer(self) -> str | None: ...

@final
class Decision:
    """The answer to `RouteAsked` (§5.3)."""

    @staticmethod
    def deny(code: str) -> Decision: ...
    @staticmethod
    def here(agent: bytes) -> Decision: ...
    @staticmethod
    def redirect(node: _NodeAddress) -> Decision: ...
    @staticmethod
    def later(seconds: int) -> Decision: ...

@final
class AgentReady:
    """A device's ready connection stands (told again after each path)."""

    @property
    def organisation(self) -> bytes: ...
    @property
    def device(self) -> bytes: ...
    @property
    def computer(self) -> str: ...
    @property
    def program(self) -> str: ...
    @property
    def address(self) -> str: ...

@final
class AgentGone:
    """A device has no ready connection any more, for whatever reason."""

    @property
    def organisation(self) -> bytes: ...
    @property
    def device(self) -> bytes: ...

@final
class RouteAsked:
    """One CONNECT waits for `Node.decide` (§5.3). The only question that the node asks."""

    @property
    def ticket(self) -> int: ...
    @property
    def attempt(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    @property
    def organisation(self) -> bytes: ...
    @property
    def client(self) -> bytes: ...
    @property
    def address(self) -> str: ...
    @property
    def program(self) -> str: ...
    @property
    def computer(self) -> str: ...
    @property
    def service(self) -> _ServiceName: ...
    @property
    def resume(self) -> tuple[bytes, int] | None: ...

@final
class Asked:
    """What a client asked for that was not routed."""

    @property
    def address(self) -> str: ...
    @property
    def computer(self) -> str: ...
    @property
    def service(self) -> _ServiceName: ...

@final
class AttemptEnded:
    """The one terminal event of an attempt (§5.6, §14)."""

    @property
    def ticket(self) -> int: ...
    @property
    def attempt(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    @property
    def organisation(self) -> bytes: ...
    @property
    def client(self) -> bytes: ...
    @property
    def agent(self) -> bytes | None:
        """Where `here` was decided, so that a START record exists."""
    @property
    def asked(self) -> Asked | None:
        """What was asked for, where no START record says it."""
    @property
    def path_kind(self) -> Literal["none", "wrapped", "mixed", "direct"]: ...
    @property
    def code(self) -> str: ...
    @property
    def stage(self) -> _StageName: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def bytes_to_client(self) -> int: ...
    @property
    def bytes_to_agent(self) -> int: ...
    @property
    def session(self) -> bytes | None: ...
    @property
    def notices(self) -> list[bytes]: ...

@final
class ApiConnection:
    """A connection with ALPN http/1.1: `fd` is a stream socket with the plaintext, owned by the receiver (§11)."""

    @property
    def fd(self) -> int: ...
    @property
    def identity(self) -> Identity | None: ...
    @property
    def address(self) -> str: ...

@final
class Flagged:
    """Something that an administrator should look at: one certificate used by two machines (`ID_IN_USE`, §5.8)."""

    @property
    def organisation(self) -> bytes: ...
    @property
    def device(self) -> bytes: ...
    @property
    def code(self) -> str: ...

@final
class Distribution:
    """What a histogram has counted: `counts[i]` were above `upper[i - 1]` and at most `upper[i]`, the last beyond all."""

    @property
    def upper(self) -> list[float]:
        """Upper bounds in seconds, ascending; one fewer than `counts`."""
    @property
    def counts(self) -> list[int]: ...
    @property
    def sum(self) -> float:
        """All that was counted, added, in seconds."""

@final
class Stopped:
    """The handle has ended; no event follows."""

_NodeEvent: TypeAlias = AgentReady | AgentGone | RouteAsked | AttemptEnded | ApiConnection | Flagged | Stopped

@final
class Node:
    """The relay node's data plane: listeners, admission, pairing, wrapped paths (PROTOCOL.md §1, §3.4, §5)."""

    def __new__(
        cls,
        *,
        name: str,
        listeners: Sequence[tuple[str, _SideName]],
        chain: str | PathLike[str],
        key: str | PathLike[str],
        workers: int = 1,
        return_window_s: int = 1,
        banner: str | None = None,
        trusted_networks: Sequence[str] = ...,
        handshakes_per_s: int | None = None,
        arrivals_per_s: int | None = None,
        memory_budget: int = ...,
    ) -> Node:
        """`chain`: node certificate and cluster CA, PEM. Raises CoreError(KEY_FILE, CERTIFICATE, USAGE).

        `trusted_networks` (ADDRESS/LENGTH) are not limited by address; `handshakes_per_s` begin and `arrivals_per_s`
        CONNECTs are asked about at most, by default what the workers bear (PROTOCOL.md §1.3, §5.10). Beyond
        `memory_budget` (bytes of anonymous memory, by default no bound) nobody new is let in and who is idle goes.
        """

    def start(self) -> list[str]:
        """Listen; the bound addresses in the order of `listeners`. Raises CoreError(ADDRESS_IN_USE, MACHINE)."""

    def show(self, chain: str | PathLike[str], key: str | PathLike[str]) -> None:
        """Show this certificate in handshakes that begin from here on; who is connected stays so.

        Raises CoreError(KEY_FILE, CERTIFICATE).
        """

    def event_fd(self) -> int: ...
    def events(self, limit: int = 256) -> list[_NodeEvent]: ...
    def set_snapshot(
        self,
        *,
        organisations: Sequence[tuple[bytes, bool]],
        revoked: Sequence[tuple[bytes, Sequence[bytes]]],
        nodes_version: int,
        sessions: Sequence[tuple[bytes, int]] = ...,
        tests: Sequence[bytes] = ...,
    ) -> None:
        """Replace what HELLO is admitted by: (root certificate DER, suspended), (organisation, revoked devices), and (organisation, how many
        sessions it may have at once) where that is not `organisation_sessions` (§5.10). `tests`: organisations whose sessions are counted
        apart from the work of people.

        Live paths of devices and organisations that this takes away are cut (`REVOKED`, `SUSPENDED`). Raises CoreError(CERTIFICATE).
        """

    def decide(self, ticket: int, decision: Decision) -> None:
        """Answer RouteAsked. A ticket whose client left, or that was answered, is ignored."""

    def recorded(self, tickets: Sequence[int], code: str | None = None) -> None:
        """The START records of these tickets are durable, or could not be written (`code`)."""

    def news(
        self, organisation: bytes, device: bytes, kind: _NewsName, version: int, document: bytes | None = None
    ) -> None:
        """Send NEWS on the device's ready connection; without one nothing is sent."""

    def cut(self, organisation: bytes | None, device: bytes | None, code: str) -> int:
        """End every attempt of the device (agent or client), of the organisation, or of everybody. How many there were."""

    def cut_attempt(self, attempt: str, code: str) -> int:
        """End the attempts of this name (as shown, §2.2). How many there were. Raises CoreError(USAGE)."""

    def drain(self) -> None:
        """Take nothing new, until `resume` (§5.9); sessions go on for as long as they want."""

    def resume(self) -> None:
        """Take everybody again, unless `stop` was called."""

    def stop(self, grace_s: float) -> None:
        """Take nothing new, let sessions go on for `grace_s`, cut them (`DRAINED`), close. `Stopped` follows."""

    def statistics(self) -> dict[str, int]:
        """A snapshot of the core's counters and gauges, by name."""

    def distributions(self) -> dict[str, Distribution]:
        """A snapshot of the core's histograms, by name."""

# ---------------------------------------------------------------- agent

@final
class Incoming:
    """A client asks for this computer (§5.4). Answer within 4 s by `Agent.allow` or `Agent.refuse`."""

    @property
    def path(self) -> bytes: ...
    @property
    def attempt(self) -> str: ...
    @property
    def client(self) -> bytes: ...
    @property
    def service(self) -> _ServiceName: ...
    @property
    def address(self) -> str:
        """The client's address, reported by the node."""
    @property
    def program(self) -> str:
        """The client's program and version, self-reported."""
    @property
    def resume(self) -> tuple[bytes, int] | None: ...

@final
class AgentOnline:
    """The ready connection stands: WELCOME came."""

    @property
    def node(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def nodes_version(self) -> int: ...
    @property
    def banner(self) -> str | None: ...

@final
class AgentOffline:
    """The ready connection is gone or could not be made."""

    @property
    def code(self) -> str: ...
    @property
    def retry_ms(self) -> int | None:
        """Until the next dial; None: the node said not to come back, and the agent does not dial any more."""

@final
class News:
    """NEWS from the node (§4): a document of this version exists; `document` is there when it travelled along."""

    @property
    def kind(self) -> _NewsName: ...
    @property
    def version(self) -> int: ...
    @property
    def document(self) -> bytes | None: ...

@final
class SessionOpened:
    """A session is open (§8.1)."""

    @property
    def attempt(self) -> str: ...
    @property
    def session(self) -> bytes: ...
    @property
    def client(self) -> bytes:
        """The client's device ID at the agent; empty at the client."""
    @property
    def path_kind(self) -> Literal["wrapped", "direct"]:
        """How this end's leg travels; the other end's is the node's to know."""
    @property
    def rules(self) -> list[str]: ...

@final
class SessionEnded:
    """A session, or an attempt that did not become one, has ended.

    Exactly one for each path of an agent, and for each request of a client: a request whose path was lost asks once more, and `attempt` is
    the last one.
    """

    @property
    def attempt(self) -> str: ...
    @property
    def session(self) -> bytes | None: ...
    @property
    def client(self) -> bytes: ...
    @property
    def path_kind(self) -> Literal["none", "wrapped", "direct"]:
        """How this end's leg travelled."""
    @property
    def code(self) -> str: ...
    @property
    def stage(self) -> _StageName: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def bytes_sent(self) -> int:
        """Application bytes sent into the session by this endpoint."""
    @property
    def bytes_received(self) -> int: ...
    @property
    def retry_after_s(self) -> int | None: ...
    @property
    def place(self) -> int | None:
        """How many are before it, where it was one too many (§5.10)."""
    @property
    def detail(self) -> str:
        """Where it broke, for a person: a node, an address; never content. May be empty."""

@final
class SessionRules:
    """What the agent's verdict allows for one session; rules come from the computer document.

    `watermark`: the width of a pattern in pixels, and its weights row by row, each a signed byte (docs/GUARD.md §13).
    """

    def __new__(
        cls,
        *,
        sessions: int,
        resume_limit_s: int,
        idle_timeout_s: int,
        view_only: bool = False,
        watermark: tuple[int, bytes] | None = None,
        ends: tuple[int, str] | None = None,
        notices: Sequence[str] = ...,
        shown: Sequence[str],
    ) -> SessionRules:
        """`ends`: after how many seconds a session ends in any case, and its code then. Raises CoreError(USAGE).

        `idle_timeout_s`: without input, where there is a guard; 0: never. `notices`: what the person confirms before, at most 16.
        """

_AgentEvent: TypeAlias = AgentOnline | AgentOffline | Incoming | News | SessionOpened | SessionEnded | Stopped

@final
class Agent:
    """The office PC's endpoint: one ready connection, sessions to one desktop (PROTOCOL.md §5.4, §7, §8)."""

    def __new__(
        cls,
        *,
        dial: Dial,
        root: bytes,
        computer: str,
        desktop: str,
        service: _ServiceName,
        program: str,
        path: _PathName = "auto",
        password: bytes | None = None,
    ) -> Agent:
        """Raises CoreError(CERTIFICATE) where the chain is not that of `computer`, CoreError(USAGE).

        `root`: the organisation's root certificate, DER. `desktop`: "127.0.0.1:5900", "[::1]:5900" or "unix:/path"; only loopback.
        `password`: what the desktop asks for, where it wants one; of RFB's only the first 8 bytes count.
        """

    def start(self) -> None: ...
    def start_open(self) -> None:
        """Without a guard. Only in the build that tests use (cargo feature `open`); no wheel has it."""

    def event_fd(self) -> int: ...
    def events(self, limit: int = 256) -> list[_AgentEvent]: ...
    def allow(self, path: bytes, rules: SessionRules) -> None: ...
    def refuse(self, path: bytes, code: str) -> None: ...
    def set_revoked(self, devices: Sequence[bytes]) -> None:
        """The revocation list in force: no inner handshake with these, live sessions of theirs end with `REVOKED`.

        Before `start` too: what is in force from the first moment.
        """

    def set_nodes(self, nodes: Sequence[_NodeAddress]) -> None:
        """The node list in force, for the next dial."""

    def stop(self) -> None:
        """End every session (`ABSENT`), leave. `Stopped` follows."""

# ---------------------------------------------------------------- client

@final
class StageReached:
    """An attempt got to this stage, `elapsed_ms` after it began."""

    @property
    def attempt(self) -> str: ...
    @property
    def stage(self) -> _StageName: ...
    @property
    def elapsed_ms(self) -> int: ...
    @property
    def detail(self) -> str:
        """`dial`: the node's name; `inner`: the negotiated group."""

@final
class AskedAgain:
    """The path was lost and is asked for again; the request goes on as this attempt."""

    @property
    def attempt(self) -> str: ...

@final
class NoticeAsked:
    """A text that the person confirms before the session of this attempt opens (§8.1)."""

    @property
    def attempt(self) -> str: ...
    @property
    def hash(self) -> bytes:
        """SHA-256 of the text."""
    @property
    def text(self) -> str: ...
    def answer(self, confirmed: bool) -> None:
        """What the person said: a no ends the session (`NOTICES`). A second answer changes nothing."""

@final
class DoorOpen:
    """The local door listens; `address` is "127.0.0.1:PORT" or the socket's path."""

    @property
    def address(self) -> str: ...

@final
class DoorRefused:
    """A local connection was refused: it belongs to another user of this machine."""

@final
class Finished:
    """No session is left; `code` is that of the first session, or of the one that failed."""

    @property
    def code(self) -> str: ...
    @property
    def attempt(self) -> str: ...

_ClientEvent: TypeAlias = (
    StageReached
    | AskedAgain
    | NoticeAsked
    | SessionOpened
    | SessionEnded
    | DoorOpen
    | DoorRefused
    | Finished
    | Stopped
)

@final
class Client:
    """The home PC's endpoint: sessions to one computer behind a local door (PROTOCOL.md §5.5, §7, §8)."""

    def __new__(
        cls,
        *,
        dial: Dial,
        root: bytes,
        computer: str,
        service: _ServiceName,
        door: str,
        program: str,
        path: _PathName = "auto",
    ) -> Client:
        """`door`: "unix:/path" (mode 0600) or "tcp:127.0.0.1:PORT" (0 = any; other local users are refused)."""

    def start(self) -> None:
        """Open the first session at once; the door listens when it is open. Raises CoreError(ADDRESS_IN_USE, MACHINE)."""

    def event_fd(self) -> int: ...
    def events(self, limit: int = 256) -> list[_ClientEvent]: ...
    def stop(self) -> None:
        """End every session (`DONE`), close the door. `Stopped` follows."""
