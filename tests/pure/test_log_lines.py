"""Log lines: the same keys from Python and from the core, one line each, whatever a peer put into them."""

import json
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telerelay_endpoint.log_lines import TEXT_MAXIMUM, _render_json, _render_text

HOSTILE = 'x\n\x1b[2J\u202e\x9b31m\x7f"' + "y" * 300
PROGRAM = """
import logging, sys
import structlog
from telerelay_endpoint.log_lines import log_to_stderr

log_to_stderr(json={json}, level="info")
log = structlog.get_logger("test")
log.debug("not shown", address="192.0.2.1:40000")
log.info("attempt ended", attempt="7KQ2-M9XB", code="DONE", duration_ms=3, program={hostile!r})
try:
    raise RuntimeError({hostile!r})
except RuntimeError:
    log.exception("a request failed")
logging.getLogger("library").warning("said %s", {hostile!r})
"""


def _said(*, json_form: bool | None) -> list[str]:
    program = PROGRAM.format(json=json_form, hostile=HOSTILE)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        check=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    return ended.stderr.decode().splitlines()


def test_where_no_terminal_is_each_event_is_one_json_object() -> None:
    ended, failed, library = (json.loads(line) for line in _said(json_form=None))
    assert list(ended) == ["ts", "level", "event", "attempt", "code", "duration_ms", "program"]
    assert (ended["level"], ended["attempt"], ended["code"], ended["duration_ms"]) == (
        "info",
        "7KQ2-M9XB",
        "DONE",
        3,
    )
    assert ended["program"] == HOSTILE[:TEXT_MAXIMUM] + "…"
    assert (failed["level"], failed["event"]) == ("error", "a request failed")
    assert "RuntimeError" in failed["exception"]
    assert (library["level"], library["event"][:6]) == ("warning", "said x")


def test_a_person_reads_text_in_which_no_peer_can_write_a_line() -> None:
    lines = _said(json_form=False)
    assert all(line.isprintable() for line in lines)
    ended, failed, *rest = lines
    assert ended.split(" ", 1)[1].startswith(
        r"info attempt ended attempt=7KQ2-M9XB code=DONE duration_ms=3 "
        r'program="x\n\u001b[2J\u202e\u009b31m\u007f\"yyy'
    )
    assert failed.endswith("error a request failed")
    # A traceback is set in: none of its lines can pass for an event.
    assert all(line.startswith("  ") for line in rest[:-1])
    assert " warning said x" in rest[-1]


@given(st.text(max_size=400), st.text(max_size=400))
def test_no_text_breaks_a_line_or_hides_in_it(event: str, value: str) -> None:
    said: dict[str, Any] = {"event": event, "ts": "t", "level": "info", "program": value}
    in_json = _render_json(None, "info", said)
    assert in_json.isprintable()
    assert json.loads(in_json)["program"][:TEXT_MAXIMUM] == value[:TEXT_MAXIMUM]
    assert len(json.loads(in_json)["event"]) <= TEXT_MAXIMUM + 1
    in_text = _render_text(None, "info", said)
    assert in_text.isprintable()
