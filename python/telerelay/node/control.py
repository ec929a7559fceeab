"""The operator's side of DATA/control.sock: what the `node` commands ask of the running node (§11)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from telerelay.metrics.distribution import Counted, Snapshot
from telerelay.node.draining import Progress, State
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.json_fields import Fields, each
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import to_base64url

TIMEOUT_S: Final = LIMITS["control_s"]
PREFIX_MINIMUM: Final = LIMITS["prefix_digits"]


@dataclass(frozen=True)
class Organisation:
    """An admitted organisation. Times are Unix seconds; `name` is what its root calls itself."""

    organisation: bytes
    name: str
    admitted: int
    suspended: int | None
    devices: int
    sessions: int | None
    until: int | None
    flagged: int


@dataclass(frozen=True)
class NodeState:
    """A node as it stands; the load is its machine's, of the last minute."""

    name: str
    state: State
    sessions: int
    attempts: int
    ready_agents: int
    load_percent: int
    drain: Progress | None


class NodeControl:
    """A conversation with the node that runs on a data folder. Every method raises TelerelayError."""

    def __init__(self, control: Path) -> None:
        self._control = control
        transport = httpx.HTTPTransport(uds=str(control))
        self._client = httpx.Client(
            transport=transport, base_url="http://node", timeout=TIMEOUT_S, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def admit(
        self, pem: bytes, sessions: int | None = None, until: int | None = None
    ) -> tuple[bytes, bool, str]:
        """Admit an organisation by its root.

        `sessions`: how many it may have at once, `until`: when its admission for a test ends (Unix seconds);
        None: as it is. Its ID (32 bytes), whether that changed anything, and the cluster line.
        """
        said = {"sessions": sessions, "until": until}
        said = {name: value for name, value in said.items() if value is not None}
        body = Fields(self._ask("POST", "/v1/node/organisations", content=pem, params=said))
        return body.binary("organisation", 32), body.boolean("new"), body.text("cluster_line")

    def organisations(self) -> list[Organisation]:
        """Every admitted organisation, oldest first."""
        return [
            Organisation(
                item.binary("organisation", 32),
                item.text("name"),
                item.number("admitted"),
                item.optional("suspended", item.number),
                item.number("devices"),
                item.optional("sessions", item.number),
                item.optional("until", item.number),
                item.number("flagged"),
            )
            for item in each(self._ask("GET", "/v1/node/organisations"))
        ]

    def find(self, typed: str) -> Organisation:
        """The organisation whose ID begins with `typed` (hex). Raises TelerelayError(USAGE)."""
        typed = typed.lower()
        if len(typed) < PREFIX_MINIMUM:
            raise TelerelayError(
                "USAGE", f"{typed!r} is too short: {PREFIX_MINIMUM} hex digits name an organisation"
            )
        found = [row for row in self.organisations() if row.organisation.hex().startswith(typed)]
        if len(found) != 1:
            how_many = "no" if not found else str(len(found))
            raise TelerelayError("USAGE", f"{how_many} organisation has an ID that begins with {typed!r}")
        return found[0]

    def suspend(self, organisation: bytes, reason: str) -> None:
        """Suspend an organisation (ID of 32 bytes) and end its sessions."""
        path = f"/v1/node/organisations/{to_base64url(organisation)}/suspend"
        self._ask("POST", path, json={"reason": reason})

    def state(self) -> NodeState:
        """What the node does and carries."""
        return _state(self._ask("GET", "/v1/node/state"))

    def drain(self) -> NodeState:
        """Take nothing new, until it is taken back."""
        return _state(self._ask("POST", "/v1/node/drain"))

    def cancel_drain(self) -> NodeState:
        """Take everybody again."""
        return _state(self._ask("DELETE", "/v1/node/drain"))

    def force_drain(self, by: str, reason: str) -> int:
        """Take nothing new and end what runs; how many sessions and requests there were."""
        said = {"by": by, "reason": reason}
        return Fields(self._ask("POST", "/v1/node/drain/force", json=said)).number("ended")

    def cut(self, target: Mapping[str, str], by: str, reason: str) -> int:
        """End sessions; how many there were. `target`: one field of `node.api.running.Cut`."""
        said = {**target, "by": by, "reason": reason}
        return Fields(self._ask("POST", "/v1/node/cut", json=said)).number("ended")

    def statistics(self) -> dict[str, int]:
        """The node's counters and gauges."""
        counted: dict[str, int] = self._ask("GET", "/v1/node")["statistics"]
        return counted

    def snapshot(self) -> Snapshot:
        """All that the node counts."""
        answer = self._ask("GET", "/v1/node")
        return Snapshot(
            answer["statistics"],
            {name: Counted(**shown) for name, shown in answer["distributions"].items()},
        )

    def audit_records(self, wanted: Mapping[str, str | int]) -> Iterator[bytes]:
        """Audit records that fit (`node.api.audit.Asked`), one a line, oldest first."""
        return self._lines("GET", "/v1/node/audit/records", params=dict(wanted))

    def audit_chain(self) -> Iterator[bytes]:
        """Every audit record as lines of `telerelay.audit.proof`."""
        return self._lines("GET", "/v1/node/audit/chain")

    def audit_export(self, demand: Mapping[str, str | int]) -> Iterator[bytes]:
        """An organisation's audit records (`node.api.audit.Export`) as lines of `telerelay.audit.proof`."""
        return self._lines("POST", "/v1/node/audit/exports", json=dict(demand))

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        try:
            response = self._client.request(method, path, **body)
            answer = response.json()
        except (httpx.TransportError, ValueError) as error:
            raise self._unreachable(error) from error
        if response.is_success:
            return answer
        raise _failure(answer)

    def _lines(self, method: str, path: str, **asked: Any) -> Iterator[bytes]:
        """An answer that may be longer than memory, line by line."""
        try:
            with self._client.stream(method, path, **asked) as response:
                if not response.is_success:
                    response.read()
                    raise _failure(response.json())
                rest = b""
                for block in response.iter_bytes():
                    *lines, rest = (rest + block).split(b"\n")
                    yield from lines
        except (httpx.TransportError, ValueError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> TelerelayError:
        return TelerelayError("UNREACHABLE", f"no node answers at {self._control}: {error}")


def _state(answer: Any) -> NodeState:
    state = Fields(answer)
    return NodeState(
        state.text("name"),
        State(state.text("state")),
        state.number("sessions"),
        state.number("attempts"),
        state.number("ready_agents"),
        state.number("load_percent"),
        _progress(answer["drain"]) if "drain" in answer else None,
    )


def _progress(answer: Any) -> Progress:
    drain = Fields(answer)
    return Progress(
        drain.number("since"), drain.number("sessions"), drain.number("ended"), drain.number("cut")
    )


def _failure(answer: Any) -> TelerelayError:
    failure = Fields(answer)
    return TelerelayError(
        failure.text("code"),
        failure.text("detail"),
        retry_after_s=failure.optional("retry", failure.number),
    )
