"""The API of a running node, through its one port and through the operator's socket (PROTOCOL.md §11)."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay.authority.devices import issue
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role, RoleKey, encode_certificate
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.enrolment import make_csr
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, admission_hash, admission_key, request_mac
from telerelay_endpoint.keys import key_id, make_key
from telerelay_endpoint.lines import parse_cluster_line, to_base64url
from tests.kit.beside import beside, counting
from tests.kit.condition import eventually
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import DAY, Tenant


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    """An organisation that nobody else in this file has touched."""
    made = Tenant(now=int(time.time()))
    node.admit(made)
    return made


def _code(error: pytest.ExceptionInfo[TelerelayError]) -> str:
    return error.value.code


# ---------------------------------------------------------------- who may ask


@pytest.mark.parametrize(
    ("role", "path"),
    [
        (None, "/v1/org"),
        (Role.AGENT, "/v1/org"),
        (Role.CLIENT, "/v1/documents/computer"),
        (Role.AGENT, "/v1/computers"),
        (Role.KEEPER, "/v1/org/invites"),
        (Role.ADMIN, "/v1/org/changes"),
        (Role.ADMIN, "/v1/documents/revocations"),
    ],
)
def test_a_certificate_opens_what_it_is_for_and_nothing_else(
    node: NodeProcess, tenant: Tenant, role: Role | None, path: str
) -> None:
    with node.api(tenant, role) as api, pytest.raises(TelerelayError) as caught:
        api.get(path)
    assert _code(caught) == "REQUEST"
    assert "needs a certificate of role" in caught.value.detail


def test_the_operators_requests_are_not_on_the_port(node: NodeProcess, tenant: Tenant) -> None:
    with node.api(tenant, Role.ADMIN) as api, pytest.raises(TelerelayError) as caught:
        api.get("/v1/node")
    assert (caught.value.code, caught.value.detail) == ("REQUEST", "Not Found")


def test_an_organisation_sees_itself_only(node: NodeProcess, tenant: Tenant) -> None:
    other = Tenant(now=int(time.time()))
    node.admit(other)
    node.publish(tenant)
    with node.organisation(other, Role.ADMIN) as api:
        assert api.computers() == []
        assert api.computer_document(tenant.computer) is None
        overview = api.overview()
        assert (overview.organisation, overview.until) == (other.id, None)
        with pytest.raises(TelerelayError) as caught:
            api.post_document(tenant.document(2))
        assert _code(caught) == "DOCUMENT"


def test_a_test_organisation_is_told_when_its_admission_ends(node: NodeProcess) -> None:
    test, until = Tenant(now=int(time.time())), int(time.time()) + DAY
    node.admit(test, until)
    for role in (Role.ADMIN, Role.KEEPER):
        with node.organisation(test, role) as api:
            assert api.overview().until == until


def test_a_failure_has_its_whole_body(node: NodeProcess) -> None:
    transport = httpx.HTTPTransport(uds=str(node.data / "control.sock"))
    with httpx.Client(transport=transport, base_url="http://node") as client:
        answer = client.get("/v1/org")
        assert answer.status_code == 403
        body = answer.json()
        assert set(body) == {"code", "sentence", "retry", "server_time", "detail"}
        assert body["code"] == "REQUEST"
        assert body["sentence"]["en"] != body["sentence"]["ja"]
        assert body["retry"] is None
        assert abs(body["server_time"] - time.time()) < 60
        assert client.get("/v1/nowhere").json()["code"] == "REQUEST"
        assert client.post("/v1/enrol", json={"id": "x"}).json()["code"] == "REQUEST"
        schema = client.get("/openapi.json").json()
        assert "/v1/node/organisations" in schema["paths"]
        assert client.get("/docs").status_code == 404


def test_the_control_socket_is_the_operators_alone(node: NodeProcess) -> None:
    for name, mode in (("control.sock", 0o600), ("store.db", 0o600), ("audit", 0o700), ("", 0o700)):
        assert stat.S_IMODE((node.data / name).stat().st_mode) == mode


def test_what_is_no_http_ends_its_connection_and_nothing_else(node: NodeProcess, tenant: Tenant) -> None:
    log = node.log.read_bytes()
    for garbage in (
        b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/enrol HTTP/1.1\r\n",
    ):
        with socket.socket(fileno=node.dial(tenant, None).open_api()) as connected:
            connected.sendall(garbage)
            connected.shutdown(socket.SHUT_WR)
            connected.settimeout(10)
            while connected.recv(4096):
                pass
    assert node.log.read_bytes() == log
    with node.organisation(tenant, Role.ADMIN) as admin:
        assert admin.overview().organisation == tenant.id


# ---------------------------------------------------------------- documents


def test_documents_reach_their_agent_and_the_client_sees_its_computer(
    node: NodeProcess, tenant: Tenant
) -> None:
    with node.api(tenant, Role.CLIENT) as client, node.api(tenant, Role.AGENT) as agent:
        assert client.computers() == []
        assert agent.own_document(Kind.COMPUTER) is None
        node.publish(tenant)
        assert agent.own_document(Kind.COMPUTER) is not None
        assert agent.own_document(Kind.STAMP) is not None
        assert agent.own_document(Kind.REVOCATIONS) is not None
        assert agent.own_document(Kind.NODES) is not None
        (computer,) = client.computers()
        assert (computer.computer, computer.label, computer.present) == (tenant.computer, "desk 4", False)


def test_a_stored_document_is_recorded_and_the_same_again_is_not(node: NodeProcess, tenant: Tenant) -> None:
    document = tenant.document()
    with node.organisation(tenant, Role.ADMIN) as admin:
        admin.post_document(document)
        admin.post_document(document)
        admin.post_document(tenant.revocations(devices=[bytes(32)]))
    mine = [record for record in node.records() if record.get("organisation") == tenant.id.hex()]
    assert [record["kind"] for record in mine] == ["ADMIT", "DOCUMENT", "DOCUMENT", "REVOKE"]


def test_a_keeper_waits_for_what_is_behind(node: NodeProcess, tenant: Tenant) -> None:
    node.publish(tenant)
    with node.organisation(tenant, Role.KEEPER) as keeper, node.organisation(tenant, Role.ADMIN) as admin:
        since = keeper.changes(0).next
        found = []
        waiting = threading.Thread(target=lambda: found.append(keeper.changes(since)))
        began = time.monotonic()
        waiting.start()
        admin.post_document(tenant.document(2))
        waiting.join()
        assert time.monotonic() - began < 10
        assert list(found[0].computers) == [tenant.computer]
        assert found[0].next > since


# ---------------------------------------------------------------- enrolment


class _Invited:
    """An invite of the tenant and the machine that uses it."""

    def __init__(self, tenant: Tenant, computer: bytes | None = None, *, lives_s: int = DAY) -> None:
        kind = InviteKind.CLIENT if computer is None else InviteKind.AGENT
        self.tenant = tenant
        self.terms = InviteTerms(os.urandom(16), kind, computer, "desk 4", int(time.time()) + lives_s)
        self.secret = os.urandom(32)
        self.key = make_key()

    def post(self, node: NodeProcess) -> None:
        with node.organisation(self.tenant, Role.ADMIN) as admin:
            admin.post_invite(self.terms, admission_hash(self.secret))

    def ask(self, node: NodeProcess, key: ec.EllipticCurvePrivateKey | None = None) -> int:
        """The status of the answer to this machine's request. Raises TelerelayError."""
        csr = make_csr(key or self.key, self.terms.computer)
        body = {
            "id": to_base64url(self.terms.id),
            "k1": to_base64url(admission_key(self.secret)),
            "csr": to_base64url(csr),
            "mac": to_base64url(request_mac(self.secret, csr, self.tenant.id, self.terms.id)),
            "terms": {"version": 1, "hash": to_base64url(bytes(32))},
        }
        with node.api(self.tenant, None) as api:
            return api.post("/v1/enrol", body).status_code

    def answer(self, node: NodeProcess) -> httpx.Response:
        headers = {"Telerelay-Invite": to_base64url(admission_key(self.secret))}
        with node.api(self.tenant, None) as api:
            return api.get(f"/v1/enrol/{to_base64url(self.terms.id)}", headers=headers, long=True)

    def release(self, node: NodeProcess, issuer: Tenant | None = None) -> list[str]:
        """Let the keeper sign the one request that waits; the chain that it posted."""
        with node.organisation(self.tenant, Role.KEEPER) as keeper:
            (request,) = keeper.enrolments(wait=True)
            chain = issue(request, (issuer or self.tenant).issuer, self.tenant.now)
            keeper.post_chain(self.terms.id, chain)
        return [to_base64url(encode_certificate(certificate)) for certificate in chain]

    def refusal(self, node: NodeProcess, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        with pytest.raises(TelerelayError) as caught:
            self.ask(node, key)
        return caught.value.code


def test_a_machine_enrols(node: NodeProcess, tenant: Tenant) -> None:
    invited = _Invited(tenant, tenant.computer)
    invited.post(node)
    invited.post(node)  # the same again
    assert invited.ask(node) == 202
    assert invited.ask(node) == 202  # interrupted and resumed
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(invited.answer(node)))
    waiting.start()
    began = time.monotonic()
    chain = invited.release(node)
    waiting.join()
    assert time.monotonic() - began < 10
    assert answers[0].json() == {"chain": chain}
    with node.organisation(tenant, Role.ADMIN) as admin:
        (device,) = admin.devices()
        assert admin.overview().agents == 1
    assert device.device == key_id(invited.key.public_key())
    assert (device.kind, device.label, device.computer) == (InviteKind.AGENT, "desk 4", tenant.computer)
    assert (device.revoked, device.last_seen) == (False, None)
    record = node.record(kind="ENROL", device=device.device.hex())
    assert record["computer"] == format_computer_id(tenant.computer)
    assert (record["terms_version"], record["terms_hash"]) == (1, bytes(32).hex())
    assert record["address"].startswith("127.0.0.1")


async def test_an_invite_serves_one_key_in_its_time(node: NodeProcess, tenant: Tenant) -> None:
    lives_s = 2
    short = _Invited(tenant, lives_s=lives_s)
    short.post(node)
    async with beside(node), counting(node, {"api_refused.INVITE": 5}):
        await asyncio.to_thread(_serve_one_key, node, tenant)
        await eventually(lambda: time.time() > short.terms.expiry)
        assert await asyncio.to_thread(short.refusal, node) == "INVITE"
    # Whoever was refused left nothing that the keeper could sign.
    with node.organisation(tenant, Role.KEEPER) as keeper:
        assert len(keeper.enrolments(wait=False)) == 1
    mine = [record for record in node.records() if record.get("organisation") == tenant.id.hex()]
    assert [record["kind"] for record in mine] == ["ADMIT"]


def _serve_one_key(node: NodeProcess, tenant: Tenant) -> None:
    invited = _Invited(tenant)
    assert invited.refusal(node) == "INVITE"  # not posted yet
    invited.post(node)
    invited.ask(node)
    assert invited.refusal(node, make_key()) == "INVITE"
    guessed = _Invited(tenant)
    guessed.terms = invited.terms
    assert guessed.refusal(node) == "INVITE"
    with pytest.raises(TelerelayError, match="no such invite"):
        guessed.answer(node)


def test_an_invite_with_other_terms_is_not_the_same(node: NodeProcess, tenant: Tenant) -> None:
    invited = _Invited(tenant)
    invited.post(node)
    invited.terms = replace(invited.terms, label="desk 5")
    with pytest.raises(TelerelayError) as caught:
        invited.post(node)
    assert caught.value.code == "INVITE"


def test_a_request_for_another_computer_than_the_invites_is_refused(
    node: NodeProcess, tenant: Tenant
) -> None:
    invited = _Invited(tenant, tenant.computer)
    invited.post(node)
    invited.terms = replace(invited.terms, computer=os.urandom(10))
    assert invited.refusal(node) == "INVITE"


def test_a_computer_belongs_to_its_first_key(node: NodeProcess, tenant: Tenant) -> None:
    first, second = _Invited(tenant, tenant.computer), _Invited(tenant, tenant.computer)
    for invited in (first, second):
        invited.post(node)
    first.ask(node)
    first.release(node)
    assert second.refusal(node) == "ID_TAKEN"


def test_two_requests_for_one_computer_end_with_one_device(node: NodeProcess, tenant: Tenant) -> None:
    first, second = _Invited(tenant, tenant.computer), _Invited(tenant, tenant.computer)
    for invited in (first, second):
        invited.post(node)
        invited.ask(node)
    with node.organisation(tenant, Role.KEEPER) as keeper:
        requests = {request.terms.id: request for request in keeper.enrolments(wait=True)}
        keeper.post_chain(first.terms.id, issue(requests[first.terms.id], tenant.issuer, tenant.now))
        with pytest.raises(TelerelayError) as caught:
            keeper.post_chain(second.terms.id, issue(requests[second.terms.id], tenant.issuer, tenant.now))
    assert caught.value.code == "ID_TAKEN"


def test_a_refused_request_ends_at_once(node: NodeProcess, tenant: Tenant) -> None:
    invited = _Invited(tenant)
    invited.post(node)
    invited.ask(node)
    with node.organisation(tenant, Role.KEEPER) as keeper:
        keeper.refuse(invited.terms.id, "INVITE")
        assert keeper.enrolments(wait=False) == []
    with pytest.raises(TelerelayError) as caught:
        invited.answer(node)
    assert caught.value.code == "INVITE"


def test_a_chain_of_another_organisation_is_not_released(node: NodeProcess, tenant: Tenant) -> None:
    invited = _Invited(tenant)
    invited.post(node)
    invited.ask(node)
    with pytest.raises(TelerelayError) as caught:
        invited.release(node, Tenant(now=tenant.now))
    assert caught.value.code == "REQUEST"
    invited.release(node)


def test_a_foreign_administrator_does_not_answer(node: NodeProcess, tenant: Tenant) -> None:
    other = Tenant(now=tenant.now)
    node.admit(other)
    invited = _Invited(tenant)
    invited.post(node)
    invited.ask(node)
    with node.organisation(other, Role.ADMIN) as api, pytest.raises(TelerelayError) as caught:
        api.refuse(invited.terms.id, "INVITE")
    assert caught.value.code == "REQUEST"


# ---------------------------------------------------------------- the operator


def test_a_suspended_organisation_is_answered_so_until_it_is_admitted_again(
    node: NodeProcess, tenant: Tenant
) -> None:
    with node.control() as control:
        control.suspend(tenant.id, "misuse")
        with node.organisation(tenant, Role.ADMIN) as admin, pytest.raises(TelerelayError) as caught:
            admin.overview()
        assert caught.value.code == "SUSPENDED"
        row = control.find(tenant.id.hex()[:12])
        assert row.suspended is not None
        assert row.name == tenant.name
        node.admit(tenant)
        assert control.find(tenant.id.hex()).suspended is None
    with node.organisation(tenant, Role.ADMIN) as admin:
        assert admin.overview().organisation == tenant.id
    acts = [
        (record["action"], record["reason"])
        for record in node.records()
        if record["kind"] == "ADMIT" and record["organisation"] == tenant.id.hex()
    ]
    assert acts == [("admitted", ""), ("suspended", "misuse"), ("admitted", "")]


def test_admitting_twice_changes_nothing(node: NodeProcess, tenant: Tenant) -> None:
    pem = tenant.root.public_bytes(Encoding.PEM)
    with node.control() as control:
        organisation, new, line = control.admit(pem)
    assert (organisation, new) == (tenant.id, False)
    assert line.startswith("telerelay-cluster:")


def test_what_is_no_root_is_not_admitted(node: NodeProcess, tenant: Tenant) -> None:
    leaf = tenant.chain(Role.CLIENT)[0].public_bytes(Encoding.PEM)
    with node.control() as control:
        for pem in (b"nothing", leaf):
            with pytest.raises(TelerelayError) as caught:
                control.admit(pem)
            assert caught.value.code == "REQUEST"


def test_a_revoked_administrator_is_refused(node: NodeProcess, tenant: Tenant) -> None:
    admin_device = key_id(tenant.keys.roles[RoleKey.ADMIN].key.public_key())
    with node.organisation(tenant, Role.ADMIN) as admin:
        admin.post_document(tenant.revocations(devices=[admin_device]))
        with pytest.raises(TelerelayError) as caught:
            admin.overview()
    assert caught.value.code == "REVOKED"


# ---------------------------------------------------------------- the commands


def _run(node: NodeProcess, *command: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [TELERELAY, *command, "--data", str(node.data), "--lang", "en"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_the_operators_commands(node: NodeProcess, tmp_path: Path) -> None:
    tenant = Tenant(now=int(time.time()), name="Minamicho")
    (tmp_path / "root.pem").write_bytes(tenant.root.public_bytes(Encoding.PEM))
    code, out, err = _run(node, "node", "admit", str(tmp_path / "root.pem"))
    assert code == 0
    assert parse_cluster_line(out).nodes[0].addresses == (node.address,)
    assert tenant.id.hex() in err
    code, out, _ = _run(node, "node", "admit", str(tmp_path / "root.pem"), "--json")
    said = json.loads(out)
    assert (said["schema"], said["organisation"], said["new"]) == (
        "telerelay.node-admit/1",
        tenant.id.hex(),
        False,
    )
    parse_cluster_line(said["cluster"])
    code, out, _ = _run(node, "node", "suspend", tenant.id.hex()[:12], "--reason", "test")
    assert code == 0
    code, out, _ = _run(node, "node", "list")
    (line,) = [line for line in out.splitlines() if "Minamicho" in line]
    assert "suspended since" in line


def test_the_operators_commands_fail_in_one_line(node: NodeProcess, tmp_path: Path) -> None:
    code, _, err = _run(node, "node", "suspend", "ffffffffffff", "--reason", "test")
    assert (code, err.count("\n")) == (2, 1)
    (tmp_path / "no.pem").write_text("no root")
    code, _, err = _run(node, "node", "admit", str(tmp_path / "no.pem"))
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error[REQUEST]")
