"""Whoever breaks a rule is refused with its code, counted and, once known, recorded; nobody else notices."""

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from telerelay_core import format_attempt_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import make_key
from tests.kit.beside import beside, counting, newcomer
from tests.kit.condition import eventually
from tests.kit.decoder import frames
from tests.kit.decoder.frames import Frame
from tests.kit.malformed import CRITICAL, MALFORMED, raw
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg, encoded
from tests.kit.tenant import DAY, Files, Tenant

HELLO: Mapping[str, Any] = {"features": [], "instance": bytes(16).hex(), "counter": 1, "program": "x"}
VERSIONS = [1]
STRANGERS = 50


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One for all checks of this module: none of them changes what it is."""
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    return newcomer(node)


def _agent(node: NodeProcess, tenant: Tenant) -> Files:
    """A computer of the tenant's that nobody else is."""
    return tenant.sibling(agent_key=make_key(), computer=os.urandom(10)).files(node.folder, Role.AGENT)


async def _welcomed(node: NodeProcess, files: Files, role: str, **hello: Any) -> OuterLeg:
    leg = await OuterLeg.dial(node.address, files)
    assert (await leg.hello(role, **hello)).name == "WELCOME"
    return leg


async def _last(leg: OuterLeg) -> Frame:
    """What the node says last; behind it the leg ends."""
    last: Frame | None = None
    async with asyncio.timeout(10):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                last = await leg.receive()
    leg.close()
    assert last is not None, "it ended without a word"
    return last


async def _code(leg: OuterLeg) -> str:
    last = await _last(leg)
    assert last.name == "ERROR"
    assert abs(last.fields["server_time"] - time.time()) < 60
    return str(last.fields["code"])


async def _asks(leg: OuterLeg, computer: bytes) -> str:
    """Send CONNECT; the attempt's name in records."""
    attempt = os.urandom(5)
    await leg.send("CONNECT", computer=computer.hex(), service="rfb", attempt=attempt.hex())
    return format_attempt_id(attempt)


async def _past(moment: int) -> None:
    await eventually(lambda: time.time() > moment)


async def _incoming(agent: OuterLeg) -> Mapping[str, Any]:
    while (frame := await agent.receive()).name == "NEWS":
        pass
    assert frame.name == "INCOMING"
    return frame.fields


async def _recorded(node: NodeProcess, attempt: str, code: str, kinds: list[str]) -> dict[str, Any]:
    """The attempt's one terminal record, with its code; these kinds are all that it has."""
    end = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
    found = [record["kind"] for record in node.records() if record.get("attempt") == attempt]
    assert (found, end["code"]) == (kinds, code)
    return end


# ---------------------------------------------------------------- 1, 2, 3: bytes that are no frames


async def test_a_malformed_frame_ends_its_own_leg(node: NodeProcess, tenant: Tenant) -> None:
    files = _agent(node, tenant)
    expected = {"refused.BAD_FRAME": 2 * len(MALFORMED)}
    async with beside(node), counting(node, expected):
        for frame in MALFORMED.values():
            for greeted in (False, True):
                leg = await OuterLeg.dial(node.address, files)
                if greeted:
                    await leg.hello("agent")
                await leg.send_bytes(frame)
                assert await _code(leg) == "BAD_FRAME"


@pytest.mark.parametrize(
    "frame", [MALFORMED["no map"], encoded("SWITCH")], ids=["malformed", "SWITCH before PAIRED"]
)
async def test_a_malformed_frame_behind_a_request_is_its_attempts_recorded_end(
    node: NodeProcess, tenant: Tenant, frame: bytes
) -> None:
    # The agent is asked and says nothing, so that the request is still open.
    agent = await _welcomed(node, tenant.files(node.folder, Role.AGENT), "agent")
    async with beside(node), counting(node, {"refused.BAD_FRAME": 1, "ended.BAD_FRAME": 1}):
        client = await _welcomed(node, tenant.files(node.folder, Role.CLIENT), "client")
        attempt = await _asks(client, tenant.computer)
        await _incoming(agent)
        await client.send_bytes(frame)
        assert await _code(client) == "BAD_FRAME"
        end = await _recorded(node, attempt, "BAD_FRAME", ["START", "END"])
        assert end["bytes_to_agent"] == 0
    agent.close()


async def test_a_length_above_the_types_maximum_is_refused_before_the_body_comes(
    node: NodeProcess, tenant: Tenant
) -> None:
    files = _agent(node, tenant)
    rows = frames.LAYERS["outer"].values()
    async with beside(node), counting(node, {"refused.BAD_FRAME": len(rows)}):
        for row in rows:
            leg = await OuterLeg.dial(node.address, files)
            await leg.send_bytes(raw(row.kind, b"", flags=CRITICAL, length=row.maximum + 1))
            assert await _code(leg) == "BAD_FRAME"


async def test_what_is_cut_short_leaves_nothing_behind(node: NodeProcess, tenant: Tenant) -> None:
    def held() -> dict[str, int]:
        counts = node.statistics()
        names = ("connections", "legs", "devices", "deadlines", "guests", "handshaking", "attempts")
        return {name: counts[name] for name in names}

    whole = encoded("HELLO", version=1, role="agent", **HELLO)
    files = _agent(node, tenant)
    async with beside(node), counting(node, {"handshakes_failed.left": 1}):
        before = await asyncio.to_thread(held)
        host, _, port = node.address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        # The beginning of a ClientHello.
        writer.write(bytes([22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3]))
        writer.close()
        for length in (0, 1, 3, 4, 5, len(whole) // 2, len(whole) - 1):
            for leaves in (OuterLeg.finish, OuterLeg.close):
                leg = await OuterLeg.dial(node.address, files)
                await leg.send_bytes(whole[:length])
                leaves(leg)
        await eventually(lambda: held() == before)


# ---------------------------------------------------------------- 4 to 7: requests that are refused


async def test_another_version_is_told_what_is_supported(node: NodeProcess, tenant: Tenant) -> None:
    async with beside(node), counting(node, {"refused.VERSION": 2}):
        for version in (0, 2):
            leg = await OuterLeg.dial(node.address, _agent(node, tenant))
            await leg.send("HELLO", version=version, role="agent", **HELLO)
            last = await _last(leg)
            assert (last.fields["code"], last.fields["supported"]) == ("VERSION", VERSIONS)


async def test_unknown_foreign_and_not_granted_are_denied_alike(node: NodeProcess, tenant: Tenant) -> None:
    foreign = newcomer(node)
    stranger = tenant.colleague().files(node.folder, Role.CLIENT)
    computers = (os.urandom(10), foreign.computer, tenant.computer)
    said = []
    async with beside(node), counting(node, {"refused.DENIED": 3, "ended.DENIED": 3}):
        for computer in computers:
            leg = await _welcomed(node, stranger, "client")
            attempt = await _asks(leg, computer)
            last = await _last(leg)
            said.append({**last.fields, "attempt": None, "server_time": None})
            await _recorded(node, attempt, "DENIED", ["END"])
    assert said[0]["code"] == "DENIED"
    assert said[0] == said[1] == said[2]


async def test_a_path_that_is_foreign_or_was_used_is_unknown(node: NodeProcess, tenant: Tenant) -> None:
    own, other = tenant.files(node.folder, Role.AGENT), _agent(node, newcomer(node))
    client_files = tenant.files(node.folder, Role.CLIENT)
    expected = {"refused.PATH_UNKNOWN": 3, "ended.PATH_LOST": 1}
    async with beside(node), counting(node, expected):
        instance = os.urandom(16).hex()
        agent = await _welcomed(node, own, "agent", instance=instance, counter=1)
        client = await _welcomed(node, client_files, "client")
        attempt = await _asks(client, tenant.computer)
        path = (await _incoming(agent))["path"]
        # Somebody else's, while it is asked for; one that nobody was ever asked about.
        for foreign in (path, os.urandom(16).hex()):
            thief = await _welcomed(node, other, "agent")
            await thief.send("ACCEPT", path=foreign)
            assert await _code(thief) == "PATH_UNKNOWN"
        await agent.send("ACCEPT", path=path)
        assert (await client.receive()).name == "PAIRED"
        # It served its one pairing.
        again = await _welcomed(node, own, "agent", instance=instance, counter=2)
        await again.send("ACCEPT", path=path)
        assert await _code(again) == "PATH_UNKNOWN"
        client.close()
        agent.close()
        await _recorded(node, attempt, "PATH_LOST", ["START", "END"])


async def test_an_expired_document_or_stamp_is_stale_and_says_the_nodes_time(node: NodeProcess) -> None:
    lives_s = 3
    for short in ("document", "stamp"):
        tenant = Tenant(now=int(time.time()))
        node.admit(tenant)
        document = tenant.document(expires_in=lives_s if short == "document" else DAY)
        stamp = tenant.stamp(expires_in=lives_s if short == "stamp" else DAY)
        with node.organisation(tenant, Role.ADMIN) as admin, node.organisation(tenant, Role.KEEPER) as keeper:
            admin.post_document(tenant.revocations())
            admin.post_document(document)
            keeper.post_document(stamp)
        await _past(tenant.now + lives_s)
        async with beside(node), counting(node, {"refused.POLICY_STALE": 1, "ended.POLICY_STALE": 1}):
            leg = await _welcomed(node, tenant.files(node.folder, Role.CLIENT), "client")
            attempt = await _asks(leg, tenant.computer)
            assert await _code(leg) == "POLICY_STALE"
            await _recorded(node, attempt, "POLICY_STALE", ["END"])


async def test_a_forged_document_is_refused_and_what_is_held_stays_in_force(
    node: NodeProcess, tenant: Tenant
) -> None:
    stranger = Tenant(now=tenant.now, computer=tenant.computer)
    forged = bytearray(tenant.document(2))
    forged[-1] ^= 1
    async with beside(node), counting(node, {"api_refused.DOCUMENT": 2}):
        recorded = len(node.records())
        with node.organisation(tenant, Role.ADMIN) as admin:
            for document in (bytes(forged), stranger.document(2)):
                with pytest.raises(TelerelayError) as caught:
                    admin.post_document(document)
                assert (caught.value.code, bool(caught.value.detail)) == ("DOCUMENT", True)
            held = admin.computer_document(tenant.computer)
        assert held is not None
        assert len(node.records()) == recorded


# ---------------------------------------------------------------- 13, 36: who does not come in


def _stranger_context(files: Files | None, alpn: str = "telerelay/1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if files is not None:
        context.load_cert_chain(files.chain, files.key)
    return context


async def _alert(node: NodeProcess, context: ssl.SSLContext) -> str | None:
    """The alert that ends this handshake, as Python names it."""
    with pytest.raises(ssl.SSLError) as refused:
        await asyncio.wait_for(_greet(node, context), 10)
    return refused.value.reason


async def _greet(node: NodeProcess, context: ssl.SSLContext) -> None:
    """In TLS 1.3 a client is through with its handshake before its certificate is judged: it has to read."""
    host, _, port = node.address.rpartition(":")
    reader, _ = await asyncio.open_connection(host, int(port), ssl=context)
    await reader.read(1)


async def test_handshakes_that_are_refused_read_an_alert_and_no_record_tells_of_them(
    node: NodeProcess, tenant: Tenant, tmp_path: Path
) -> None:
    older = _stranger_context(None)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    expired = Tenant(now=int(time.time()) - 3 * 365 * DAY)
    await asyncio.to_thread(node.admit, expired)
    files = tenant.files(node.folder, Role.CLIENT)
    others = Tenant(now=int(time.time())).files(tmp_path, Role.CLIENT)
    # Python has no name for the alert `no_application_protocol`.
    cases = [
        (older, "TLSV1_ALERT_PROTOCOL_VERSION", "tls"),
        (_stranger_context(files, "another/1"), None, "no_language"),
        (_stranger_context(None), "TLSV13_ALERT_CERTIFICATE_REQUIRED", "no_certificate"),
        (_stranger_context(others), "TLSV1_ALERT_UNKNOWN_CA", "not_admitted"),
        (
            _stranger_context(expired.files(tmp_path, Role.CLIENT)),
            "SSLV3_ALERT_CERTIFICATE_EXPIRED",
            "expired",
        ),
    ]
    async with beside(node) as session:
        before = [record for record in node.records() if record["kind"] != "CHECKPOINT"]
        size = sum(file.stat().st_size for file in (node.data / "audit").iterdir())
        expected = {f"handshakes_failed.{name}": STRANGERS for _, _, name in cases}
        async with counting(node, expected):
            for context, alert, _ in cases:
                for _ in range(STRANGERS):
                    assert await _alert(node, context) == alert
                await session.runs()
        assert node.records() == before
        assert sum(file.stat().st_size for file in (node.data / "audit").iterdir()) == size


async def test_a_role_that_the_certificate_does_not_have_is_refused(
    node: NodeProcess, tenant: Tenant
) -> None:
    async with beside(node), counting(node, {"refused.WRONG_ROLE": 2}):
        for role, claimed in ((Role.CLIENT, "agent"), (Role.AGENT, "client")):
            leg = await OuterLeg.dial(node.address, tenant.files(node.folder, role))
            await leg.send("HELLO", version=1, role=claimed, **HELLO)
            assert await _code(leg) == "WRONG_ROLE"


async def test_whoever_comes_in_at_the_other_sides_address_is_told(tmp_path: Path) -> None:
    sides = {
        "TELERELAY_NODE_LISTEN_INSIDE": "127.0.0.1:0",
        "TELERELAY_NODE_LISTEN_OUTSIDE": "127.0.0.1:0",
    }
    with NodeProcess(tmp_path, environment=sides) as node:
        tenant = newcomer(node)
        _, inside, outside = node.listeners
        async with beside(node), counting(node, {"refused.WRONG_SIDE": 2}):
            for role, address in ((Role.AGENT, outside), (Role.CLIENT, inside)):
                leg = await OuterLeg.dial(address, tenant.files(node.folder, role))
                await leg.send("HELLO", version=1, role=str(role), **HELLO)
                assert await _code(leg) == "WRONG_SIDE"
