"""Settings of made-up programs in a test's own folder; `python -m tests.kit.harden apply|undo FOLDER`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from telerelay_agent.harden.changing import apply, plan_undo, undo
from telerelay_agent.harden.editors import Key, WholeEditor, X11vncRcEditor, XrdpIniEditor
from telerelay_agent.harden.journal import open_journal
from telerelay_agent.harden.places import file_place
from telerelay_agent.harden.plan import changes, look
from telerelay_agent.harden.settings import Setting

TIME = 1_800_000_000
INI = b"; ours\r\n[Channels]\r\nrdpdr=true\r\ncliprdr = yes ; why not\r\n\r\n[Xorg]\r\nname=\xe6\x97\xa5\r\n"
WHY = ("because", "理由")


def settings_in(folder: Path) -> Sequence[Setting]:
    """A file with two settings, one that does not exist yet, one of a single value, an absent program's."""
    ini, rc, flag = (file_place(folder / name) for name in ("it.ini", ".rc", "flag"))
    return [
        Setting("it.cliprdr", "sh", ini, XrdpIniEditor(), Key("cliprdr", "Channels"), "false", WHY, ("no",)),
        Setting("it.rdpdr", "sh", ini, XrdpIniEditor(), Key("rdpdr", "Channels"), "false", WHY),
        Setting("rc.nosel", "sh", rc, X11vncRcEditor(), Key("nosel"), "on", WHY),
        Setting("flag", "sh", flag, WholeEditor(), Key("flag"), "on", WHY),
        Setting("none.at-all", "no-such-program", flag, WholeEditor(), Key("flag"), "off", WHY),
    ]


def applied(folder: Path, journal: Path) -> None:
    """Everything that is open in `folder`, with a journal in `journal`."""
    with open_journal(journal) as opened:
        assert not apply(changes(look(settings_in(folder))), opened, TIME)


def undone(folder: Path, journal: Path) -> Sequence[str]:
    """Undo it; the files that stay because somebody changed them."""
    with open_journal(journal) as opened:
        steps = plan_undo(opened.entries, settings_in(folder))
        return [Path(step.entry.address).name for step in undo(steps, opened)]


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a folder: its mode and content."""
    return {path.name: (path.stat().st_mode, path.read_bytes()) for path in sorted(folder.iterdir())}


if __name__ == "__main__":
    {"apply": applied, "undo": undone}[sys.argv[1]](Path(sys.argv[2], "etc"), Path(sys.argv[2], "data"))
