"""What `doctor` says of machines that are fit, and of each way to be unfit, brought about for real."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telerelay_endpoint.certificates import Role, format_chain
from telerelay_endpoint.doctor.machine import check_pipes
from tests.kit.doctor import answering, examine, examine_agent, examine_client, examine_node
from tests.kit.machines import Machines
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.ordinary import NOBODY
from tests.kit.tenant import DAY, Tenant

_YEAR = 366 * DAY
_NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One that runs for all tests that leave it as it is."""
    with NodeProcess(tmp_path_factory.mktemp("doctor")) as started:
        yield started


@pytest.fixture
def own(tmp_path: Path) -> Iterator[NodeProcess]:
    """One that ran, and is this test's to break."""
    made = NodeProcess(tmp_path)
    with made:
        pass
    yield made
    made.stop()


@pytest.fixture
def machines(node: NodeProcess, tmp_path: Path) -> Machines:
    tenant = Tenant(now=int(time.time()))
    node.admit(tenant)
    node.publish(tenant)
    return Machines(node, tenant, tmp_path / "machines")


def _change_relay(folder: Path, **fields: object) -> None:
    file = folder / "relay.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


# ---------------------------------------------------------------- fit


def test_a_node_that_runs_is_fit(node: NodeProcess) -> None:
    found = examine_node(node)
    assert found.exit_code == 0
    assert f"{node.address} is node relay-1" in found.sentence("tls", "ok")
    assert "the database is whole" in found.sentence("store", "ok")
    assert found.sentence("time", "ok")


def test_a_node_that_does_not_run_yet_is_fit(tmp_path: Path) -> None:
    found = examine_node(NodeProcess(tmp_path))
    assert found.exit_code == 0
    assert found.sentence("port", "ok") == "127.0.0.1:0 is free | None"


def test_the_successors_key_is_nagged_about_until_it_is_moved(own: NodeProcess) -> None:
    key = own.data / "cluster" / "successor.key"
    assert f"mv {key}" in examine_node(own).sentence("successor", "warn")
    key.unlink()
    assert examine_node(own).sentence("successor", "ok")


def test_a_home_pc_is_fit_and_an_office_pc_but_for_what_was_not_set_up(machines: Machines) -> None:
    client = examine_client(machines.folder(Role.CLIENT))
    assert client.exit_code == 0
    assert "the node knows this device" in client.sentence("device", "ok")
    agent = examine_agent(machines.folder(Role.AGENT), _NOWHERE)
    assert agent.failed() == {"desktop", "documents"}
    assert "nobody is let in" in agent.sentence("documents", "fail")


def test_words_are_told_in_both_languages(tmp_path: Path) -> None:
    said = [
        subprocess.run(
            [TELERELAY, "doctor", "--lang", language, "--data", tmp_path],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        ).stdout
        for language in ("en", "ja")
    ]
    assert "the settings fit" in said[0]
    assert "設定に問題はありません" in said[1]


# ---------------------------------------------------------------- the way to the relay


def test_a_closed_port_is_named(machines: Machines) -> None:
    folder = machines.folder(Role.CLIENT)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    _change_relay(folder, nodes=[["relay-1", [address]]])
    found = examine_client(folder)
    assert f"{address} cannot be reached: Connection refused" in found.sentence("address", "fail")
    assert found.failed() == {"address", "device"}


def test_a_name_that_does_not_resolve_is_named(machines: Machines) -> None:
    folder = machines.folder(Role.CLIENT)
    _change_relay(folder, nodes=[["relay-1", ["relay.invalid:8443"]]])
    # Without a network nobody outside is asked.
    found = examine_client(folder, before=("unshare", "--net"))
    assert "relay.invalid has no address" in found.sentence("names", "fail")
    assert "getent ahosts relay.invalid" in found.sentence("names", "fail")


def test_a_node_with_another_pin_is_named(machines: Machines) -> None:
    folder = machines.folder(Role.CLIENT)
    _change_relay(folder, pins=["00" * 32, "11" * 32])
    found = examine_client(folder)
    assert found.failed() == {"tls", "device"}
    assert found.sentence("address", "ok")


def test_something_that_is_no_node_is_named(machines: Machines) -> None:
    folder = machines.folder(Role.CLIENT)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        _change_relay(folder, nodes=[["relay-1", [address]]])
        found = examine_client(folder)
    assert f"no relay node answers at {address}" in found.sentence("tls", "fail")


@pytest.mark.parametrize(("off", "result"), [("+100s", "warn"), ("+1000s", "fail"), ("-1000s", "fail")])
def test_a_clock_that_is_off_is_measured_against_the_nodes(machines: Machines, off: str, result: str) -> None:
    # Valid at both clocks, so that time alone is what is wrong.
    tenant = Tenant(now=int(time.time()) - DAY)
    machines.node.admit(tenant)
    folder = Machines(machines.node, tenant, machines.home).folder(Role.CLIENT)
    found = examine_client(folder, before=("faketime", "-f", off))
    assert off.strip("+-s")[:-1] in found.sentence("time", result)
    assert "timedatectl" in found.sentence("time", result)


def test_an_organisation_that_is_not_admitted_is_named(machines: Machines, tmp_path: Path) -> None:
    folder = machines.folder(Role.CLIENT)
    stranger = Tenant(now=int(time.time()))
    files = stranger.files(tmp_path, Role.CLIENT)
    shutil.copy(files.chain, folder / "chain.pem")
    shutil.copy(files.key, folder / "device.key")
    (folder / "root.pem").write_bytes(format_chain([stranger.root]))
    found = examine_client(folder)
    assert found.failed() == {"device"}


# ---------------------------------------------------------------- enrolment


def test_a_machine_that_is_not_enrolled_is_told_the_command(tmp_path: Path) -> None:
    assert "| telerelay-client enrol" in examine_client(tmp_path).sentence("enrolment", "fail")
    assert "| telerelay-agent enrol" in examine_agent(tmp_path, _NOWHERE).sentence("enrolment", "fail")


def test_an_expired_certificate_is_named_and_the_rest_checked_all_the_same(
    node: NodeProcess, tmp_path: Path
) -> None:
    tenant = Tenant(now=int(time.time()) - 3 * _YEAR)
    node.admit(tenant)
    found = examine_client(Machines(node, tenant, tmp_path / "machines").folder(Role.CLIENT))
    assert found.failed() == {"certificate"}
    assert "the certificate expired at" in found.sentence("certificate", "fail")
    assert found.sentence("tls", "ok")


def test_a_certificate_that_expires_soon_is_warned_of(node: NodeProcess, tmp_path: Path) -> None:
    tenant = Tenant(now=int(time.time()) - 2 * 365 * DAY + 10 * DAY)
    node.admit(tenant)
    found = examine_client(Machines(node, tenant, tmp_path / "machines").folder(Role.CLIENT))
    assert found.exit_code == 0
    assert "telerelay-client enrol" in found.sentence("certificate", "warn")


def test_a_damaged_document_is_named(machines: Machines) -> None:
    folder = machines.folder(Role.AGENT)
    (folder / "documents").mkdir()
    (folder / "documents" / "revocations.cose").write_bytes(b"no document")
    found = examine_agent(folder, _NOWHERE)
    assert "revocations.cose" in found.sentence("documents", "fail")


def test_a_key_that_others_may_read_is_named(machines: Machines) -> None:
    folder = machines.folder(Role.CLIENT)
    (folder / "device.key").chmod(0o644)
    assert "chmod 600" in examine_client(folder).sentence("certificate", "fail")


# ---------------------------------------------------------------- the machine


def test_too_few_descriptors_are_counted(tmp_path: Path) -> None:
    few = ("prlimit", "--nofile=64:100")
    found = examine_node(NodeProcess(tmp_path), before=few, TELERELAY_NODE_WORKERS="2")
    assert found.failed() == {"descriptors"}
    # 9,000 connections, the pipes of two workers, and what a node needs besides.
    assert "64 files may be open (at most 100), 10280 are planned" in found.sentence("descriptors", "fail")


def test_it_is_the_running_nodes_descriptors_that_count(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, program=("prlimit", "--nofile=2000:2000", TELERELAY)) as node:
        assert "2000 files may be open" in examine_node(node).sentence("descriptors", "fail")


def test_a_memory_budget_beyond_what_there_is_is_named(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path)
    assert "MiB of memory" in examine_node(node).sentence("memory", "ok")
    found = examine_node(node, TELERELAY_NODE_MEMORY_BUDGET=str(1 << 50))
    assert found.failed() == {"memory"}
    said = found.sentence("memory", "fail")
    assert "memory_budget is 1073741824 MiB, there are" in said
    assert "set memory_budget to" in said


def test_kernel_settings_that_are_too_small_are_named_with_the_command(tmp_path: Path) -> None:
    small = "echo 128 >/proc/sys/net/core/somaxconn; echo reno >/proc/sys/net/ipv4/tcp_congestion_control;"
    small += "echo 40000 40100 >/proc/sys/net/ipv4/ip_local_port_range; ip link set lo up;"
    before = ("unshare", "--net", "sh", "-c", f'{small} exec "$@"', "sh")
    found = examine_node(NodeProcess(tmp_path), before=before)
    assert found.exit_code == 0
    told = "\n".join(found.sentences("sysctl", "warn"))
    assert "sysctl -w net.core.somaxconn=4096" in told
    assert "sysctl -w net.ipv4.tcp_congestion_control=cubic" in told
    assert "101 connections to one address" in told


@pytest.mark.parametrize(("user", "level"), [(1000, "warn"), (0, "ok")])
def test_the_pipe_budget_is_an_ordinary_users(tmp_path: Path, user: int, level: str) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs" / "pipe-user-pages-soft").write_text("1024\n")
    (finding,) = check_pipes(100, user, tmp_path)
    assert finding.level == level


def test_it_is_the_nodes_user_whose_pipes_count(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path)
    node.data.mkdir(mode=0o700)
    # Twice what the kernel gives a user.
    many = {"TELERELAY_NODE_WORKERS": "256"}
    assert "is enough" in examine_node(node, **many).sentence("pipes", "ok")
    os.chown(node.data, NOBODY, NOBODY)
    assert "sysctl -w fs.pipe-user-pages-soft=" in examine_node(node, **many).sentence("pipes", "warn")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = NodeProcess(tmp_path)
        node.address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = examine_node(node)
    assert found.failed() == {"port"}
    assert "Address already in use | ss -ltnp" in found.sentence("port", "fail")


def test_a_mistyped_setting_is_all_that_is_told(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("workrs = 1\n")
    found = examine(TELERELAY, TELERELAY_NODE_CONFIG=str(file))
    assert f"{file}:1:1: workrs is no setting; nearest: workers" in found.sentence("settings", "fail")


# ---------------------------------------------------------------- store and cluster


@pytest.mark.parametrize(
    ("offset", "damage", "told"),
    [
        pytest.param(0, b"no database at all", "does not open", id="no header"),
        pytest.param(4096 + 3, b"\x00\x07", "is damaged", id="one cell too many"),
    ],
)
def test_a_damaged_database_is_named(own: NodeProcess, offset: int, damage: bytes, told: str) -> None:
    with (own.data / "store.db").open("r+b") as file:
        file.seek(offset)
        file.write(damage)
    said = examine_node(own).sentence("store", "fail")
    assert told in said
    assert "from a backup" in said


@pytest.mark.parametrize(
    ("revision", "result", "told"),
    [("9999", "fail", "does not know"), (None, "warn", "the next start brings it to")],
)
def test_a_database_of_another_version_is_named(
    own: NodeProcess, revision: str | None, result: str, told: str
) -> None:
    with sqlite3.connect(own.data / "store.db") as store:
        store.execute("DELETE FROM alembic_version")
        if revision is not None:
            store.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    store.close()
    assert told in examine_node(own).sentence("store", result)


def test_a_folder_that_is_open_to_others_is_named(own: NodeProcess) -> None:
    own.data.chmod(0o755)
    assert f"chmod 700 {own.data}" in examine_node(own).sentence("store", "fail")


def test_a_clock_behind_what_was_signed_is_named(own: NodeProcess) -> None:
    found = examine_node(own, before=("faketime", "-f", "-10d"))
    assert "clock" in found.failed()
    assert any("yet something was signed at" in said for said in found.sentences("clock", "fail"))


def test_the_nodes_certificates_are_checked(own: NodeProcess) -> None:
    found = examine_node(own, before=("faketime", "-f", "+25y"))
    assert found.failed() == {"certificate"}
    assert len(found.sentences("certificate", "fail")) == 2
