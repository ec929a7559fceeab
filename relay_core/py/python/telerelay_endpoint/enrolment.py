"""The endpoint's side of enrolment: from an invite to a credential folder, resumable (PROTOCOL.md §10.3)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import tenacity
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from httpx import codes

from telerelay_endpoint import files
from telerelay_endpoint.api import NodeApi, Opener, read_json
from telerelay_endpoint.certificates import (
    CertificateRefusedError,
    Role,
    computer_uri,
    organisation_id,
    parse_certificate,
    verify_device_chain,
    verify_root,
)
from telerelay_endpoint.credentials import KEY_FILE, RELAY_FILE, Relay, save_chain
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import admission_key, request_mac
from telerelay_endpoint.json_fields import Fields
from telerelay_endpoint.keys import create_key_file, key_id, load_key_file
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import ClusterLine, Invite, from_base64url, parse_invite, to_base64url
from telerelay_endpoint.strict_cbor import FormRefusedError
from telerelay_endpoint.terms import Terms

PENDING_FILE = "enrolment.json"
_CHAIN_LENGTH = 3
_PAUSE_S: Final = LIMITS["enrol_pause_s"]


@dataclass(frozen=True)
class Pending:
    """An enrolment that began and has not ended: what a second run of `enrol` goes on with."""

    invite: Invite
    terms_version: int
    terms_hash: bytes

    def save(self, folder: Path) -> None:
        """Write enrolment.json, mode 0600: it holds the invite's secret. Raises OSError."""
        record = {
            "invite": self.invite.format(),
            "terms": {"version": self.terms_version, "hash": to_base64url(self.terms_hash)},
        }
        files.replace(folder / PENDING_FILE, json.dumps(record).encode())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read enrolment.json; None when there is none. Raises TelerelayError(INVITE, USAGE, KEY_FILE)."""
        path = folder / PENDING_FILE
        try:
            record = json.loads(files.read_private(path))
            terms = record["terms"]
            return cls(parse_invite(record["invite"]), int(terms["version"]), from_base64url(terms["hash"]))
        except FileNotFoundError:
            return None
        except files.ReadableByOthersError as error:
            raise TelerelayError("KEY_FILE", str(error)) from None
        except (ValueError, KeyError, TypeError) as error:
            raise TelerelayError("USAGE", f"{path} cannot be read; remove it to begin anew") from error


def begin(folder: Path, invite: Invite, role: Role, terms: Terms, now: int) -> Pending:
    """Everything before the first byte to a node: the invite fits, the key is there, the state is written.

    Call it once the person accepted `terms`. A key of an earlier try is taken again. `now`: Unix seconds.
    Raises TelerelayError: INVITE (other kind, expired), USAGE (enrolled already), KEY_FILE, MACHINE.
    """
    if (folder / RELAY_FILE).exists():
        raise TelerelayError("USAGE", f"{folder} is enrolled already; another machine needs another invite")
    if Role(invite.terms.kind) is not role:
        raise TelerelayError("INVITE", f"it is meant for the {invite.terms.kind}, this is the {role}")
    if now >= invite.terms.expiry:
        raise TelerelayError("INVITE", f"it expired {(now - invite.terms.expiry) // 3600} hours ago")
    files.make_private_folder(folder)
    if not (folder / KEY_FILE).exists():
        create_key_file(folder / KEY_FILE)
    pending = Pending(invite, terms.version, terms.hash)
    pending.save(folder)
    return pending


def finish(
    folder: Path,
    pending: Pending,
    open_cluster: Callable[[ClusterLine], Opener],
    clock: Callable[[], int],
    waiting: Callable[[], None],
) -> Relay:
    """Ask, wait for the organisation's answer until the invite expires, check it, write the credentials.

    `open_cluster` makes the way to a cluster without a certificate; `waiting` is called each time the
    organisation has not answered yet; `clock` gives Unix seconds. Interrupted, it can be called again.
    Raises TelerelayError: INVITE above all, UNREACHABLE, PIN.
    """
    key = load_key_file(folder / KEY_FILE)
    invite = pending.invite
    with NodeApi(open_cluster(invite.cluster)) as api:
        # Fails at once when no node is there: somebody may have mistyped an address.
        api.post("/v1/enrol", request_body(pending, key))
        chain = _wait_for_chain(api, invite, clock, waiting)
    leaf, issuer, root = check_chain(invite, key.public_key(), chain, clock())
    save_chain(folder, (leaf, issuer), root)
    relay = Relay(Role(invite.terms.kind), invite.cluster, invite.terms.label, invite.terms.computer)
    # Last: whoever finds relay.json finds everything else.
    relay.save(folder)
    (folder / PENDING_FILE).unlink()
    return relay


def request_body(pending: Pending, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """The body of POST /v1/enrol (§10.3 step 1)."""
    invite = pending.invite
    csr = make_csr(key, invite.terms.computer)
    return {
        "id": to_base64url(invite.terms.id),
        "k1": to_base64url(admission_key(invite.secret)),
        "csr": to_base64url(csr),
        "mac": to_base64url(request_mac(invite.secret, csr, invite.organisation, invite.terms.id)),
        "terms": {"version": pending.terms_version, "hash": to_base64url(pending.terms_hash)},
    }


def make_csr(key: ec.EllipticCurvePrivateKey, computer: bytes | None) -> bytes:
    """PKCS#10 in DER: an empty subject, and for an agent its computer's URI."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if computer is not None:
        name = x509.UniformResourceIdentifier(computer_uri(computer))
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def check_chain(
    invite: Invite, key: ec.EllipticCurvePublicKey, chain: Sequence[bytes], now: int
) -> list[x509.Certificate]:
    """What came back is what the invite promised (§10.3 step 5): leaf, issuer, root, in DER.

    Raises TelerelayError(INVITE), with a sentence for each check.
    """
    try:
        if len(chain) != _CHAIN_LENGTH:
            raise CertificateRefusedError(f"it has {len(chain)} certificates, not leaf, issuer and root")
        leaf, issuer, root = (parse_certificate(der) for der in chain)
        if organisation_id(root) != invite.organisation:
            raise CertificateRefusedError("it is another organisation's than the invite's")
        verify_root(root)
        identity = verify_device_chain(leaf, issuer, root, now)
    except CertificateRefusedError as error:
        raise TelerelayError("INVITE", f"the chain that came back: {error}") from error
    if identity.device != key_id(key):
        raise TelerelayError("INVITE", "the chain that came back: it is for another key than this machine's")
    if identity.role is not Role(invite.terms.kind) or identity.computer != invite.terms.computer:
        raise TelerelayError("INVITE", "the chain that came back: it is for another role or computer")
    return [leaf, issuer, root]


def _wait_for_chain(
    api: NodeApi, invite: Invite, clock: Callable[[], int], waiting: Callable[[], None]
) -> Sequence[bytes]:
    patient = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda chain: chain is None) | tenacity.retry_if_exception(_may_pass),
        wait=tenacity.wait_random_exponential(max=_PAUSE_S),
        stop=lambda _state: clock() >= invite.terms.expiry,
        before_sleep=lambda _state: waiting(),
        retry_error_callback=_last_outcome,
    )
    chain = patient(_poll, api, invite)
    if chain is None:
        raise TelerelayError("INVITE", "it expired before the organisation answered")
    return chain


def _poll(api: NodeApi, invite: Invite) -> list[bytes] | None:
    headers = {"Telerelay-Invite": to_base64url(admission_key(invite.secret))}
    response = api.get(f"/v1/enrol/{to_base64url(invite.terms.id)}", headers=headers, long=True)
    if response.status_code == codes.ACCEPTED:
        return None
    try:
        return [from_base64url(item) for item in Fields(read_json(response)).items("chain")]
    except (TelerelayError, FormRefusedError, TypeError) as error:
        raise TelerelayError("INVITE", "the chain that came back: it cannot be read") from error


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TelerelayError) and error.retry != "never"


def _last_outcome(state: tenacity.RetryCallState) -> Any:
    """The last try's answer, or its error raised."""
    return state.outcome.result() if state.outcome else None
