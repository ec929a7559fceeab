"""The node's API on a stream, HTTP/1.1: it answers what a test lays out (PROTOCOL.md §11)."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, bytes]
Handler = Callable[[bytes], Answer]


@dataclass
class Api:
    """What is answered: by method and path (`GET /v1/documents/stamp`); everything else is unknown."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def lay_out(self, what: str, answer: Answer) -> None:
        """Answer a method and path always the same."""
        self.handlers[what] = lambda _body: answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        while request := await _read_request(reader):
            what, body = request
            self.asked.append(what)
            handler = self.handlers.get(what)
            status, content = handler(body) if handler else refusal(404, "REQUEST")
            head = f"HTTP/1.1 {status} .\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            await writer.drain()


def refusal(status: int, code: str) -> Answer:
    """An error as §11 gives it."""
    return as_json(
        {"code": code, "sentence": {"en": "", "ja": ""}, "retry": None, "server_time": 1, "detail": ""},
        status,
    )


def as_json(value: Any, status: int = 200) -> Answer:
    return status, json.dumps(value).encode()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *headers = head.decode().split("\r\n")
    method, target, _version = line.split(" ")
    fields = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in headers)}
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return f"{method} {target}", body
