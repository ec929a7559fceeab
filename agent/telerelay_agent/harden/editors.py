"""Settings files of other programs, read as each program reads its own and changed nowhere else.

An editor is pure: bytes in, bytes out. What is no line of the setting stays as it is, byte for byte: remarks,
order, line ends, and text of any encoding, which is why lines are taken as Latin-1.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

ANYWHERE: Final = "*"
"""The section of a key that counts in whichever section it stands."""
ON: Final = "on"
"""The value of a switch that has none: it stands there."""


@dataclass(frozen=True)
class Key:
    """A setting's name in its file. `section`: None where the file has none."""

    name: str
    section: str | None = None

    @override
    def __str__(self) -> str:
        return self.name if self.section is None else f"[{self.section}] {self.name}"


class ByHandError(Exception):
    """What stands there cannot be changed safely by a program. The text says what, in English."""


class Editor(Protocol):
    """Reads and changes one kind of file."""

    def values(self, content: bytes, key: Key) -> Sequence[str]:
        """Every value that the program may take for `key`, in the file's order. Raises ByHandError."""

    def edited(self, content: bytes, key: Key, wanted: str | None) -> bytes:
        """`content` with `wanted` as the only value; None: with none. Raises ByHandError."""


class WholeEditor:
    """Something that holds nothing but one value."""

    def values(self, content: bytes, _key: Key) -> Sequence[str]:
        return [content.decode("latin-1").strip()] if content else []

    def edited(self, _content: bytes, _key: Key, wanted: str | None) -> bytes:
        return (wanted or "").encode("latin-1")


@dataclass(frozen=True)
class _Entry:
    """One line that sets something. `before`, `after`: what stands around the value, with the line's end."""

    line: int
    key: Key
    value: str
    before: str
    after: str
    is_plain: bool = True
    """Whether a new value can be put in its place."""


class _LineEditor(ABC):
    """A file of lines, of which each sets one thing at most."""

    def values(self, content: bytes, key: Key) -> Sequence[str]:
        return [entry.value for entry in self._of(_lines(content), key)]

    def edited(self, content: bytes, key: Key, wanted: str | None) -> bytes:
        lines = _lines(content)
        found = list(self._of(lines, key))
        for entry in found:
            if not entry.is_plain:
                raise ByHandError(f"line {entry.line + 1} sets {key.name} as only a person can read it")
            new = "" if wanted is None else f"{entry.before}{self._spelled(wanted)}{entry.after}"
            lines[entry.line] = new
        if not found and wanted is not None:
            self._insert(lines, key, wanted)
        changed = "".join(lines).encode("latin-1")
        if set(self.values(changed, key)) != ({wanted} - {None}):
            raise ByHandError(f"what stands there swallows {key.name}")
        return changed

    def _of(self, lines: Sequence[str], key: Key) -> Iterator[_Entry]:
        return (entry for entry in self._entries(lines) if self._is(entry.key, key))

    def _is(self, found: Key, key: Key) -> bool:
        return found == key

    def _spelled(self, value: str) -> str:
        return value

    @abstractmethod
    def _entries(self, lines: Sequence[str]) -> Iterator[_Entry]:
        """Every line that sets something."""

    @abstractmethod
    def _insert(self, lines: list[str], key: Key, value: str) -> None:
        """Set what no line sets yet."""


class XrdpIniEditor(_LineEditor):
    """xrdp.ini and sesman.ini, as xrdp's common/file.c reads them.

    Names are the same in both cases; `#` and `;` begin a remark anywhere; so does a name in brackets a
    section, which ends the one before; of two sections of one name the first counts; of two lines of one name
    the last does, and both are set here.
    """

    @override
    def _is(self, found: Key, key: Key) -> bool:
        same_section = key.section == ANYWHERE or (found.section or "").lower() == (key.section or "").lower()
        return same_section and found.name.lower() == key.name.lower()

    @override
    def _entries(self, lines: Sequence[str]) -> Iterator[_Entry]:
        for number, section, code in self._sectioned(lines):
            if section is None or _INI_SECTION.search(code) or not code.strip():
                continue
            name, sign, value = code.partition("=")
            said = f"{name}=" if sign else f"{name.rstrip()}="
            lead = value[: len(value) - len(value.lstrip())]
            rest = lines[number][len(code.rstrip()) :]
            yield _Entry(number, Key(name.strip(), section), value.strip(), said + lead, rest)

    @override
    def _insert(self, lines: list[str], key: Key, value: str) -> None:
        if key.section is None or key.section == ANYWHERE:
            raise ByHandError(f"nothing says in which section {key.name} would stand")
        numbers = [
            number
            for number, section, code in self._sectioned(lines)
            if section is not None and section.lower() == key.section.lower() and code.strip()
        ]
        end = _line_end(lines)
        if numbers:
            _put(lines, numbers[-1] + 1, f"{key.name}={value}{end}")
        else:
            _put(lines, len(lines), f"[{key.section}]{end}{key.name}={value}{end}")

    def _sectioned(self, lines: Sequence[str]) -> Iterator[tuple[int, str | None, str]]:
        """Each line's number, its section (None: none that counts) and what it says without its remark."""
        section: str | None = None
        seen: set[str] = set()
        for number, line in enumerate(lines):
            code = re.split("[#;]", line.rstrip("\r\n"), maxsplit=1)[0]
            if named := _INI_SECTION.search(code):
                section = None if named[1].lower() in seen else named[1]
                seen.add(named[1].lower())
            yield number, section, code


_INI_SECTION: Final = re.compile(r"\[([^\[\]]*)\]")


class X11vncRcEditor(_LineEditor):
    """~/.x11vncrc: an option of the command line on each line, its dash left out or not (x11vnc(1))."""

    @override
    def _entries(self, lines: Sequence[str]) -> Iterator[_Entry]:
        continues = False
        for number, line in enumerate(lines):
            code = re.split(r"(?<!\\)#", line.rstrip("\r\n"), maxsplit=1)[0].rstrip()
            goes_on = code.endswith("\\")
            if code and not continues:
                name, _, value = code.strip().partition(" ")
                before = code[: code.index(name) + len(name)]
                key = Key(name.lstrip("-"))
                yield _Entry(
                    number, key, value.strip() or ON, before, line[len(code) :], is_plain=not goes_on
                )
            continues = goes_on

    @override
    def _spelled(self, value: str) -> str:
        return "" if value == ON else f" {value}"

    @override
    def _insert(self, lines: list[str], key: Key, value: str) -> None:
        _put(lines, len(lines), f"{key.name}{self._spelled(value)}{_line_end(lines)}")


class TigervncPerlEditor(_LineEditor):
    """/etc/tigervnc/vncserver-config-*: assignments in Perl, one a line, of which the last holds.

    A file that is more than that is a program, and whether a line of it counts only a person can tell: it may
    stand in a block, in documentation (`=pod`), or in a statement that began above it.
    """

    @override
    def _entries(self, lines: Sequence[str]) -> Iterator[_Entry]:
        for number, line in enumerate(lines):
            if _PERL_END.match(line):
                return
            if not _PERL_LINE.fullmatch(line):
                raise ByHandError(f"line {number + 1} is more than an assignment")
            if said := _PERL_ASSIGNMENT.match(line):
                value = said["value"] if said["sign"] == "=" else f"{said['sign']} {said['value']}"
                yield _Entry(
                    number, Key(said["name"]), _unquoted(value), f"{said['before']} = ", said["rest"]
                )
            else:
                for name in _PERL_NAME.findall(line.partition("#")[0]):
                    yield _Entry(number, Key(name), line.strip(), "", "", is_plain=False)

    @override
    def _spelled(self, value: str) -> str:
        return f'"{value}"'

    @override
    def _insert(self, lines: list[str], key: Key, value: str) -> None:
        end = next((number for number, line in enumerate(lines) if _PERL_END.match(line)), len(lines))
        _put(lines, end, f"${key.name} = {self._spelled(value)};{_line_end(lines)}")


_PERL_END: Final = re.compile(r"__(END|DATA)__\s*$")
_PERL_ASSIGNMENT: Final = re.compile(
    r"""(?P<before>\s*\$(?P<name>\w+))\s*(?P<sign>\.?=)\s*"""
    r"""(?P<value>"[^"\\]*"|'[^'\\]*'|[\w.-]+)(?P<rest>\s*;\s*(?:\#.*)?)$""",
    re.DOTALL,
)
_PERL_LINE: Final = re.compile(
    r"""(?:\s*(?:\d+|\$\w+\s*\.?=(?:[^"'\#;{}<`\\]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*)\s*;)?\s*(?:\#.*)?""",
    re.DOTALL,
)
_PERL_NAME: Final = re.compile(r"\$\{?(\w+)")


def _unquoted(value: str) -> str:
    return value[1:-1] if value[0] in "\"'" else value


# ---------------------------------------------------------------- lines


def _lines(content: bytes) -> list[str]:
    # Cut as bytes: text would be cut at characters that end no line for the program.
    return [line.decode("latin-1") for line in content.splitlines(keepends=True)]


def _line_end(lines: Sequence[str]) -> str:
    """How the file ends its lines."""
    return "\r\n" if lines and lines[0].endswith("\r\n") else "\n"


def _put(lines: list[str], at: int, line: str) -> None:
    """Insert a line behind one that may lack its end."""
    if at and not lines[at - 1].endswith(("\r", "\n")):
        lines[at - 1] += _line_end(lines)
    lines.insert(at, line)
