"""Hardening a machine: how settings stand, what changes, and that it is undone exactly."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telerelay_agent.harden import changing
from telerelay_agent.harden.changing import apply, plan_undo, undo
from telerelay_agent.harden.editors import Key, TigervncPerlEditor
from telerelay_agent.harden.journal import JOURNAL_FILE, open_journal
from telerelay_agent.harden.places import file_place
from telerelay_agent.harden.plan import Standing, changes, look
from telerelay_agent.harden.settings import Setting, settings_of_this_machine, windows_settings
from telerelay_endpoint.errors import TelerelayError
from tests.kit.fake_registry import FakeRegistry
from tests.kit.harden import INI, TIME, applied, settings_in, tree, undone
from tests.kit.ordinary import NOBODY

POLICY = ("SOFTWARE\\Policies\\Microsoft\\Windows NT\\Terminal Services", "fDisableCdm")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "HARDENING.md").read_text()


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "it.ini").write_bytes(INI)
    (folder / "it.ini").chmod(0o640)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def standings(folder: Path) -> dict[str, Standing]:
    return {row.setting.id: row.standing for row in look(settings_in(folder))}


# ---------------------------------------------------------------- apply


def test_what_is_open_is_set_and_then_met(etc: Path, data: Path) -> None:
    there = ("it.cliprdr", "it.rdpdr", "rc.nosel", "flag")
    assert standings(etc) == {**dict.fromkeys(there, Standing.OPEN), "none.at-all": Standing.ABSENT}
    applied(etc, data)
    assert standings(etc) == {**dict.fromkeys(there, Standing.MET), "none.at-all": Standing.ABSENT}
    assert (etc / "it.ini").read_bytes() == INI.replace(b"=true", b"=false").replace(b"= yes", b"= false")
    assert (etc / "flag").read_bytes() == b"on"


def test_another_word_for_the_same_is_left_alone(etc: Path, data: Path) -> None:
    content = b"[Channels]\ncliprdr=NO\nrdpdr=False\n"
    (etc / "it.ini").write_bytes(content)
    applied(etc, data)
    assert (etc / "it.ini").read_bytes() == content


def test_owner_rights_attributes_and_links_stay(etc: Path, data: Path) -> None:
    real = etc / "it.ini"
    os.chown(real, NOBODY, NOBODY)
    os.setxattr(real, "user.of", b"ours")
    (etc / ".rc").symlink_to("elsewhere")
    (etc / "elsewhere").write_bytes(b"forever\n")
    applied(etc, data)
    kept = real.stat()
    assert (kept.st_uid, kept.st_gid, stat.S_IMODE(kept.st_mode)) == (NOBODY, NOBODY, 0o640)
    assert os.getxattr(real, "user.of") == b"ours"
    assert (etc / ".rc").readlink() == Path("elsewhere")
    assert (etc / "elsewhere").read_bytes() == b"forever\nnosel\n"
    assert undone(etc, data) == []
    assert (etc / ".rc").readlink() == Path("elsewhere")
    assert (etc / "elsewhere").read_bytes() == b"forever\n"


def test_what_changed_since_it_was_listed_is_left_alone_and_the_rest_is_done(etc: Path, data: Path) -> None:
    with open_journal(data) as journal:
        planned = changes(look(settings_in(etc)))
        (etc / "it.ini").write_bytes(b"theirs")
        (left,) = apply(planned, journal, TIME)
    assert left.place.address == str(etc / "it.ini")
    assert (etc / "it.ini").read_bytes() == b"theirs"
    assert (etc / "flag").exists()


def test_what_cannot_be_read_any_more_since_it_was_listed_is_left_alone_and_the_rest_is_done(
    etc: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = FakeRegistry()
    monkeypatch.setattr(changing, "windows_registry", lambda: registry)
    settings = [*windows_settings(registry), *settings_in(etc)]
    with open_journal(data) as journal:
        planned = changes(look(settings))
        registry.values[POLICY] = ("1", 1)
        (left,) = apply(planned, journal, TIME)
        assert left.settings == ["windows.fDisableCdm"]
        steps = plan_undo(journal.entries, settings)
        (etc / "it.ini").unlink()
        (etc / "it.ini").mkdir()
        (stays,) = undo(steps, journal)
    assert Path(stays.entry.address).name == "it.ini"
    assert registry.values == {POLICY: ("1", 1)}
    assert [path.name for path in etc.iterdir()] == ["it.ini"]


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_who_may_not_write_sees_it_locked() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "it.ini").write_bytes(INI)
        (folder / "it.ini").chmod(0o644)
        with as_nobody():
            assert standings(folder)["it.cliprdr"] is Standing.LOCKED
        # In a folder of one's own too, another's file stays another's.
        folder.chmod(0o777)
        with as_nobody():
            assert standings(folder)["it.cliprdr"] is Standing.LOCKED
            assert standings(folder)["rc.nosel"] is Standing.OPEN
        (folder / "it.ini").chmod(0o600)
        with as_nobody():
            assert standings(folder)["it.cliprdr"] is Standing.LOCKED
        assert standings(folder)["it.cliprdr"] is Standing.OPEN


def test_what_is_no_file_or_has_no_folder_is_left_to_a_person(etc: Path, data: Path) -> None:
    (etc / "flag").mkdir()
    (etc / ".rc").symlink_to("missing/rc")
    there = standings(etc)
    assert (there["flag"], there["rc.nosel"]) == (Standing.BY_HAND, Standing.BY_HAND)
    applied(etc, data)
    assert standings(etc)["it.cliprdr"] is Standing.MET
    assert not (etc / "missing").exists()
    # The journal makes the agent's own folder.
    (setting,) = (one for one in settings_of_this_machine(etc / "no-agent") if one.id == "agent.keep-awake")
    assert setting.place.is_writable()


# ---------------------------------------------------------------- undo


def test_undo_restores_every_byte_once_and_for_all(etc: Path, data: Path) -> None:
    before = tree(etc)
    applied(etc, data)
    assert tree(etc) != before
    for _ in range(2):
        assert undone(etc, data) == []
        assert tree(etc) == before
        assert (data / JOURNAL_FILE).read_bytes() == b""


def test_what_somebody_changed_since_stays_and_everything_else_is_undone(etc: Path, data: Path) -> None:
    applied(etc, data)
    theirs = (etc / "it.ini").read_bytes() + b"port=1\r\n"
    (etc / "it.ini").write_bytes(theirs)
    for _ in range(2):
        assert undone(etc, data) == ["it.ini"]
        assert tree(etc).keys() == {"it.ini"}
        assert (etc / "it.ini").read_bytes() == theirs
    # Once the settings are back by hand, whatever else the file says.
    (etc / "it.ini").write_bytes(INI + b"port=1\r\n")
    assert undone(etc, data) == []
    assert (etc / "it.ini").read_bytes() == INI + b"port=1\r\n"
    assert (data / JOURNAL_FILE).read_bytes() == b""


@pytest.mark.parametrize("name", ["it.ini", ".rc", "flag"])
def test_a_place_that_cannot_be_read_stays_and_everything_else_is_undone(
    etc: Path, data: Path, name: str
) -> None:
    before = tree(etc)
    applied(etc, data)
    hardened = (etc / name).read_bytes()
    (etc / name).unlink()
    (etc / name).mkdir()
    for _ in range(2):
        assert undone(etc, data) == [name]
    (etc / name).rmdir()
    assert tree(etc) == {one: file for one, file in before.items() if one != name}
    (etc / name).write_bytes(hardened)
    (etc / name).chmod(0o640)
    assert undone(etc, data) == []
    assert tree(etc) == before


def test_what_became_no_dword_or_a_program_stays_and_everything_else_is_undone(
    etc: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = FakeRegistry()
    monkeypatch.setattr(changing, "windows_registry", lambda: registry)
    config = etc / "mandatory"
    perl = Setting("perl", "sh", file_place(config), TigervncPerlEditor(), Key("X"), "0", ("because", "理由"))
    settings = [*windows_settings(registry), perl]
    with open_journal(data) as journal:
        assert not apply(changes(look(settings)), journal, TIME)
    registry.values[POLICY] = ("1", 1)
    config.write_text("if (0) {\n$X = 0;\n}\n")
    with open_journal(data) as journal:
        steps = plan_undo(journal.entries, settings)
        left = undo(steps, journal)
    assert [step.entry.settings for step in left] == [("perl",), ("windows.fDisableCdm",)]
    assert registry.values == {POLICY: ("1", 1)}


def test_what_was_applied_in_turns_is_undone_to_the_first(etc: Path, data: Path) -> None:
    before = tree(etc)
    applied(etc, data)
    # Somebody opens one setting again, with a line of their own beside it, and applies anew.
    opened = (etc / "it.ini").read_bytes().replace(b"rdpdr=false", b"rdpdr=true")
    (etc / "it.ini").write_bytes(opened)
    applied(etc, data)
    assert standings(etc)["it.rdpdr"] is Standing.MET
    assert undone(etc, data) == ["it.ini"]
    assert (etc / "it.ini").read_bytes() == opened
    (etc / "it.ini").write_bytes(INI)
    assert undone(etc, data) == []
    assert tree(etc) == before


# ---------------------------------------------------------------- journal


def test_the_journal_is_private_and_kept_by_one_at_a_time(data: Path) -> None:
    with open_journal(data):
        assert stat.S_IMODE((data / JOURNAL_FILE).stat().st_mode) == 0o600
        with pytest.raises(TelerelayError) as refused, open_journal(data):
            pass
    assert refused.value.code == "ADDRESS_IN_USE"


def test_a_line_that_a_crash_cut_off_was_never_acted_upon(etc: Path, data: Path) -> None:
    applied(etc, data)
    journal = data / JOURNAL_FILE
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"kind": "fi')
    with open_journal(data) as opened:
        assert len(opened.entries) == 3
    assert journal.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{}", b"[]", b'{"undone": 7}', b"\xff", b'{"kind": "file", "address": 3}'])
def test_a_damaged_journal_is_named_and_left_alone(etc: Path, data: Path, line: bytes) -> None:
    applied(etc, data)
    journal = data / JOURNAL_FILE
    damaged = line + b"\n" + journal.read_bytes()
    journal.write_bytes(damaged)
    hardened = tree(etc)
    with pytest.raises(TelerelayError, match="damaged in line 1") as refused:
        undone(etc, data)
    assert refused.value.code == "MACHINE"
    assert (tree(etc), journal.read_bytes()) == (hardened, damaged)


# ---------------------------------------------------------------- Windows


def test_windows_policies_are_set_and_taken_back() -> None:
    registry = FakeRegistry()
    registry.values[POLICY] = (0, 4)
    before = dict(registry.values)
    settings = windows_settings(registry)
    planned = changes(look(settings))
    for change in planned:
        change.place.write(change.after)
    assert registry.flushed == len(settings) == 7
    assert {value for (_, name), value in registry.values.items() if name.startswith("fDisable")} == {(1, 4)}
    assert all(row.standing is Standing.MET for row in look(settings))
    for change in planned:
        change.place.write(change.before)
    assert registry.values == before


def test_windows_policies_of_another_kind_or_without_rights_are_not_ours() -> None:
    registry = FakeRegistry()
    registry.values[POLICY] = ("1", 1)
    rows = {row.setting.id: row for row in look(windows_settings(registry))}
    assert rows["windows.fDisableCdm"].standing is Standing.BY_HAND
    assert rows["windows.fDisableClip"].standing is Standing.OPEN
    registry.is_writable = False
    rows = {row.setting.id: row for row in look(windows_settings(registry))}
    assert rows["windows.fDisableClip"].standing is Standing.LOCKED


# ---------------------------------------------------------------- the page


def test_the_page_names_every_setting_and_user_account_control_is_none(tmp_path: Path) -> None:
    settings = [*settings_of_this_machine(tmp_path), *windows_settings(FakeRegistry())]
    assert len({setting.id for setting in settings}) == len(settings)
    for setting in settings:
        name = setting.key.name.removeprefix("channel.")
        assert f"`{name}`" in PAGE, setting.id
        assert all(setting.why)
        told = json.dumps([setting.place.address, setting.key.name]).lower()
        assert not any(word in told for word in ("enablelua", "consentprompt", "policies\\\\system", "uac"))
    assert "User Account Control is never touched" in PAGE
