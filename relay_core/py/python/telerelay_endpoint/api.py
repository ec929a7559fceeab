"""The node's API for endpoints: httpx over a stream that the Rust dial stack opened (PROTOCOL.md §11).

One place for pins, keys and proxies is the dial stack's; Python opens no TLS.
"""

import contextlib
import re
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

import httpcore
import httpx
import tenacity
from httpx import codes
from typing_extensions import override

from telerelay_core import CoreError
from telerelay_endpoint import foreign_json
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.errors import InfrastructureError, TelerelayError
from telerelay_endpoint.json_fields import Fields, each
from telerelay_endpoint.limits import LIMITS

LONG_POLL_S: Final = LIMITS["api_wait_s"]
_RETURN_S: Final = LIMITS["api_return_s"]
_ANSWER_S: Final = LIMITS["api_request_s"]
_ANSWER_MAXIMUM: Final = LIMITS["api_answer_bytes"]
_TRIES: Final = LIMITS["api_tries"]


class Opener(Protocol):
    """Whatever opens a connection to the API: `telerelay_core.Dial`."""

    def open_api(self) -> int:
        """A connected stream socket that carries plaintext HTTP/1.1. Raises CoreError."""


class ConnectionLostError(InfrastructureError):
    """The connection broke before the answer was there."""

    def __init__(self, detail: str) -> None:
        super().__init__("UNREACHABLE", detail)


@dataclass(frozen=True)
class Computer:
    """A computer that a client is granted; `present` is a hint only."""

    computer: bytes
    label: str
    present: bool


class NodeApi:
    """A conversation with one cluster. Every method raises TelerelayError: the node's code, or the dial's."""

    def __init__(self, opener: Opener) -> None:
        # Neither proxies nor certificates from the environment: the dial stack has its own.
        self._backend = _DialBackend(opener)
        self._returns = 0.0
        self._client = httpx.Client(
            transport=_DialTransport(self._backend),
            base_url="http://node",
            trust_env=False,
            timeout=_ANSWER_S,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def abandon(self) -> None:
        """End whatever another thread waits for here: it raises there, as will every later request."""
        self._backend.abandon()

    def get(
        self,
        path: str,
        *,
        query: Mapping[str, int] | None = None,
        headers: Mapping[str, str] | None = None,
        long: bool = False,
    ) -> httpx.Response:
        """GET; the node may hold a `long` one for LONG_POLL_S.

        A node with few places left answers a long one before its time and says when to come back: so long the
        next one waits here.
        """
        timeout = _ANSWER_S + (LONG_POLL_S if long else 0)
        request = self._client.build_request("GET", path, params=query, headers=headers, timeout=timeout)
        if not long:
            return self._send(request)
        self._backend.pause(self._returns - time.monotonic())
        response = self._send(request)
        self._returns = time.monotonic() + _return_s(response)
        return response

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """POST of a JSON object."""
        return self._send(self._client.build_request("POST", path, json=body))

    def post_document(self, path: str, encoded: bytes) -> None:
        """POST of a signed document."""
        headers = {"Content-Type": "application/cose"}
        self._send(self._client.build_request("POST", path, content=encoded, headers=headers))

    def document(self, path: str) -> bytes | None:
        """A signed document, unverified; None when there is none."""
        response = self._send(self._client.build_request("GET", path), may_be_missing=True)
        return None if response.status_code == codes.NOT_FOUND else response.content

    def own_document(self, kind: Kind) -> bytes | None:
        """An agent's own document, unverified; None when there is none yet."""
        return self.document(f"/v1/documents/{kind}")

    def computers(self) -> list[Computer]:
        """What this client is granted."""
        return [
            Computer(item.computer("computer"), item.text("label"), item.boolean("present"))
            for item in each(read_json(self.get("/v1/computers")))
        ]

    def server_time(self) -> int:
        """The node's clock, Unix seconds: every refusal tells it (§11), and there is nothing at this path."""
        return Fields(read_json(self._client.get("/"))).number("server_time")

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(ConnectionLostError),
        stop=tenacity.stop_after_attempt(_TRIES),
        wait=tenacity.wait_random(0, 1),
        reraise=True,
    )
    def _send(self, request: httpx.Request, *, may_be_missing: bool = False) -> httpx.Response:
        response = self._client.send(request)
        if response.is_success or (may_be_missing and response.status_code == codes.NOT_FOUND):
            return response
        raise _refusal(response)


def read_json(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises TelerelayError(UNREACHABLE)."""
    try:
        return foreign_json.read(response.content)
    except ValueError as error:
        raise TelerelayError("UNREACHABLE", "the node's answer is no JSON") from error


def _return_s(response: httpx.Response) -> int:
    """Seconds after which the node wants to be asked again; none decides on more than the protocol does."""
    said = response.headers.get("retry-after", "0")
    return min(int(said), _RETURN_S) if re.fullmatch("[0-9]{1,9}", said) else _RETURN_S


def _refusal(response: httpx.Response) -> TelerelayError:
    body = Fields(read_json(response))
    return TelerelayError(
        body.text("code"),
        body.optional("detail", body.text) or "",
        retry_after_s=body.optional("retry", body.number),
    )


# ---------------------------------------------------------------- transport


class _DialTransport(httpx.BaseTransport):
    def __init__(self, backend: "_DialBackend") -> None:
        self._pool = httpcore.ConnectionPool(network_backend=backend)

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("this transport is synchronous")
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = self._pool.handle_request(asked)
            try:
                content = _read_bounded(answer)
            finally:
                answer.close()
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise ConnectionLostError(f"the connection to the node broke: {type(error).__name__}") from error
        return httpx.Response(answer.status, headers=answer.headers, content=content, request=request)

    @override
    def close(self) -> None:
        self._pool.close()


def _read_bounded(answer: httpcore.Response) -> bytes:
    content = bytearray()
    for part in answer.iter_stream():
        content += part
        if len(content) > _ANSWER_MAXIMUM:
            raise TelerelayError("UNREACHABLE", f"the node's answer is longer than {_ANSWER_MAXIMUM} bytes")
    return bytes(content)


class _DialBackend(httpcore.NetworkBackend):
    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._abandoned = threading.Event()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def abandon(self) -> None:
        """Closing a descriptor would not wake a thread that reads from it; shutting the stream down does."""
        with self._lock:
            self._abandoned.set()
            for connected in self._open:
                with contextlib.suppress(OSError):  # closed by its own thread a moment ago
                    connected.shutdown(socket.SHUT_RDWR)

    def pause(self, seconds: float) -> None:
        """Wait, until it is abandoned at most."""
        self._abandoned.wait(seconds)

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """The dial stack knows the node's addresses and its own deadlines: nothing of this is asked for."""
        try:
            descriptor = self._opener.open_api()
        except CoreError as error:
            raise TelerelayError.from_core(error) from error
        connected = socket.socket(fileno=descriptor)
        with self._lock:
            if self._abandoned.is_set():
                connected.close()
                raise TelerelayError("INTERRUPTED")
            self._open.add(connected)
        return _SocketStream(connected)


class _SocketStream(httpcore.NetworkStream):
    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._socket.settimeout(timeout)
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    @override
    def close(self) -> None:
        self._socket.close()

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        raise NotImplementedError("TLS ends in the dial stack")

    @override
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Readable while idle: the other side closed it. Unlike select, poll takes any descriptor.
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return bool(poll.poll(0))
        return None
