"""What expires, counted in a real store: nothing, then a document with its stamp, then both too old."""

import time
from pathlib import Path

from telerelay.documents.ageing import Ageing
from telerelay.documents.storing import store_document
from telerelay.store.engine import Store
from telerelay_endpoint.certificates import Role
from tests.kit.tenant import DAY, Tenant


async def test_documents_and_stamps_are_counted_by_what_has_expired(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "store.db")
    ageing, tenant = Ageing(store), Tenant(now=int(time.time()))
    nothing = {"computers": 0, "document_expires": 0, "documents_expired": 0, "stamps_stale": 0}
    await ageing.look(tenant.now)
    assert ageing.statistics() == nothing
    await tenant.admit(store)
    async with store.writing() as session:
        for role, document in ((Role.ADMIN, tenant.document()), (Role.ADMIN, tenant.revocations())):
            await store_document(session, tenant.id, role, document, tenant.now)
    await ageing.look(tenant.now)
    expires = tenant.now + 180 * DAY
    # Without a stamp nobody is let in.
    assert ageing.statistics() == nothing | {"computers": 1, "document_expires": expires, "stamps_stale": 1}
    async with store.writing() as session:
        await store_document(session, tenant.id, Role.KEEPER, tenant.stamp(), tenant.now)
    await ageing.look(tenant.now + 13 * DAY)
    assert ageing.statistics() == nothing | {"computers": 1, "document_expires": expires}
    await ageing.look(tenant.now + 14 * DAY)
    assert ageing.statistics()["stamps_stale"] == 1
    await ageing.look(expires)
    assert ageing.statistics() == nothing | {"computers": 1, "documents_expired": 1, "stamps_stale": 1}
    await store.close()
