"""Editors of foreign settings files: read as the program reads them, changed in the least place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telerelay_agent.harden.editors import (
    ANYWHERE,
    ON,
    ByHandError,
    Editor,
    Key,
    TigervncPerlEditor,
    WholeEditor,
    X11vncRcEditor,
    XrdpIniEditor,
)

INI, RC, PERL = XrdpIniEditor(), X11vncRcEditor(), TigervncPerlEditor()
CLIPRDR = Key("cliprdr", "Channels")
SESSION_CLIPRDR = Key("channel.cliprdr", ANYWHERE)
NOSEL = Key("nosel")
CUT = Key("AcceptCutText")


@pytest.mark.parametrize(
    ("editor", "key", "before", "wanted", "after"),
    [
        # The value alone changes: blanks, remark, case and line end stay.
        (INI, CLIPRDR, b"[Channels]\ncliprdr=true\n", "false", b"[Channels]\ncliprdr=false\n"),
        (
            INI,
            CLIPRDR,
            b"\r\n[CHANNELS]\r\n ClipRdr =  yes # x\r\nb=1",
            "false",
            b"\r\n[CHANNELS]\r\n ClipRdr =  false # x\r\nb=1",
        ),
        # A remark sets nothing; a new line follows the last one of its section.
        (
            INI,
            CLIPRDR,
            b"[Channels]\n;cliprdr=false\nrdpdr=true\n\n; next\n[Xorg]\ncliprdr=1\n",
            "false",
            b"[Channels]\n;cliprdr=false\nrdpdr=true\ncliprdr=false\n\n; next\n[Xorg]\ncliprdr=1\n",
        ),
        (INI, CLIPRDR, b"[Channels]", "false", b"[Channels]\ncliprdr=false\n"),
        (INI, CLIPRDR, b"[Globals]\r\na=1", "false", b"[Globals]\r\na=1\r\n[Channels]\r\ncliprdr=false\r\n"),
        (INI, CLIPRDR, b"", "false", b"[Channels]\ncliprdr=false\n"),
        # Whichever of two lines a program takes, it takes the wanted one.
        (
            INI,
            CLIPRDR,
            b"[Channels]\ncliprdr=false\ncliprdr=1\n",
            "false",
            b"[Channels]\ncliprdr=false\ncliprdr=false\n",
        ),
        # The second section of a name is not read.
        (
            INI,
            CLIPRDR,
            b"[Channels]\na=1\n[Channels]\ncliprdr=false\n",
            "false",
            b"[Channels]\na=1\ncliprdr=false\n[Channels]\ncliprdr=false\n",
        ),
        (INI, CLIPRDR, b"[Channels]\ncliprdr\n", "false", b"[Channels]\ncliprdr=false\n"),
        (INI, CLIPRDR, b"[Channels]\ncliprdr=true\n", None, b"[Channels]\n"),
        (
            INI,
            SESSION_CLIPRDR,
            b"[Xorg]\nchannel.cliprdr=true\n[Xvnc]\nCHANNEL.cliprdr=1\n",
            "false",
            b"[Xorg]\nchannel.cliprdr=false\n[Xvnc]\nCHANNEL.cliprdr=false\n",
        ),
        # x11vnc: with and without its dash, a remark, no end of the last line.
        (RC, NOSEL, b"-forever\nrfbport 5900", ON, b"-forever\nrfbport 5900\nnosel\n"),
        (RC, NOSEL, b"#nosel\n", ON, b"#nosel\nnosel\n"),
        (RC, Key("tightfilexfer"), b"forever\n -tightfilexfer # x\nwait 1\n", None, b"forever\nwait 1\n"),
        (RC, Key("wait"), b"-wait 10 # ms\n", "20", b"-wait 20 # ms\n"),
        # Perl: quotes of either kind, a number, an addition; what follows __END__ is no code.
        (PERL, CUT, b"# $AcceptCutText = 1;\n", "0", b'# $AcceptCutText = 1;\n$AcceptCutText = "0";\n'),
        (PERL, CUT, b"$AcceptCutText='1'; # x\n1;\n", "0", b'$AcceptCutText = "0"; # x\n1;\n'),
        (PERL, CUT, b"  $AcceptCutText  =  1 ;\r\n", "0", b'  $AcceptCutText = "0" ;\r\n'),
        (PERL, CUT, b'$AcceptCutText .= "1";\n', "0", b'$AcceptCutText = "0";\n'),
        (PERL, CUT, b"$AcceptCutTexts = 1;\n", "0", b'$AcceptCutTexts = 1;\n$AcceptCutText = "0";\n'),
        (PERL, CUT, b"__END__\n$AcceptCutText", "0", b'$AcceptCutText = "0";\n__END__\n$AcceptCutText'),
        (WholeEditor(), Key("flag"), b"", "on", b"on"),
    ],
)  # fmt: skip
def test_what_is_no_line_of_the_setting_stays(
    editor: Editor, key: Key, before: bytes, wanted: str | None, after: bytes
) -> None:
    assert editor.edited(before, key, wanted) == after
    assert set(editor.values(after, key)) == ({wanted} - {None})
    assert editor.edited(after, key, wanted) == after


@pytest.mark.parametrize(
    ("editor", "key", "content", "values"),
    [
        (INI, CLIPRDR, b"[Channels]\ncliprdr=true;false\n", ["true"]),
        (INI, CLIPRDR, b"cliprdr=true\n[Globals]\ncliprdr=true\n", []),
        # A section begins anywhere in a line, and ends the one before: seen with Debian's xrdp 0.9.21.
        (INI, CLIPRDR, b"[Channels]\nx=[Globals]\ncliprdr=true\n", []),
        (INI, CLIPRDR, b"x=[[Channels] y\ncliprdr=true\n [Globals]\ncliprdr=false\n", ["true"]),
        (INI, CLIPRDR, b"[Channels]\n[Globals\nx]=1\n#[Xorg]\ncliprdr=true\n", ["true"]),
        (INI, CLIPRDR, b"[Channels]\ncliprdr=$HOME\n", ["$HOME"]),
        # 0x85 ends a line of text, and none for xrdp.
        (INI, CLIPRDR, b"[Channels]\n; \xe3\x81\x85cliprdr=true\n", []),
        (RC, NOSEL, b"-env X=1 \\\nnosel\n", []),
        (RC, NOSEL, b"nosel\n  -nosel\n", [ON, ON]),
        (RC, Key("passwd"), b"passwd a\\#b # c\n", [r"a\#b"]),
        (PERL, CUT, b'$AcceptCutText = "1";\n$AcceptCutText = 0;\n', ["1", "0"]),
        (PERL, CUT, b'# {\n$d = "$ENV{HOME}/\\"x";  # {\n\n$AcceptCutText = 0;\n1;\r\n', ["0"]),
    ],
)
def test_values_are_those_that_the_program_takes(
    editor: Editor, key: Key, content: bytes, values: list[str]
) -> None:
    assert list(editor.values(content, key)) == values


@pytest.mark.parametrize(
    ("editor", "key", "content"),
    [
        # What only a person can read is not changed, and is not taken for what is wanted.
        (PERL, CUT, b'if ($x) { $AcceptCutText = "1"; }\n'),
        (PERL, CUT, b"$AcceptCutText = $SendCutText ? 1 : 0;\n"),
        (PERL, CUT, b'$AcceptCutText = "a;b" . "c";\n'),
        # The new line would become part of the one before it.
        (RC, NOSEL, b"-env X=1 \\"),
        (RC, Key("tightfilexfer"), b"tightfilexfer \\\nforever\n"),
        (INI, Key("x", ANYWHERE), b"[a]\n"),
    ],
)
def test_what_cannot_be_changed_safely_is_left_to_a_person(editor: Editor, key: Key, content: bytes) -> None:
    wanted = None if key.name == "tightfilexfer" else "0"
    with pytest.raises(ByHandError):
        editor.edited(content, key, wanted)


@pytest.mark.parametrize(
    "content",
    [
        b'=pod\n$AcceptCutText = "0";\n=cut\n',
        b'if (0) {\n$AcceptCutText = "0";\n}\n',
        b'if (0)\n{\n$AcceptCutText = "0";\n}\n',
        b'0 and\n$AcceptCutText = "0";\n',
        b'$x = "\n$AcceptCutText = "0";\n',
        b'$x = <<X;\n$AcceptCutText = "0";\nX\n',
        b'return;\n$AcceptCutText = "0";\n',
    ],
)
def test_a_program_is_left_to_a_person_and_not_taken_for_what_is_wanted(content: bytes) -> None:
    with pytest.raises(ByHandError, match="is more than an assignment"):
        PERL.values(content, CUT)
    with pytest.raises(ByHandError, match="is more than an assignment"):
        PERL.edited(content, CUT, "0")


LINES = [
    b"[Channels]",
    b"[channels] ",
    b"[Xorg]",
    b"cliprdr=true",
    b" CLIPRDR = no ",
    b"cliprdr",
    b"#cliprdr=1",
]
OTHERS = st.binary(max_size=12).filter(lambda text: not {*b"\r\n"} & {*text})


@given(st.lists(st.sampled_from(LINES) | OTHERS, max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_every_line_of_any_file_survives_but_those_of_the_setting(lines: list[bytes], end: bytes) -> None:
    content = end.join(lines)
    edited = INI.edited(content, CLIPRDR, "false")
    assert set(INI.values(edited, CLIPRDR)) == {"false"}
    others = [line for line in lines if b"cliprdr" not in line.lower()]
    kept = iter(edited.splitlines())
    assert all(any(line == one for one in kept) for line in others if line)
