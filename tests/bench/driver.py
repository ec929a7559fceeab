"""`telerelay-load` as a process: what it is told to do, and the lines that it tells."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.bench.machine import is_released

PROGRAM: Final = Path("target", "release" if is_released() else "debug", "telerelay-load")
SCHEMA: Final = "telerelay.load/1"
_STOP_S: Final = 30.0
"""Agents that leave have 15 s."""


class DriverError(Exception):
    """The driver ended early, or did not tell in time what was waited for."""


class Driver:
    """One process. Lines are kept with the moment (monotonic seconds) at which they came, as `at`."""

    def __init__(self, *arguments: str | Path, niceness: int = 0, before: Sequence[str] = ()) -> None:
        """`niceness`: those who are load and not measured leave the processor to those who are.

        `before`: a command that runs it otherwise.
        """
        command = [*before, "nice", "-n", str(niceness), str(PROGRAM), *map(str, arguments)]
        self._arguments = " ".join(map(str, arguments))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._changed = threading.Condition()
        self._lines: list[Mapping[str, Any]] = []
        self._is_over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def tell(self, order: Mapping[str, Any]) -> None:
        """One line for a driver that takes orders."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")

    def lines(self, event: str) -> list[Mapping[str, Any]]:
        """All of one kind by now."""
        with self._changed:
            return [line for line in self._lines if line["event"] == event]

    def wait(
        self,
        event: str,
        timeout_s: float,
        fits: Callable[[Mapping[str, Any]], bool] = lambda _line: True,
    ) -> Mapping[str, Any]:
        """The first line of one kind that fits. Raises DriverError."""

        def found() -> Mapping[str, Any] | None:
            return next((line for line in self._lines if line["event"] == event and fits(line)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._is_over, timeout_s)
            line = found()
        if line is None:
            how = f"ended with {self._process.wait()}" if self._is_over else f"waited {timeout_s:g} s"
            raise DriverError(f"no {event} of `{self._arguments}`: {how}")
        return line

    def summary(self, timeout_s: float) -> Mapping[str, Any]:
        """Its last line, once it has ended by itself. Raises DriverError."""
        line = self.wait("summary", timeout_s)
        self._end()
        return line

    def stop(self) -> Mapping[str, Any] | None:
        """Tell it to end; its last line, if it has one."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._end()
        return next(iter(self.lines("summary")), None)

    def _end(self) -> None:
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            assert line["schema"] == SCHEMA, line
            with self._changed:
                self._lines.append({**line, "at": time.monotonic()})
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
