"""Joining a cluster: the administrator and the keeper learn whom to dial, once the node has answered."""

from collections.abc import Callable
from dataclasses import replace

from telerelay.org.api import OrganisationApi, Overview
from telerelay.org.folder import ADMIN, KEEP, OrganisationFolder
from telerelay.org.publishing import Publisher
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.credentials import Credentials, Relay, load_credentials
from telerelay_endpoint.documents import Clock
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import ClusterLine


def join(
    folder: OrganisationFolder,
    cluster: ClusterLine,
    open_api: Callable[[Credentials], OrganisationApi],
    now: int,
) -> Overview:
    """Talk to the cluster as the administrator; if it knows this organisation, write that down for both.

    Raises TelerelayError: UNREACHABLE, PIN, CERTIFICATE (also when the operator has not admitted it).
    """
    relay = Relay(Role.ADMIN, cluster, "administrator")
    admin = load_credentials(folder.path / ADMIN, now, relay)
    with open_api(admin) as api:
        overview = api.overview()
        if overview.organisation != folder.organisation:
            raise TelerelayError("IDENTITY", "the node takes this administrator for another organisation's")
        Publisher(folder.root, folder.held, api, Clock()).publish_held_revocations()
    relay.save(folder.path / ADMIN)
    if (folder.path / KEEP).is_dir():
        replace(relay, role=Role.KEEPER, label="keeper").save(folder.path / KEEP)
    return overview
