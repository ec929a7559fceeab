"""The catalogue as exceptions and as one line on a terminal."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from telerelay_core import CoreError, parse_computer_id
from telerelay_endpoint.errors import (
    InfrastructureError,
    LocalError,
    RemoteError,
    TelerelayError,
    catalogue,
    entry,
)

ROOT = Path(__file__).parents[2]


def test_the_catalogue_is_the_file_of_the_specification() -> None:
    written = tomllib.loads((ROOT / "relay_core" / "spec" / "errors.toml").read_text())
    assert set(catalogue()) == set(written)
    for code, fields in written.items():
        known = entry(code)
        assert (known.who, known.retry, known.exit_code) == (fields["who"], fields["retry"], fields["exit"])
        assert (known.sentence, known.remedy) == (fields["sentence"], fields["remedy"])


def test_the_catalogue_is_the_table_of_the_protocol() -> None:
    row = re.compile(
        r"^\| `([A-Z_]+)` \| (none|local|remote|infrastructure) \| (never|now|after) \| (\d+) \|",
        re.MULTILINE,
    )
    table = row.findall((ROOT / "docs" / "PROTOCOL.md").read_text())
    assert {code: (who, retry, int(number)) for code, who, retry, number in table} == {
        code: (known.who, known.retry, known.exit_code) for code, known in catalogue().items()
    }


def test_every_sentence_is_there_in_both_languages() -> None:
    for known in catalogue().values():
        for texts in (known.sentence, known.remedy):
            assert texts["en"].isascii()
            assert re.search(r"[぀-ヿ一-鿿]", texts["ja"])


def test_a_remedy_names_commands_that_there_are() -> None:
    command = re.compile(r"telerelay(?:-agent|-client)?(?: [a-z]+)+")
    named = {code: set(command.findall(known.remedy["en"])) for code, known in catalogue().items()}
    assert sum(map(bool, named.values())) > 5
    for code, commands in named.items():
        for words in commands:
            assert words in entry(code).remedy["ja"]
            name, *rest = words.split()
            asked = subprocess.run(
                [Path(sys.executable).with_name(name), *rest, "--help"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert asked.returncode == 0, f"{code}: {asked.stderr}"


def test_who_broke_it_is_in_the_type() -> None:
    kinds = {"local": LocalError, "remote": RemoteError, "infrastructure": InfrastructureError}
    for code, known in catalogue().items():
        error = TelerelayError(code, "here")
        assert type(error) is kinds.get(known.who, TelerelayError)
        assert (error.code, error.exit_code, error.retry) == (code, known.exit_code, known.retry)
    with pytest.raises(RemoteError):
        raise TelerelayError("DENIED")


def test_one_line() -> None:
    error = TelerelayError("DENIED", "computer ABCD", attempt="7KQ2-M9XB")
    line = error.line("en")
    assert line.startswith("error[DENIED] ")
    assert ": computer ABCD.  do: " in line
    assert line.endswith("  attempt 7KQ2-M9XB")
    assert ".." not in line
    assert "error[DENIED] " in error.line("ja")
    assert error.line("ja") != line
    assert "attempt" not in TelerelayError("DENIED").line("en")


def test_a_peer_cannot_write_on_the_terminal() -> None:
    line = TelerelayError("DENIED", "\x1b[2Jcleared\r\nerror[DONE]", attempt="\x07").line("en")
    assert line.isprintable()
    assert "\\u001b[2J" in line


def test_a_code_that_this_version_does_not_know_is_shown() -> None:
    error = TelerelayError("FROM_THE_FUTURE", "somewhere")
    assert isinstance(error, RemoteError)
    assert error.exit_code == 1
    assert error.line("en").startswith("error[FROM_THE_FUTURE] ")


def test_an_error_of_the_core_keeps_its_code() -> None:
    with pytest.raises(CoreError) as caught:
        parse_computer_id("ABCD")
    error = TelerelayError.from_core(caught.value)
    assert isinstance(error, LocalError)
    assert error.code == "USAGE"
    assert error.detail == caught.value.detail
