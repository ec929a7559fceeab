"""`telerelay-loadtest run` as a process against a node, with an operator who does what it says."""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.kit.condition import eventually
from tests.kit.node import TELERELAY, NodeProcess

LOADTEST: Final = f"{TELERELAY}-loadtest"
TIMEOUT_S: Final = 50.0
_ADMIT: Final = "telerelay node admit "

PEOPLE: Final = 10
MORNING: Final = f"""title = "Ten people within three seconds"
begins = "08:30"
lasts = "6s"
agents_over = "500ms"

[organisation.town]
staff = {PEOPLE}

[wave.morning]
at = "08:30:02"
spread = "3s"
shape = "even"

[session]
length = ["1s", "3s"]

[screen.typing]

[goal]
set_up_p99 = "20s"
delay_p99 = "20s"
late_p99 = "2s"
message_late_p99 = "2s"
"""
"""What is measured in tests is a machine that does other things: goals that only a hang would miss."""


def demo_file(node: NodeProcess, line: str, path: Path) -> Path:
    """What a demo would write of this node."""
    record = {
        "schema": "telerelay.demo/1",
        "cluster": line,
        "nodes": [
            {
                "pid": node.process.pid,
                "address": node.address,
                "metrics_url": node.metrics_url,
                "data_dir": str(node.data),
            }
        ],
    }
    path.write_text(json.dumps(record))
    return path


class LoadTest:
    """One run of a scenario (TOML). `before`: a command that runs it otherwise."""

    def __init__(
        self, folder: Path, scenario: str, target: Path | str, *options: str, before: Sequence[str] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.out = folder / "out"
        self._folder = folder
        self._said: list[str] = []
        file = folder / "morning.toml"
        file.write_text(scenario)
        command = [*before, LOADTEST, "run", str(file), "--target", str(target), "--out", str(self.out)]
        self._process = subprocess.Popen(
            [*command, "--yes", "--json", "--lang", "en", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A lock of its own: other tests may test loads at the same time.
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    @property
    def said(self) -> str:
        """What it told people by now."""
        return "".join(self._said)

    @property
    def result(self) -> dict[str, Any]:
        """What lies in its folder."""
        read: dict[str, Any] = json.loads((self.out / "result.json").read_text())
        return read

    async def admit(self, *left_out: str) -> None:
        """As the operator: run the command that it tells, but for some of its options."""
        await eventually(lambda: _ADMIT in self.said or self._process.poll() is not None, TIMEOUT_S)
        line = next(line for line in self._said if _ADMIT in line)
        words = shlex.split(line)
        for name in left_out:
            place = words.index(name)
            del words[place : place + 2]
        command = [TELERELAY, *words[1:]]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=TIMEOUT_S)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self, timeout_s: float = TIMEOUT_S) -> int:
        """Its exit code, once it has ended by itself."""
        code = await asyncio.to_thread(self._process.wait, timeout_s)
        self._reader.join()
        return code

    def told(self) -> dict[str, Any]:
        """What it told machines, once it has ended."""
        assert self._process.stdout is not None
        read: dict[str, Any] = json.loads(self._process.stdout.read())
        return read

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
