"""Another organisation, founded for a run: nobody has admitted it, and nobody has certified its device."""

import time
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from telerelay.authority.organisation import new_organisation
from telerelay.authority.profile import certify_client
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.keys import make_key


@dataclass(frozen=True)
class ForeignDevice:
    """A client of that organisation: its key, its chain (leaf and issuer), its root."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, x509.Certificate]
    root: x509.Certificate


def found_foreign() -> ForeignDevice:
    """Make everything anew."""
    now = int(time.time())
    organisation = new_organisation("prove", now)
    issuer, key = organisation.roles[RoleKey.ISSUER], make_key()
    leaf = certify_client(key.public_key(), issuer.certificate, issuer.key, now)
    return ForeignDevice(key, (leaf, issuer.certificate), organisation.root.certificate)
