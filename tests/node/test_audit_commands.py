"""`telerelay audit` against a real node and its real records."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telerelay_core import SessionEnded, SessionOpened, format_computer_id
from tests.kit.beside import beside, counting
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant

HOSTILE = "v1\n\x1b[2J\u202e" + "\x07" * 20


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path, environment={"TELERELAY_NODE_LOG_LEVEL": "debug"})
    with made:
        yield made


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    return _admitted(node)


def _admitted(node: NodeProcess) -> Tenant:
    tenant = Tenant(now=int(time.time()))
    node.admit(tenant)
    node.publish(tenant)
    return tenant


def _audit(node: NodeProcess, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [TELERELAY, "audit", *command, "--data", str(node.data), "--lang", "en"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _json(node: NodeProcess, *command: str, code: int = 0) -> dict[str, Any]:
    ended = _audit(node, *command, "--json")
    assert ended.returncode == code, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


async def _session(node: NodeProcess, tenant: Tenant, program: str = HOSTILE) -> str:
    """One whole session of a client whose program's name was chosen to hurt; its attempt."""
    async with agent_of(node, tenant), client_of(node, tenant, program=program) as client:
        opened = await client.wait(SessionOpened)
        client.handle.stop()
        await client.wait(SessionEnded)
    node.record(kind="END", attempt=opened.attempt)
    return opened.attempt


def _export(node: NodeProcess, tenant: Tenant, out: Path) -> "subprocess.CompletedProcess[str]":
    return _audit(
        node, "export", "--organisation", tenant.id.hex(), "--requested-by", "Kitamachi Town",
        "--ground", "its own request", "--out", str(out),
    )  # fmt: skip


async def test_an_attempt_is_found_whole_and_a_hostile_program_moves_no_cursor(
    node: NodeProcess, tenant: Tenant
) -> None:
    async with beside(node), counting(node, {"ended.DONE": 1}):
        attempt = await _session(node, tenant)
    found = _json(node, "search", "--attempt", attempt.lower())
    assert found["schema"] == "telerelay.audit-search/1"
    assert [record["kind"] for record in found["records"]] == ["START", "END"]
    assert found["records"][0]["program"] == HOSTILE
    for wanted in (
        ("--computer", found["records"][0]["computer"]),
        ("--device", tenant.client.hex()),
        ("--organisation", tenant.id.hex()[:8], "--code", found["records"][1]["code"]),
    ):
        records = _json(node, "search", *wanted)["records"]
        assert [record["kind"] for record in records if record.get("attempt") == attempt] == ["START", "END"]
    assert _json(node, "search", "--attempt", "0000-0000")["records"] == []
    shown = _audit(node, "search", "--attempt", attempt)
    assert shown.returncode == 0
    assert all(line.isprintable() for line in shown.stdout.splitlines())
    # Nor does it in the node's log, which tells of it at DEBUG only.
    lines = [json.loads(line) for line in node.log.read_text().splitlines() if line.startswith("{")]
    (asked,) = [line for line in lines if line["event"] == "attempt asked" and line["attempt"] == attempt]
    assert (asked["level"], asked["program"]) == ("debug", HOSTILE)
    assert all(line.isprintable() for line in node.log.read_text().splitlines())


async def test_a_clean_chain_is_verified_and_a_changed_record_is_named(
    node: NodeProcess, tenant: Tenant
) -> None:
    attempt = await _session(node, tenant)
    clean = _json(node, "verify")
    assert (clean["schema"], clean["breaks"]) == ("telerelay.audit-verify/1", [])
    assert clean["records"] >= len(node.records())
    assert clean["checkpoints"] >= 0
    (head,) = clean["heads"]
    assert head.startswith("relay-1:")

    start = node.record(kind="START", attempt=attempt)
    with sqlite3.connect(node.data / "store.db") as store:
        store.execute(
            "UPDATE audit_records"
            " SET record = CAST(replace(CAST(record AS TEXT), '127.0.0.1', '127.0.0.9') AS BLOB)"
            " WHERE seq = ?",
            [start["seq"]],
        )
    store.close()
    broken = _json(node, "verify", code=9)
    assert [(found["kind"], found["node"], found["first"], found["last"]) for found in broken["breaks"]] == [
        ("altered", "relay-1", start["seq"], start["seq"])
    ]
    text = _audit(node, "verify")
    assert text.returncode == 9
    assert f"relay-1  {start['seq']}" in text.stdout


async def test_an_export_is_verified_by_somebody_who_has_nothing_but_it_and_the_ca(
    node: NodeProcess, tenant: Tenant, tmp_path: Path
) -> None:
    other = _admitted(node)
    await _session(node, tenant)
    out, elsewhere = tmp_path / "kitamachi.jsonl", tmp_path / "auditor"
    done = _export(node, tenant, out)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    assert other.id.hex() not in out.read_text()
    assert _export(node, tenant, out).returncode == 2
    (recorded,) = _json(node, "search", "--organisation", tenant.id.hex())["records"][-1:]
    assert (recorded["kind"], recorded["requested_by"], recorded["ground"]) == (
        "EXPORT",
        "Kitamachi Town",
        "its own request",
    )
    assert _json(node, "verify")["breaks"] == []

    elsewhere.mkdir()
    (elsewhere / "ca.pem").write_bytes((node.data / "cluster" / "ca.pem").read_bytes())
    node.stop()
    by_ca = ("--ca", str(elsewhere / "ca.pem"))
    verdict = _json(node, "verify", str(out), *by_ca)
    assert verdict["breaks"] == []
    assert (verdict["scope"]["organisation"], verdict["scope"]["ground"]) == (
        tenant.id.hex(),
        "its own request",
    )
    assert verdict["not_shown"] > 0
    assert verdict["checkpoints"] > 0
    changed = tmp_path / "changed.jsonl"
    changed.write_text(out.read_text().replace('"action":"admitted"', '"action":"suspended"'))
    assert _json(node, "verify", str(changed), *by_ca, code=9)["breaks"][0]["kind"] == "altered"
    assert _audit(node, "verify", str(tmp_path / "node.log"), *by_ca).returncode == 2


async def test_a_node_from_whose_database_records_were_taken_shows_the_hole_for_ever(
    node: NodeProcess, tenant: Tenant
) -> None:
    await _session(node, tenant)
    kept = _json(node, "verify")["heads"][0]
    node.stop()
    with sqlite3.connect(node.data / "store.db") as store:
        (last,) = store.execute("SELECT max(seq) FROM audit_records").fetchone()
        store.execute("DELETE FROM audit_records WHERE seq > ?", [last - 4])
    store.close()
    for file in (node.data / "audit").iterdir():
        file.unlink()
    node.start()
    assert "audit records are missing" in node.log.read_text()
    # Of the four, the last held the checkpoint, and its number is the next one's.
    for kind in ("truncated", "missing"):
        (broken,) = _json(node, "verify", code=9)["breaks"]
        assert (broken["kind"], broken["first"], broken["last"]) == (kind, last - 3, last - 1)
        _admitted(node)
    assert _json(node, "verify", "--known", kept, code=9)["breaks"]
    assert _audit(node, "verify", "--known", "relay-1:7").returncode == 2


async def test_a_session_bears_its_attempt_in_the_nodes_log_and_nobodys_identity(
    tmp_path: Path,
) -> None:
    with NodeProcess(tmp_path) as node:
        tenant = _admitted(node)
        attempt = await _session(node, tenant)
        denied = Tenant(now=int(time.time())).computer
        async with client_of(node, tenant, computer=denied) as client:
            await client.wait(SessionEnded)
        node.record(kind="END", code="DENIED")
        log = node.log.read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    about = [(event["event"], event.get("code")) for event in events if event.get("attempt") == attempt]
    assert about[0] == ("attempt routed", None)
    assert about[1][0] == "attempt ended"
    assert [event["code"] for event in events if event["event"] == "attempt ended"][1] == "DENIED"
    for identity in (
        tenant.client.hex(),
        tenant.agent.hex(),
        format_computer_id(tenant.computer),
        "127.0.0.1",
    ):
        assert identity not in log
