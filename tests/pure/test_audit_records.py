"""Audit records: one line of JSON each, whatever a peer wrote into them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telerelay.audit import records
from telerelay.audit.chain import Head
from telerelay.audit.records import RECORD_MAXIMUM, Record

ATTEMPT, COMPUTER = "7KQ2-M9XB", "ABCD-EFGH-JKMN-PQRS-T"
TIME_MS = 1_800_000_000_007
HEAD = Head("n1", 4, b"\x02" * 32)
SALT = b"\x03" * 16


def _start(**changed: Any) -> Record:
    fields: dict[str, Any] = {
        "attempt": ATTEMPT,
        "path": bytes(16),
        "organisation": bytes(32),
        "client": bytes(32),
        "agent": bytes(32),
        "computer": COMPUTER,
        "service": "rfb",
        "address": "192.0.2.1:40000",
        "program": "telerelay-client/0.1.0",
    }
    return records.start(**fields | changed)


def test_a_record_has_sorted_keys_and_no_spaces() -> None:
    record = records.admit(organisation=b"\x01" * 32, action="admitted", reason="")
    assert record.encode(HEAD, TIME_MS, SALT) == (
        b'{"action":"admitted","kind":"ADMIT","node":"n1","organisation":"' + b"01" * 32 + b'",'
        b'"prev":"' + b"02" * 32 + b'","reason":"","salt":"' + b"03" * 16 + b'","seq":5,"sessions":null,'
        b'"time":"2027-01-15T08:00:00.007Z","until":null}\n'
    )


def test_japanese_stays_readable() -> None:
    record = records.admit(organisation=bytes(32), action="suspended", reason="北町")
    assert "北町".encode() in record.encode(HEAD, TIME_MS, SALT)


@given(st.text(max_size=100))
def test_no_text_of_a_peer_breaks_the_line_or_hides_in_it(program: str) -> None:
    encoded = _start(program=program).encode(HEAD, TIME_MS, SALT)
    text = encoded.decode()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert json.loads(text)["program"] == program[:72]


def test_no_record_passes_four_kib() -> None:
    # U+E0001, a format character outside the basic plane, takes twelve bytes once escaped.
    worst = "\U000e0001" * 500
    largest = [
        _start(program=worst, address=worst),
        records.end_of_path(
            attempt=ATTEMPT,
            path=bytes(16),
            path_kind="wrapped",
            code="C" * 32,
            stage="session",
            duration_ms=2**63,
            bytes_to_client=2**63,
            bytes_to_agent=2**63,
            session=bytes(16),
            notices=[bytes(32)] * 16,
        ),
        records.end_of_refused(
            attempt=ATTEMPT,
            organisation=bytes(32),
            client=bytes(32),
            computer=COMPUTER,
            service="rfb",
            address=worst,
            code="C" * 32,
            stage="session",
        ),
        records.admit(organisation=bytes(32), action="suspended", reason=worst),
    ]
    sizes = [len(record.encode(Head("n" * 63, 2**63, bytes(32)), TIME_MS, SALT)) for record in largest]
    assert max(sizes) <= RECORD_MAXIMUM
    assert max(sizes) > 2_000
