"""The `org` commands and `enrol` as a person meets them: arguments, streams, exit codes, on a fake node."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
from PIL import Image

from telerelay.cli.main import main
from telerelay.cli.org_options import now
from telerelay.org.api import OrganisationApi
from telerelay.org.folder import KEEP, KeeperFolder, OrganisationFolder
from telerelay.org.keeper import Keeper
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.console import Console, choose_language
from telerelay_endpoint.credentials import load_credentials
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.enrol_dialogue import enrol
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import ClusterLine, parse_invite
from telerelay_endpoint.payloads import NodeAddress
from tests.kit.fake_node import FakeNode
from tests.kit.qr import read_picture, read_svg, read_terminal

CLUSTER = ClusterLine((bytes(32), bytes(32)), (NodeAddress("tokyo-1", ("192.0.2.1:8443",)),))
PASSPHRASE = "correct horse"


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


class Desk:
    """An administrator's machine, with a way to a node that is not there yet."""

    def __init__(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.path = path
        self.org = path / "org"
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.node = FakeNode(b"")
        monkeypatch.setenv("TELERELAY_ORG", str(self.org))
        monkeypatch.setattr("telerelay_endpoint.credentials.Dial", lambda **_: self.node.opener())

    def run(self, *arguments: str, typed: str = "") -> Outcome:
        """One command; `typed` is what stands on standard input."""
        self._monkeypatch.setattr(sys, "argv", ["telerelay", "org", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    def found_and_join(self) -> None:
        """Everything up to the first invite."""
        assert self.run("init", typed=PASSPHRASE).code == 0
        self.node.organisation = OrganisationFolder(self.org).organisation
        assert self.run("join", CLUSTER.format()).code == 0

    def enrol(self, kind: str, label: str) -> str:
        """Invite a machine and enrol it; a keeper must answer. Its computer ID, or its label."""
        invited = self.run("invite", kind, "--label", label, "--json").data
        self.accept(kind, label, invited["invite"])
        return str(invited["computer"] or label)

    def accept(self, kind: str, label: str, invite: str) -> None:
        """Enrol a machine by an invite."""
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(invite + "\n"))
        enrol(Console(), self.path / label, Role(kind), invite_file=None, accept_terms=1)

    def keeper(self) -> "Running":
        """A keeper at work, until the block is left."""
        folder = KeeperFolder(self.org / KEEP)
        return Running(Keeper(folder, lambda: OrganisationApi(self.node.opener())))


class Running:
    """A keeper in a thread of its own."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._thread = threading.Thread(target=keeper.work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._keeper.stop()
        self._thread.join(10)


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    # Keepers of these tests share the process with commands whose output is looked at.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield Desk(tmp_path, monkeypatch, capsys)
    structlog.reset_defaults()
    choose_language("en")


def test_the_first_day(desk: Desk) -> None:
    desk.found_and_join()
    with desk.keeper():
        computer = desk.enrol("agent", "Room 204")
        desk.enrol("client", "Tanaka")
        granted = desk.run("grant", "Tanaka", computer, "--json", typed=PASSPHRASE)
        assert granted.code == 0, granted.err
        assert granted.data == {
            "schema": "telerelay.org-grant/1",
            "computer": computer,
            "client": load_credentials(desk.path / "Tanaka", now()).device.hex(),
            "version": 1,
            "stamped": True,
            "missing": [],
        }
        listed = desk.run("list", "--json").data
        revoked = desk.run("revoke", "Tanaka", "--json", typed=PASSPHRASE)
    assert {device["label"]: device["kind"] for device in listed["devices"]} == {
        "Room 204": "agent",
        "Tanaka": "client",
    }
    (state,) = listed["computers"]
    assert (state["computer"], state["stamped"]) == (computer, True)
    assert [grant["label"] for grant in state["grants"]] == ["Tanaka"]
    assert (revoked.code, revoked.data["version"], revoked.data["stamped"]) == (0, 2, True)
    agent = load_credentials(desk.path / "Room 204", now())
    assert agent.relay.computer is not None
    assert format_computer_id(agent.relay.computer) == computer


def test_init_speaks_and_asks(desk: Desk) -> None:
    assert desk.run("init").code == 2
    assert not desk.org.exists()
    done = desk.run("init", "--name", "例市", "--lang", "ja", typed=PASSPHRASE)
    assert done.code == 0
    assert "組織ID" in done.out
    assert PASSPHRASE not in done.out + done.err
    again = desk.run("init", typed=PASSPHRASE)
    assert (again.code, again.out) == (2, "")
    assert again.err.startswith("error[USAGE] ")
    assert len(again.err.splitlines()) == 1


def test_a_passphrase_file_must_be_private(desk: Desk) -> None:
    file = desk.path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o644)
    refused = desk.run("init", "--passphrase-file", str(file))
    assert (refused.code, refused.err.split("]")[0]) == (5, "error[KEY_FILE")
    file.chmod(0o600)
    assert desk.run("init", "--passphrase-file", str(file)).code == 0
    desk.node.organisation = OrganisationFolder(desk.org).organisation
    desk.run("join", CLUSTER.format())
    with desk.keeper():
        computer = desk.enrol("agent", "PC")
        desk.enrol("client", "Tanaka")
        assert desk.run("grant", "Tanaka", computer, "--passphrase-file", str(file)).code == 0
        wrong = desk.run("grant", "Tanaka", computer, typed="wrong")
    assert (wrong.code, wrong.err.split("]")[0]) == (5, "error[KEY_FILE")


def test_unencrypted_only_on_explicit_wish(desk: Desk) -> None:
    assert desk.run("init", "--unencrypted", "--json").data["encrypted"] is False
    assert b"ENCRYPTED" not in (desk.org / "root.key").read_bytes()


def test_join_refuses_what_is_no_cluster_line(desk: Desk) -> None:
    desk.run("init", typed=PASSPHRASE)
    assert desk.run("join", "telerelay-cluster:AAAA").err.startswith("error[USAGE] ")
    desk.node.failures = ["refuse"]
    unreachable = desk.run("join", CLUSTER.format())
    assert (unreachable.code, unreachable.err.split("]")[0]) == (4, "error[UNREACHABLE")
    assert not (desk.org / "admin" / "relay.json").exists()


def test_an_invite_is_printed_on_a_line_of_its_own(desk: Desk) -> None:
    desk.found_and_join()
    printed = desk.run("invite", "client", "--label", "Tanaka").out.splitlines()
    assert "telerelay-client enrol" in printed[0]
    assert printed[1].startswith("telerelay-invite:")
    file = desk.path / "tanaka.invite"
    written = desk.run("invite", "agent", "--label", "PC", "--out", str(file), "--json")
    assert "invite" not in written.data
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("telerelay-invite:")


def test_an_invite_is_shown_as_a_code_that_a_camera_reads(desk: Desk) -> None:
    desk.found_and_join()
    printed = desk.run("invite", "client", "--label", "Tanaka", "--qr").out.splitlines()
    assert read_terminal(printed[2:]) == printed[1]
    assert parse_invite(printed[1]).terms.label == "Tanaka"


@pytest.mark.parametrize(
    ("suffix", "read"), [("svg", read_svg), ("png", lambda p: read_picture(Image.open(p)))]
)
def test_an_invite_is_written_as_a_code_for_its_owner_only(
    desk: Desk, suffix: str, read: Callable[[Path], str]
) -> None:
    desk.found_and_join()
    file = desk.path / f"tanaka.{suffix}"
    written = desk.run("invite", "agent", "--label", "田中さんのPC", "--qr", "--out", str(file))
    assert "telerelay-invite:" not in written.out
    assert "telerelay-agent enrol" in written.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert parse_invite(read(file)).terms.label == "田中さんのPC"


def test_a_code_in_an_unknown_kind_of_file_is_refused_before_an_invite_is_made(desk: Desk) -> None:
    desk.found_and_join()
    refused = desk.run("invite", "client", "--label", "Tanaka", "--qr", "--out", str(desk.path / "code.gif"))
    assert refused.code == 2
    assert "code.gif: a QR code is written as .svg or .png" in refused.err
    assert not desk.node.invites


def test_an_invite_that_was_interrupted_is_the_same_again(desk: Desk) -> None:
    desk.found_and_join()
    desk.node.failures = ["refuse"]
    assert desk.run("invite", "agent", "--label", "PC").code == 4
    first = desk.run("invite", "agent", "--label", "PC", "--json").data
    second = desk.run("invite", "agent", "--label", "PC", "--json").data
    assert len(desk.node.invites) == 2
    assert first["computer"] != second["computer"]


def test_approve_by_hand(desk: Desk) -> None:
    desk.found_and_join()
    assert desk.run("approve").out == "nobody waits\n"
    invite = desk.run("invite", "client", "--label", "Tanaka", "--json").data["invite"]
    thread = threading.Thread(target=desk.accept, args=("client", "Tanaka", invite))
    thread.start()
    with desk.node.changed:
        assert desk.node.changed.wait_for(lambda: bool(desk.node.requests), 10)
    (waiting,) = desk.run("approve", "--json").data["requests"]
    assert (waiting["label"], waiting["outcome"]) == ("Tanaka", "waiting")
    assert OrganisationFolder(desk.org).keeper().journal.entries() == {}
    (approved,) = desk.run("approve", waiting["invite"][:8], "--json").data["requests"]
    assert approved["outcome"] == "approved"
    thread.join(10)
    assert load_credentials(desk.path / "Tanaka", now()).relay.role is Role.CLIENT


def test_a_stamp_that_does_not_come_is_told_in_plain_words(desk: Desk) -> None:
    desk.found_and_join()
    with desk.keeper():
        computer = desk.enrol("agent", "PC")
        desk.enrol("client", "Tanaka")
    arguments = ("grant", "Tanaka", computer)
    waited = desk.run(*arguments, "--wait", "1", "--json", typed=PASSPHRASE)
    assert waited.code == 9
    assert (waited.data["stamped"], waited.data["missing"]) == (False, [computer])
    assert waited.err.startswith("warning: no stamp came within 1 s")
    not_waited = desk.run(*arguments, "--no-wait", "--json", typed=PASSPHRASE)
    assert (not_waited.code, not_waited.data["stamped"], not_waited.err) == (0, None, "")
    with desk.keeper():
        assert desk.run(*arguments, typed=PASSPHRASE).code == 0


def test_a_grant_for_a_time(desk: Desk) -> None:
    desk.found_and_join()
    with desk.keeper():
        computer = desk.enrol("agent", "PC")
        desk.enrol("client", "Tanaka")
        times = ("--not-before", "2026-04-01T08:30", "--not-after", "2026-04-02")
        assert desk.run("grant", "Tanaka", computer, *times, typed=PASSPHRASE).code == 0
        ((grant,),) = (state["grants"] for state in desk.run("list", "--json").data["computers"])
    begin, end = (datetime.fromisoformat(grant[name]).astimezone() for name in ("not_before", "not_after"))
    assert (begin.strftime("%H:%M"), end - begin) == ("08:30", timedelta(hours=15, minutes=30))


def test_a_node_that_withholds_the_document_from_the_keeper_is_found(desk: Desk) -> None:
    desk.found_and_join()
    with desk.keeper():
        computer = desk.enrol("agent", "PC")
        desk.enrol("client", "Tanaka")
        desk.node.withheld.add((Kind.COMPUTER, computer))
        withheld = desk.run("grant", "Tanaka", computer, "--wait", "1", typed=PASSPHRASE)
    assert withheld.code == 9
    assert "the node withholds the change" in withheld.err


# ---------------------------------------------------------------- enrol


def test_terms_must_be_accepted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.found_and_join()
    invited = desk.run("invite", "client", "--label", "Tanaka", "--json").data
    for accepted, sentence in ((None, "nobody to ask"), (2, "version 1 is in force")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(invited["invite"] + "\n"))
        with pytest.raises(TelerelayError, match=sentence) as caught:
            enrol(Console(), desk.path / "client", Role.CLIENT, invite_file=None, accept_terms=accepted)
        assert caught.value.code == "TERMS"
    assert not (desk.path / "client").exists()


def test_a_dead_invite_is_forgotten(desk: Desk) -> None:
    desk.found_and_join()
    invite = desk.run("invite", "client", "--label", "Tanaka", "--json").data["invite"]
    desk.node.invites.clear()
    with pytest.raises(TelerelayError, match="unknown"):
        desk.accept("client", "Tanaka", invite)
    key = (desk.path / "Tanaka" / "device.key").read_bytes()
    with desk.keeper():
        desk.enrol("client", "Tanaka")
    assert (desk.path / "Tanaka" / "device.key").read_bytes() == key


# ---------------------------------------------------------------- the program itself


def isolated(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    ).stdout


def test_the_org_commands_load_no_node() -> None:
    loaded = isolated(
        "import sys\n"
        "from telerelay.cli.main import program\n"
        "program().main(['org', 'grant', '--help'], standalone_mode=False)\n"
        "print([name for name in ('sqlalchemy', 'uvloop', 'uvicorn', 'fastapi') if name in sys.modules])"
    )
    assert loaded.splitlines()[-1] == "[]"


def test_every_command_of_the_table_has_its_file() -> None:
    shown = isolated(
        "from telerelay.cli.main import program\n"
        "def walk(group, path):\n"
        "    for name, command in group.commands.items():\n"
        "        if hasattr(command, 'commands'):\n"
        "            walk(command, [*path, name])\n"
        "        else:\n"
        "            command.make_context(name, [], resilient_parsing=True)\n"
        "            print(*path, name)\n"
        "walk(program(), [])"
    )
    assert "org init" in shown.splitlines()


def test_mistakes_of_typing(desk: Desk) -> None:
    unknown = desk.run("grnat")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err.startswith("error[USAGE] ")
    assert "grant" in unknown.err
    missing = desk.run("grant")
    assert missing.code == 2
    assert "'client'" in missing.err


def test_ctrl_c(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("telerelay.cli.org_init.found", interrupt)
    interrupted = desk.run("init", typed=PASSPHRASE)
    assert (interrupted.code, interrupted.err.split("]")[0]) == (130, "error[INTERRUPTED")


@pytest.mark.parametrize(
    ("failure", "code", "name"),
    [
        (PermissionError(13, "Permission denied", "/somewhere"), 6, "MACHINE"),
        (ZeroDivisionError("ours"), 1, "INTERNAL"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, failure: Exception, code: int, name: str
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr("telerelay.cli.org_init.found", fail)
    failed = desk.run("init", typed=PASSPHRASE)
    assert failed.code == code
    assert failed.err.splitlines()[-1].startswith(f"error[{name}] ")
