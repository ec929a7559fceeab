"""The node's outer TLS by OpenSSL (PROTOCOL.md §1.1): what it presents, and whom it lets in."""

import base64
import ssl
from collections.abc import Sequence
from pathlib import Path

# OpenSSL's X509_CERT_AUX: this very certificate may be a TLS client's, whatever usage it names; an agent's
# names serverAuth.
_MAY_BE_CLIENT = bytes.fromhex("300c300a06082b06010505070302")
ALPN = ["telerelay/1", "http/1.1"]


def server_context(chain: Path, key: Path, devices: Sequence[bytes]) -> ssl.SSLContext:
    """A server with a node's chain. `devices`: the leaf certificates (DER) of those who may come."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(ALPN)
    # The API goes on without a certificate; the gate refuses a leg without one.
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if devices:
        trusted = chain.with_suffix(".trusted")
        trusted.write_text("".join(map(_trusted, devices)))
        context.load_verify_locations(trusted)
    return context


def _trusted(leaf: bytes) -> str:
    body = base64.encodebytes(leaf + _MAY_BE_CLIENT).decode()
    return f"-----BEGIN TRUSTED CERTIFICATE-----\n{body}-----END TRUSTED CERTIFICATE-----\n"
