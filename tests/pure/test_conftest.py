"""The rule of tests/conftest.py can fail: an exception that reaches the event loop fails the test."""

import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"

LOST = """
import asyncio

async def fail():
    raise RuntimeError("nobody awaits this")

async def test_lost_task():
    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    del task

async def test_lost_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)

async def test_nothing_lost():
    await asyncio.sleep(0)
"""


def test_what_reaches_the_event_loop_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_lost.py").write_text(LOST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed, 2 errors" in outcome.stdout, outcome.stdout
    assert "nobody awaits this" in outcome.stdout
    assert "ZeroDivisionError" in outcome.stdout
