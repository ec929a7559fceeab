"""What an inner handshake shows to whoever carries it: ClientHello and ServerHello (RFC 8446 §4.1)."""

from dataclasses import dataclass

from tests.kit.decoder import records

SERVER_NAME, ALPN, SUPPORTED_GROUPS, KEY_SHARE, SUPPORTED_VERSIONS = 0, 16, 10, 51, 43
EARLY_DATA, PRE_SHARED_KEY = 42, 41
_CLIENT_HELLO, _SERVER_HELLO = 1, 2


@dataclass(frozen=True)
class Hello:
    """A ClientHello or ServerHello: its extensions by number."""

    extensions: dict[int, bytes]

    @property
    def offered_groups(self) -> list[int]:
        """The groups that a ClientHello supports."""
        return _numbers(self.extensions[SUPPORTED_GROUPS][2:])

    @property
    def offered_shares(self) -> list[int]:
        """The groups that a ClientHello has a key share of."""
        rest, groups = self.extensions[KEY_SHARE][2:], []
        while rest:
            groups.append(int.from_bytes(rest[:2], "big"))
            rest = rest[4 + int.from_bytes(rest[2:4], "big") :]
        return groups

    @property
    def chosen_group(self) -> int:
        """The group of a ServerHello's key share."""
        return int.from_bytes(self.extensions[KEY_SHARE][:2], "big")


def client_hello(stream: bytes) -> Hello:
    """The ClientHello that a stream of TLS records begins with."""
    body = _message(stream, _CLIENT_HELLO)
    rest = body[2 + 32 :]
    rest = rest[1 + rest[0] :]
    rest = rest[2 + int.from_bytes(rest[:2], "big") :]
    rest = rest[1 + rest[0] :]
    return Hello(_extensions(rest))


def server_hello(stream: bytes) -> Hello:
    """The ServerHello that a stream of TLS records begins with."""
    body = _message(stream, _SERVER_HELLO)
    rest = body[2 + 32 :]
    return Hello(_extensions(rest[1 + rest[0] + 3 :]))


def _message(stream: bytes, kind: int) -> bytes:
    """The first handshake message, put together from as many records as it spans."""
    data = b""
    for record in records.scan(stream):
        assert record.content == "handshake", record
        data += stream[record.start + records.HEADER : record.end]
        if len(data) >= 4 and len(data) >= 4 + (length := int.from_bytes(data[1:4], "big")):
            assert data[0] == kind, data[0]
            return data[4 : 4 + length]
    raise AssertionError("the stream ends within its first handshake message")


def _extensions(block: bytes) -> dict[int, bytes]:
    rest, found = block[2 : 2 + int.from_bytes(block[:2], "big")], {}
    while rest:
        length = int.from_bytes(rest[2:4], "big")
        found[int.from_bytes(rest[:2], "big")] = rest[4 : 4 + length]
        rest = rest[4 + length :]
    return found


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
