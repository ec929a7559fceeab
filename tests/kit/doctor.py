"""Runs a `doctor` as a person does, under whatever makes the machine unfit, and reads what it found."""

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Final

from tests.kit.node import TELERELAY, NodeProcess

AGENT: Final = f"{TELERELAY}-agent"
CLIENT: Final = f"{TELERELAY}-client"
_TIMEOUT_S: Final = 60


@dataclass(frozen=True)
class Examined:
    """What one run said."""

    exit_code: int
    checks: Sequence[Mapping[str, Any]]

    def failed(self) -> set[str]:
        """The checks that failed."""
        return {check["check"] for check in self.checks if check["result"] == "fail"}

    def sentences(self, name: str, result: str) -> list[str]:
        """What the findings of one check say in English, each with what mends it."""
        return [
            f"{check['sentence']['en']} | {(check['do'] or {}).get('en')}"
            for check in self.checks
            if (check["check"], check["result"]) == (name, result)
        ]

    def sentence(self, name: str, result: str) -> str:
        """The only such finding."""
        found = self.sentences(name, result)
        assert len(found) == 1, self.checks
        return found[0]


def examine(program: str, *, before: Sequence[str] = (), **environment: str) -> Examined:
    """`PROGRAM doctor --json` under the command `before`."""
    ended = subprocess.run(
        [*before, program, "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", **environment},
    )
    assert ended.stdout, ended.stderr
    shown = json.loads(ended.stdout)
    checks = shown["checks"]
    assert all(check["sentence"]["en"] != check["sentence"]["ja"] for check in checks)
    assert all((check["do"] is None) == (check["result"] == "ok") for check in checks)
    assert ended.returncode == (0 if shown["met"] else 9)
    return Examined(ended.returncode, checks)


def examine_node(node: NodeProcess, *, before: Sequence[str] = (), **environment: str) -> Examined:
    """`telerelay doctor` on the folder and the port of `node`, whether it runs or not."""
    listen = {"TELERELAY_NODE_LISTEN": node.address, "TELERELAY_NODE_DATA": str(node.data)}
    return examine(TELERELAY, before=before, **listen, **environment)


def examine_agent(folder: Path, desktop: str, *, before: Sequence[str] = ()) -> Examined:
    """`telerelay-agent doctor` on what an enrolment left in `folder`."""
    settings = {"TELERELAY_AGENT_DATA": str(folder), "TELERELAY_AGENT_DESKTOP": desktop}
    return examine(AGENT, before=before, **settings)


def examine_client(folder: Path, *, before: Sequence[str] = ()) -> Examined:
    """`telerelay-client doctor` on what an enrolment left in `folder`."""
    return examine(CLIENT, before=before, TELERELAY_CLIENT_DATA=str(folder))


@contextmanager
def answering(with_bytes: bytes) -> Iterator[str]:
    """Something that listens, says `with_bytes` to whoever comes, and hangs up; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connected, _ = listener.accept()
                except OSError:
                    return
                with connected:
                    connected.sendall(with_bytes)

        answering = Thread(target=answer)
        answering.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        answering.join()
