"""What `connect` tells: for a person one growing line and what follows, for a machine one object a line."""

import sys
import time
from typing import Any, Final, TextIO

from telerelay_client.stages import Progress
from telerelay_endpoint.console import Console, rfc3339
from telerelay_endpoint.escaping import escape

_SCHEMA: Final = "connect"
_WHERE: Final = {
    "dial": ("on the way to the relay", "中継への接続中"),
    "hello": ("at the relay", "中継での端末確認中"),
    "route": ("at the relay", "中継での接続先確認中"),
    "claim": ("between relay and office PC", "中継と職場 PC の間"),
    "accept": ("at the office PC", "職場 PC での確認中"),
    "inner": ("while securing the connection to the office PC", "職場 PC との暗号化中"),
    "auth": ("at the office PC", "職場 PC での認証中"),
    "open": ("while opening the office PC's screen", "職場 PC の画面を開く途中"),
    "session": ("during the session", "接続中"),
}


class Telling:
    """One run of `connect`. Only the first attempt's progress is shown to a person; JSON has all of them."""

    def __init__(self, console: Console, progress: TextIO = sys.stderr) -> None:
        self._console = console
        self._stream = progress
        # Somebody who watches sees each step when it is reached; a file gets the line when it is whole.
        self._live = progress.isatty()
        self._kept = ""
        self._first: str | None = None
        self._path_kind = ""
        self._line: Progress | None = Progress(console.language)

    def reached(self, attempt: str, stage: str, elapsed_ms: int, detail: str) -> None:
        """An attempt got behind this stage."""
        self._object("stage", attempt=attempt, stage=stage, elapsed_ms=elapsed_ms, detail=detail)
        self._first = self._first or attempt
        if self._line is not None and attempt == self._first:
            self._show(self._line.reached(stage, elapsed_ms))
            if self._line.is_complete:
                self._show(self._line.opened(attempt, self._path_kind), whole=True)
                self._line = None

    def asked_again(self, attempt: str) -> None:
        """A path was lost; the request goes on as this attempt. What the line shows already stays true."""
        self._object("asked_again", attempt=attempt)
        if self._line is not None:
            self._first = attempt

    def notice(self, attempt: str, number: bytes, text: str) -> None:
        """The organisation has something to say before the session opens. `number`: SHA-256 of the text."""
        self._object("notice", attempt=attempt, hash=number.hex(), text=text)
        if self._line is not None:
            self._show(self._line.interrupted(), whole=True)
        if not self._console.json:
            lines = "\n".join(map(escape, text.splitlines()))
            self._console.note(
                f"A notice from your organisation:\n\n{lines}\n", f"所属団体からのお知らせ:\n\n{lines}\n"
            )

    def question(self, en: str, ja: str) -> None:
        """Something that the person answers behind it, on the terminal."""
        self._stream.write(self._console.text(en, ja))
        self._stream.flush()

    def answered(self, attempt: str, number: bytes, *, confirmed: bool) -> None:
        """A notice was confirmed, or not."""
        self._object("notice_answered", attempt=attempt, hash=number.hex(), confirmed=confirmed)

    def opened(self, attempt: str, session: bytes, rules: list[str], path_kind: str) -> None:
        """A session is open; `path_kind`: how this end's leg travels, "wrapped" or "direct"."""
        self._object("opened", attempt=attempt, session=session.hex(), rules=rules, path_kind=path_kind)
        if attempt == self._first:
            self._path_kind = path_kind

    def ended(self, attempt: str, code: str, stage: str, **numbers: Any) -> None:
        """A session, or an attempt that did not become one, has ended."""
        self._object("ended", attempt=attempt, code=code, stage=stage, **numbers)
        # Others than the first begin when the door is open, and with it the line complete.
        if self._line is not None:
            self._show(self._line.failed(), whole=True)
            self._line = None

    def door(self, address: str) -> None:
        """The local door listens."""
        if self._console.json:
            host, _, port = address.rpartition(":")
            unix = address.startswith("/")
            where = {"path": address} if unix else {"host": host, "port": int(port)}
            self._object("door", kind="unix" if unix else "tcp", **where)
        else:
            sys.stdout.write(self._console.text(f"door {address}\n", f"接続口 {address}\n"))
            sys.stdout.flush()

    def door_refused(self) -> None:
        """Another user of this machine was at the door."""
        self._object("door_refused")
        self._console.warn(
            "a connection to the door was refused: it is not this user's",
            "接続口への接続を拒否しました。この利用者のものではありません",
        )

    def viewer(self, program: str, pid: int) -> None:
        """A viewer was started."""
        self._object("viewer", program=program, pid=pid)

    def finished(self, code: str, exit_code: int) -> None:
        """Nothing follows."""
        self._object("finished", code=code, exit=exit_code)

    def where(self, stage: str, detail: str, place: int | None = None, wait_s: int | None = None) -> str:
        """Where it broke, for the error's line; its place in the line where it was one too many."""
        en, ja = _WHERE.get(stage, (stage, stage))
        said = [self._console.text(en, ja), detail]
        if place is not None:
            said.append(self._console.text(f"place {place} in line", f"順番待ち {place} 番目"))
            said.append(self._console.text(f"your turn in {wait_s} s", f"約 {wait_s} 秒後に接続できます"))
        return ", ".join(part for part in said if part)

    def _show(self, text: str, *, whole: bool = False) -> None:
        if self._console.json:
            return
        self._kept += text
        if self._live or whole:
            self._stream.write(self._kept)
            self._stream.flush()
            self._kept = ""

    def _object(self, event: str, **fields: Any) -> None:
        if self._console.json:
            self._console.data(_SCHEMA, {"event": event, "time": rfc3339(int(time.time())), **fields}, "")
