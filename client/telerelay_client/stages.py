"""How far an attempt got, as a person reads it: five steps on one line, each when it is reached.

✓ relay 18 ms  ✓ this device  ✓ PC found  ✓ end-to-end secured  ✓ screen open 0.31 s · direct · attempt …
"""

from typing import Final, Literal, NamedTuple

from telerelay_endpoint.path_kinds import path_word

Language = Literal["en", "ja"]

# The stages of PROTOCOL.md §4 in their order.
ORDER: Final = ("dial", "hello", "route", "claim", "accept", "inner", "auth", "open", "session")


class Step(NamedTuple):
    """What is shown once `stage` is behind us."""

    stage: str
    en: str
    ja: str


# Between `hello` and `accept` only the node sees where an attempt is; at `session` the screen is open.
STEPS: Final = (
    Step("dial", "relay", "中継"),
    Step("hello", "this device", "この端末"),
    Step("accept", "PC found", "PC 発見"),
    Step("inner", "end-to-end secured", "端末間暗号化"),
    Step("session", "screen open", "画面接続"),
)
_ATTEMPT: Final = {"en": "attempt", "ja": "接続番号"}
_BETWEEN: Final = "  "


class Progress:
    """One attempt's line. What its methods return is to be written behind what they returned before."""

    def __init__(self, language: Language) -> None:
        self._language: Language = language
        self._shown = 0
        self._begun = False

    def reached(self, stage: str, elapsed_ms: int) -> str:
        """`stage` is behind us, `elapsed_ms` after the attempt began: the steps that were not shown yet."""
        text = ""
        while self._shown < len(STEPS) and ORDER.index(STEPS[self._shown].stage) <= ORDER.index(stage):
            step = STEPS[self._shown]
            text += self._behind(f"✓ {self._name(step)}{_duration(step, elapsed_ms)}")
            self._shown += 1
        return text

    @property
    def is_complete(self) -> bool:
        """Whether the last step was shown."""
        return self._shown == len(STEPS)

    def opened(self, attempt: str, path_kind: str) -> str:
        """The line's end."""
        return f" · {path_word(path_kind, self._language)} · {_ATTEMPT[self._language]} {attempt}\n"

    def interrupted(self) -> str:
        """The line's end, where something else is shown; the next step begins another one."""
        self._begun = False
        return "\n"

    def failed(self) -> str:
        """The step that the attempt did not get behind, and the line's end."""
        missed = STEPS[self._shown : self._shown + 1]
        return "".join(self._behind(f"✗ {self._name(step)}") for step in missed) + "\n"

    def _behind(self, part: str) -> str:
        between = _BETWEEN if self._begun else ""
        self._begun = True
        return between + part

    def _name(self, step: Step) -> str:
        return step.ja if self._language == "ja" else step.en


def _duration(step: Step, elapsed_ms: int) -> str:
    """The first step tells how far the relay is, the last how long a person waited."""
    if step is STEPS[0]:
        return f" {elapsed_ms} ms"
    if step is STEPS[-1]:
        return f" {elapsed_ms / 1000:.2f} s"
    return ""
