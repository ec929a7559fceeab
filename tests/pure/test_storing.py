"""Documents at the node: verified once, the newest kept, everything else refused with its code."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from telerelay.documents.news import news_for, news_of_document
from telerelay.documents.serving import changes, stored_document
from telerelay.documents.storing import Stored, store_document
from telerelay.store.engine import Store
from telerelay.store.tables import Device, Grant, Organisation
from telerelay_endpoint import payloads
from telerelay_endpoint.certificates import Role, RoleKey
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.errors import TelerelayError
from tests.kit.tenant import NOW, Tenant


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def tenant(store: Store) -> Tenant:
    made = Tenant()
    await made.admit(store)
    return made


async def _post(store: Store, tenant: Tenant, poster: Role, encoded: bytes) -> Stored:
    async with store.writing() as session:
        return await store_document(session, tenant.id, poster, encoded, NOW)


async def _refusal(store: Store, tenant: Tenant, poster: Role, encoded: bytes) -> str:
    with pytest.raises(TelerelayError) as caught:
        await _post(store, tenant, poster, encoded)
    return caught.value.code


async def test_the_very_bytes_are_kept(store: Store, tenant: Tenant) -> None:
    encoded = tenant.document()
    stored = await _post(store, tenant, Role.ADMIN, encoded)
    assert (stored.kind, stored.computer, stored.version, stored.new) == (
        Kind.COMPUTER,
        tenant.computer,
        1,
        True,
    )
    async with store.reading() as session:
        assert await stored_document(session, tenant.id, Kind.COMPUTER, tenant.computer) == encoded
        assert await stored_document(session, tenant.id, Kind.COMPUTER, os.urandom(10)) is None


async def test_the_same_bytes_again_change_nothing(store: Store, tenant: Tenant) -> None:
    encoded = tenant.document()
    await _post(store, tenant, Role.ADMIN, encoded)
    async with store.reading() as session:
        before = (await session.get_one(Organisation, tenant.id)).version
    assert not (await _post(store, tenant, Role.ADMIN, encoded)).new
    async with store.reading() as session:
        assert (await session.get_one(Organisation, tenant.id)).version == before


async def test_a_newer_document_replaces_grants_one_for_one(store: Store, tenant: Tenant) -> None:
    second = os.urandom(32)
    await _post(store, tenant, Role.ADMIN, tenant.document())
    grants = [payloads.Grant(second, "b", 5, 9), payloads.Grant(second, "b", 20)]
    await _post(store, tenant, Role.ADMIN, tenant.document(2, grants))
    async with store.reading() as session:
        rows = (await session.scalars(select(Grant).order_by(Grant.position))).all()
    assert [(row.client, row.not_before, row.not_after) for row in rows] == [
        (second, 5, 9),
        (second, 20, None),
    ]


@pytest.mark.parametrize(
    ("poster", "code"), [(Role.ADMIN, None), (Role.KEEPER, "REQUEST"), (Role.AGENT, "REQUEST")]
)
async def test_an_administrator_brings_computer_documents(
    store: Store, tenant: Tenant, poster: Role, code: str | None
) -> None:
    if code is None:
        assert (await _post(store, tenant, poster, tenant.document())).new
    else:
        assert await _refusal(store, tenant, poster, tenant.document()) == code


async def test_a_keeper_brings_stamps_and_an_administrator_does_not(store: Store, tenant: Tenant) -> None:
    assert await _refusal(store, tenant, Role.ADMIN, tenant.stamp()) == "REQUEST"
    assert (await _post(store, tenant, Role.KEEPER, tenant.stamp())).new


async def test_an_older_version_is_stale_and_another_of_the_same_version_is_refused(
    store: Store, tenant: Tenant
) -> None:
    await _post(store, tenant, Role.ADMIN, tenant.document(5))
    assert await _refusal(store, tenant, Role.ADMIN, tenant.document(4)) == "POLICY_STALE"
    assert await _refusal(store, tenant, Role.ADMIN, tenant.document(5, [])) == "DOCUMENT"


async def test_an_expired_document_is_stale(store: Store, tenant: Tenant) -> None:
    assert await _refusal(store, tenant, Role.ADMIN, tenant.document(expires_in=0)) == "POLICY_STALE"


async def test_a_foreign_document_is_refused(store: Store, tenant: Tenant) -> None:
    assert await _refusal(store, tenant, Role.ADMIN, Tenant().document()) == "DOCUMENT"


async def test_a_document_signed_by_another_role_is_refused(store: Store, tenant: Tenant) -> None:
    forged = tenant.document(signer=RoleKey.FRESHNESS)
    assert await _refusal(store, tenant, Role.ADMIN, forged) == "DOCUMENT"


async def test_bytes_that_are_no_document_are_refused(store: Store, tenant: Tenant) -> None:
    encoded = tenant.document()
    assert await _refusal(store, tenant, Role.ADMIN, b"") == "DOCUMENT"
    assert await _refusal(store, tenant, Role.ADMIN, encoded[:-1] + bytes([encoded[-1] ^ 1])) == "DOCUMENT"


async def test_a_version_that_sql_cannot_keep_is_refused(store: Store, tenant: Tenant) -> None:
    assert await _refusal(store, tenant, Role.ADMIN, tenant.document(2**63)) == "DOCUMENT"
    assert (await _post(store, tenant, Role.ADMIN, tenant.document(2**63 - 1))).new


async def test_a_revocation_list_only_takes_away(store: Store, tenant: Tenant) -> None:
    first, second = sorted([os.urandom(32), os.urandom(32)])
    assert (await _post(store, tenant, Role.ADMIN, tenant.revocations(1, [first]))).revoked == {first}
    later = await _post(store, tenant, Role.ADMIN, tenant.revocations(2, [first, second]))
    assert later.revoked == {second}
    assert await _refusal(store, tenant, Role.ADMIN, tenant.revocations(3, [second])) == "DOCUMENT"


# ---------------------------------------------------------------- what is behind, what is told


async def test_a_keeper_is_shown_the_computers_whose_stamp_is_behind(store: Store, tenant: Tenant) -> None:
    async def behind() -> tuple[int, list[bytes]]:
        async with store.reading() as session:
            found = await changes(session, tenant.id)
        return found.next, list(found.computers)

    assert await behind() == (0, [])
    await _post(store, tenant, Role.ADMIN, tenant.revocations())
    await _post(store, tenant, Role.ADMIN, tenant.document())
    since, computers = await behind()
    assert computers == [tenant.computer]
    await _post(store, tenant, Role.KEEPER, tenant.stamp())
    # Its own stamp does not wake the keeper again.
    assert await behind() == (since, [])
    await _post(store, tenant, Role.ADMIN, tenant.document(2))
    assert await behind() == (since + 2, [tenant.computer])
    await _post(store, tenant, Role.KEEPER, tenant.stamp(2, 2, 1))
    await _post(store, tenant, Role.ADMIN, tenant.revocations(2))
    assert (await behind())[1] == [tenant.computer]


async def test_a_ready_agent_is_told_of_all_that_it_needs(store: Store, tenant: Tenant) -> None:
    stamp = tenant.stamp()
    await _post(store, tenant, Role.ADMIN, tenant.document(7))
    await _post(store, tenant, Role.ADMIN, tenant.revocations(3))
    await _post(store, tenant, Role.KEEPER, stamp)
    async with store.reading() as session:
        news = await news_for(session, [(tenant.id, tenant.computer, tenant.agent)])
        assert await news_for(session, [(os.urandom(32), os.urandom(10), os.urandom(32))]) == []
    assert [(item.kind, item.version, item.document) for item in news] == [
        (Kind.REVOCATIONS, 3, None),
        (Kind.COMPUTER, 7, None),
        (Kind.STAMP, 1, stamp),
    ]
    assert {item.device for item in news} == {tenant.agent}


async def test_a_stamp_is_told_to_its_computer_and_a_revocation_to_every_agent(
    store: Store, tenant: Tenant
) -> None:
    other = os.urandom(32)
    stamp = tenant.stamp()
    async with store.writing() as session:
        for device, computer in (
            (tenant.agent, tenant.computer),
            (other, os.urandom(10)),
            (tenant.client, None),
        ):
            session.add(
                Device(
                    organisation=tenant.id,
                    id=device,
                    kind="client" if computer is None else "agent",
                    label="x",
                    computer=computer,
                    enrolled=NOW,
                )
            )
    await _post(store, tenant, Role.KEEPER, stamp)
    async with store.reading() as session:
        told = await news_of_document(session, tenant.id, Kind.STAMP, tenant.computer, 1)
        everyone = await news_of_document(session, tenant.id, Kind.REVOCATIONS, None, 2)
    assert [(item.device, item.document) for item in told] == [(tenant.agent, stamp)]
    assert {item.device for item in everyone} == {tenant.agent, other}


async def test_an_agent_that_enrolled_elsewhere_is_told_by_its_documents_name(
    store: Store, tenant: Tenant
) -> None:
    await _post(store, tenant, Role.ADMIN, tenant.document())
    async with store.reading() as session:
        for kind, computer in ((Kind.COMPUTER, tenant.computer), (Kind.REVOCATIONS, None)):
            told = await news_of_document(session, tenant.id, kind, computer, 1)
            assert [item.device for item in told] == [tenant.agent]
