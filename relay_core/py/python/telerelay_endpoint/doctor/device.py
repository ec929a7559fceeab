"""What enrolment left on this machine: key, certificate, cluster; and whether the node still takes it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from telerelay_endpoint.console import local_time
from telerelay_endpoint.credentials import Credentials, Relay, load_credentials
from telerelay_endpoint.doctor.findings import Check, Finding, Mend
from telerelay_endpoint.doctor.relay import check_relay
from telerelay_endpoint.errors import TelerelayError

EXPIRES_SOON_S: Final = 30 * 86_400
"""A month in which somebody finds the time to enrol a machine again."""


def check_device(folder: Path, enrol: str, ask: Callable[[Credentials], object]) -> Iterator[Finding]:
    """Enrolment, the way to the relay, and by `ask`, one request with the certificate, what the node says.

    `enrol`: the command that enrols this machine.
    """
    try:
        relay = Relay.load(folder)
    except TelerelayError as error:
        yield Check("enrolment").failed(error, enrol)
        return
    yield Check("enrolment").ok(f"enrolled as {relay.label}", f"「{relay.label}」として登録済みです")
    credentials = None
    try:
        credentials = load_credentials(folder, int(time.time()), relay)
    except TelerelayError as error:
        yield Check("certificate").failed(error)
    else:
        renew = f"mv {folder} {folder}.old && {enrol}"
        yield from check_validity(credentials.chain[0], renew)
    yield from check_relay(relay.cluster)
    if credentials is not None:
        yield from _check_known(credentials, ask)


def check_validity(leaf: x509.Certificate, renew: Mend) -> Iterator[Finding]:
    """How much longer a certificate that is valid now will be. `renew`: what makes a new one."""
    check = Check("certificate")
    expires = int(leaf.not_valid_after_utc.timestamp())
    if expires - time.time() < EXPIRES_SOON_S:
        yield check.warn(
            f"the certificate expires at {local_time(expires)}",
            f"証明書の有効期限が近づいています: {local_time(expires)}",
            renew,
        )
    else:
        yield check.ok(
            f"the certificate is good until {local_time(expires)}",
            f"証明書は {local_time(expires)} まで有効です",
        )


def check_issue_times(newest: int) -> Iterator[Finding]:
    """Whether the clock stands behind something that was signed already (`newest`, Unix seconds)."""
    now = int(time.time())
    if now < newest:
        yield Check("clock").fail(
            f"the clock says {local_time(now)}, yet something was signed at {local_time(newest)}",
            f"時計は {local_time(now)} ですが、{local_time(newest)} に署名されたものがあります",
            "timedatectl set-ntp true",
        )


def _check_known(credentials: Credentials, ask: Callable[[Credentials], object]) -> Iterator[Finding]:
    check = Check("device")
    try:
        ask(credentials)
    except TelerelayError as error:
        yield check.failed(error)
    else:
        yield check.ok("the node knows this device", "中継サーバーはこの端末を認識しています")
