"""Device certificates for requests that a node passed on: believed as far as the invite's keys reach."""

import hmac
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from telerelay.authority.profile import certify_agent, certify_client
from telerelay_endpoint.certificates import CertificateRefusedError, organisation_id, requested_key
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteTerms, invite_secret, request_mac
from telerelay_endpoint.keys import key_id


@dataclass(frozen=True)
class EnrolmentRequest:
    """One waiting request as a node shows it; `csr` is DER, `mac` 32 bytes. Nothing of it is believed yet."""

    terms: InviteTerms
    csr: bytes
    mac: bytes


@dataclass(frozen=True)
class DeviceIssuer:
    """What device certificates are made with: the issuer's key and certificate, and the root above it."""

    root: x509.Certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def check_request(request: EnrolmentRequest, master: bytes, root: x509.Certificate, now: int) -> bytes:
    """The request was made by whoever holds the invite, for what the invite says (§10.3 step 3).

    `master`: the invite master, 32 bytes; `now` in Unix seconds. Returns the device ID (32 bytes).
    Raises TelerelayError(INVITE), with a sentence for each check.
    """
    organisation = organisation_id(root)
    secret = invite_secret(master, organisation, request.terms)
    expected = request_mac(secret, request.csr, organisation, request.terms.id)
    if not hmac.compare_digest(expected, request.mac):
        raise TelerelayError("INVITE", "the request was not made with this invite, or was altered on its way")
    if now >= request.terms.expiry:
        raise TelerelayError("INVITE", f"the invite expired {(now - request.terms.expiry) // 60} minutes ago")
    try:
        return key_id(requested_key(request.csr, request.terms.computer))
    except CertificateRefusedError as error:
        raise TelerelayError("INVITE", f"the request's CSR: {error}") from error


def issue(request: EnrolmentRequest, issuer: DeviceIssuer, now: int) -> list[x509.Certificate]:
    """The chain of a request that `check_request` passed: leaf, issuer, root. `now` in Unix seconds."""
    key = requested_key(request.csr, request.terms.computer)
    if request.terms.computer is None:
        leaf = certify_client(key, issuer.certificate, issuer.key, now)
    else:
        leaf = certify_agent(key, request.terms.computer, issuer.certificate, issuer.key, now)
    return [leaf, issuer.certificate, issuer.root]
