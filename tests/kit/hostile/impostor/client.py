"""The node as a client: it begins the handshake with an agent itself, and waits for what it would say."""

import os
from collections.abc import Sequence

from telerelay.prove.tls13 import OfferedShare, Protection
from tests.kit.hostile.impostor.agent import INNER_ALPN, SIGNATURE_ALGORITHMS, alpn
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
    CLIENT_HELLO,
    HYBRID,
    KEY_SHARE,
    SUPPORTED_GROUPS,
    SUPPORTED_VERSIONS,
    read_server_hello,
)
from tests.kit.hostile.node.leg import Leg

X25519 = 0x001D


async def pose_as_client(
    leg: Leg, mask: Mask | None, group: int = HYBRID, protocols: Sequence[bytes] = (INNER_ALPN,)
) -> Heard:
    """Run the handshake on a leg behind PAIRED; no mask, no certificate. `group`: HYBRID or X25519.

    `protocols`: what ALPN offers, nothing where it is empty.
    """
    stream = InnerStream(leg)
    transcript = stream.transcript
    share = OfferedShare()
    own = share.encoded if group == HYBRID else share.curve.public_key().public_bytes_raw()
    await stream.send(_client_hello(group, own, protocols))
    received = await stream.message()
    if received is None:
        return stream.heard
    transcript.agree(share.agree(read_server_hello(received[1]).chosen_share))
    writing, reading = (transcript.secret(f"{side} hs traffic") for side in "cs")
    stream.reading, stream.writing = Protection(reading), Protection(writing)
    while received is not None and received[0] != FINISHED:
        received = await stream.message()
    if received is None:
        return stream.heard
    transcript.finish()
    next_writing, next_reading = (transcript.secret(f"{side} ap traffic") for side in "cs")
    await stream.send(certificate(mask.chain if mask else []))
    if mask:
        await stream.send(certificate_verify(transcript, mask.key, "client"))
    await stream.send(message(FINISHED, transcript.finished(writing)))
    stream.reading, stream.writing = Protection(next_reading), Protection(next_writing)
    return await stream.listen()


def _client_hello(group: int, share: bytes, protocols: Sequence[bytes]) -> bytes:
    number = group.to_bytes(2, "big")
    extensions = [
        extension(SUPPORTED_VERSIONS, vector(b"\x03\x04", 1)),
        extension(SUPPORTED_GROUPS, vector(number, 2)),
        extension(SIGNATURE_ALGORITHMS, vector(ECDSA_P256, 2)),
        extension(KEY_SHARE, vector(number + vector(share, 2), 2)),
        alpn(protocols),
    ]
    suites = vector(bytes.fromhex("1301"), 2)
    return message(
        CLIENT_HELLO,
        b"\x03\x03"
        + os.urandom(32)
        + vector(b"", 1)
        + suites
        + vector(b"\0", 1)
        + vector(b"".join(extensions), 2),
    )
