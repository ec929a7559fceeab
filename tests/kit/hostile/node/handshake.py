"""What an inner handshake shows to whoever carries it: ClientHello and ServerHello (RFC 8446 §4.1)."""

from dataclasses import dataclass

from tests.kit.decoder import records

SERVER_NAME, ALPN, SUPPORTED_GROUPS, KEY_SHARE, SUPPORTED_VERSIONS = 0, 16, 10, 51, 43
EARLY_DATA, PRE_SHARED_KEY = 42, 41
CLIENT_HELLO, SERVER_HELLO = 1, 2
HYBRID = 0x11EC


@dataclass(frozen=True)
class Hello:
    """A ClientHello or ServerHello: its legacy session ID, and its extensions by number."""

    session: bytes
    extensions: dict[int, bytes]

    @property
    def offered_groups(self) -> list[int]:
        """The groups that a ClientHello supports."""
        return _numbers(self.extensions[SUPPORTED_GROUPS][2:])

    @property
    def offered_shares(self) -> dict[int, bytes]:
        """A ClientHello's key shares by their group."""
        rest, shares = self.extensions[KEY_SHARE][2:], {}
        while rest:
            group = int.from_bytes(rest[:2], "big")
            shares[group], rest = _vector(rest[2:], 2)
        return shares

    @property
    def chosen_group(self) -> int:
        """The group of a ServerHello's key share."""
        return int.from_bytes(self.extensions[KEY_SHARE][:2], "big")

    @property
    def chosen_share(self) -> bytes:
        """A ServerHello's key share."""
        return _vector(self.extensions[KEY_SHARE][2:], 2)[0]


def client_hello(stream: bytes) -> Hello:
    """The ClientHello that a stream of TLS records begins with."""
    return read_client_hello(_message(stream, CLIENT_HELLO))


def server_hello(stream: bytes) -> Hello:
    """The ServerHello that a stream of TLS records begins with."""
    return read_server_hello(_message(stream, SERVER_HELLO))


def read_client_hello(body: bytes) -> Hello:
    """The body of a ClientHello."""
    session, rest = _vector(body[2 + 32 :], 1)
    _suites, rest = _vector(rest, 2)
    _compressions, rest = _vector(rest, 1)
    return Hello(session, _extensions(rest))


def read_server_hello(body: bytes) -> Hello:
    """The body of a ServerHello."""
    session, rest = _vector(body[2 + 32 :], 1)
    return Hello(session, _extensions(rest[3:]))


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


def _extensions(data: bytes) -> dict[int, bytes]:
    block, _ = _vector(data, 2)
    found = {}
    while block:
        kind = int.from_bytes(block[:2], "big")
        found[kind], block = _vector(block[2:], 2)
    return found


def _vector(data: bytes, width: int) -> tuple[bytes, bytes]:
    """What a length of `width` bytes covers, and what stands behind it."""
    end = width + int.from_bytes(data[:width], "big")
    return data[width:end], data[end:]


def _numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
