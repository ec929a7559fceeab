"""The node as the agent: it answers a client's handshake itself, and waits for what it would say."""

import os
from collections.abc import Sequence

from telerelay.prove.tls13 import Protection
from tests.kit.hostile.impostor.share import answer_share
from tests.kit.hostile.impostor.stream import (
    ECDSA_P256,
    FINISHED,
    Heard,
    InnerStream,
    Mask,
    certificate,
    certificate_verify,
    extension,
    message,
    vector,
)
from tests.kit.hostile.node.handshake import (
    ALPN,
    HYBRID,
    KEY_SHARE,
    SERVER_HELLO,
    SUPPORTED_VERSIONS,
    read_client_hello,
)
from tests.kit.hostile.node.leg import Leg

ENCRYPTED_EXTENSIONS, CERTIFICATE_REQUEST = 8, 13
SIGNATURE_ALGORITHMS = 13
INNER_ALPN = b"telerelay-inner/1"
_AUTH_DONE = bytes.fromhex("00018301a0")


async def pose_as_agent(leg: Leg, mask: Mask, protocols: Sequence[bytes] = (INNER_ALPN,)) -> Heard:
    """Run the handshake on a leg behind PAIRED; where the client falls for it, let it go on to OPEN.

    `protocols`: what ALPN answers, nothing where it is empty.
    """
    stream = InnerStream(leg)
    transcript = stream.transcript
    received = await stream.message()
    assert received is not None
    hello = read_client_hello(received[1])
    share, shared = answer_share(hello.offered_shares[HYBRID])
    await stream.send(_server_hello(hello.session, share))
    transcript.agree(shared)
    reading, writing = (transcript.secret(f"{side} hs traffic") for side in "cs")
    stream.reading, stream.writing = Protection(reading), Protection(writing)
    await stream.send(_encrypted_extensions(protocols), _certificate_request(), certificate(mask.chain))
    await stream.send(certificate_verify(transcript, mask.key, "server"))
    await stream.send(message(FINISHED, transcript.finished(writing)))
    transcript.finish()
    next_reading, next_writing = (transcript.secret(f"{side} ap traffic") for side in "cs")
    stream.writing = Protection(next_writing)
    while received is not None and received[0] != FINISHED:
        received = await stream.message()
    if received is not None:
        stream.heard.finished = True
        stream.reading = Protection(next_reading)
        await stream.send_application(_AUTH_DONE)
    return await stream.listen()


def _server_hello(session: bytes, share: bytes) -> bytes:
    extensions = extension(SUPPORTED_VERSIONS, b"\x03\x04") + extension(
        KEY_SHARE, HYBRID.to_bytes(2, "big") + vector(share, 2)
    )
    suite = bytes.fromhex("130100")
    return message(
        SERVER_HELLO, b"\x03\x03" + os.urandom(32) + vector(session, 1) + suite + vector(extensions, 2)
    )


def _encrypted_extensions(protocols: Sequence[bytes]) -> bytes:
    return message(ENCRYPTED_EXTENSIONS, vector(alpn(protocols), 2))


def alpn(protocols: Sequence[bytes]) -> bytes:
    """The extension with these protocols; nothing where there are none."""
    names = b"".join(vector(protocol, 1) for protocol in protocols)
    return extension(ALPN, vector(names, 2)) if protocols else b""


def _certificate_request() -> bytes:
    algorithms = extension(SIGNATURE_ALGORITHMS, vector(ECDSA_P256, 2))
    return message(CERTIFICATE_REQUEST, vector(b"", 1) + vector(algorithms, 2))
