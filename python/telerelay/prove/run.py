"""Makes the tries one after the other, each within its time, and says what that comes to."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from telerelay.prove.ground import Asked, Ground
from telerelay.prove.requirements import REQUIREMENTS
from telerelay.prove.trial import Try
from telerelay.prove.tries import CATALOGUE
from telerelay.prove.verdicts import NotTestedError, Outcome, Said, Verdict, failed, not_tested
from telerelay.prove.watch import open_watch
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

_TRY_S: Final = LIMITS["prove_try_s"]
_NOT_CHOSEN: Final = Said(
    "Tries about it were left out of this run (--only).", "この要件の試験を今回は省いた (--only)。"
)


@dataclass(frozen=True)
class Result:
    """One try and what came of it."""

    tried: Try
    verdict: Verdict
    seconds: float


@dataclass(frozen=True)
class Finding:
    """What the tries come to for one requirement."""

    number: int
    outcome: Outcome
    why: Said
    tries: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """Everything that one run showed. `began`: Unix seconds; `left_out`: what `--only` did not name."""

    asked: Asked
    began: int
    results: tuple[Result, ...]
    left_out: tuple[Try, ...] = ()

    @property
    def guarded(self) -> bool:
        """All is well with all of them."""
        return self.is_well and not any(tried.essential for tried in self.left_out)

    @property
    def is_well(self) -> bool:
        """Of what was tried nothing failed, and nothing is missing without which that would mean nothing."""
        outcomes = [result.verdict.outcome for result in self.results]
        missing = any(
            result.tried.essential and result.verdict.outcome is Outcome.NOT_TESTED for result in self.results
        )
        return Outcome.PASS in outcomes and Outcome.FAIL not in outcomes and not missing

    def count(self, outcome: Outcome) -> int:
        """How many tries came out like this."""
        return sum(result.verdict.outcome is outcome for result in self.results)

    def findings(self) -> list[Finding]:
        """S1 to S40."""
        return [self._finding(number) for number in REQUIREMENTS]

    def _finding(self, number: int) -> Finding:
        about = [result for result in self.results if number in result.tried.requirements]
        ids = tuple(result.tried.id for result in about)
        by = {
            outcome: [result for result in about if result.verdict.outcome is outcome] for outcome in Outcome
        }
        if by[Outcome.FAIL]:
            names = ", ".join(result.tried.id for result in by[Outcome.FAIL])
            return Finding(number, Outcome.FAIL, Said(f"failed: {names}", f"不合格: {names}"), ids)
        left_out = [tried for tried in self.left_out if number in tried.requirements]
        missing = [result for result in by[Outcome.NOT_TESTED] if result.tried.essential]
        if missing or any(tried.essential for tried in left_out) or not by[Outcome.PASS]:
            skipped = missing or by[Outcome.NOT_TESTED]
            why = _NOT_CHOSEN if left_out else REQUIREMENTS[number].untested
            return Finding(number, Outcome.NOT_TESTED, skipped[0].verdict.why if skipped else why, ids)
        passed, all_ = len(by[Outcome.PASS]), len(about)
        return Finding(
            number,
            Outcome.PASS,
            Said(
                f"as far as these tries go: {passed} of {all_} passed, none failed",
                f"これらの試験の範囲で、{all_} 件中 {passed} 件合格、不合格なし",
            ),
            ids,
        )


def choose(only: str | None) -> list[Try]:
    """The tries that `--only` names, by ID or by the beginning of IDs. Raises TelerelayError(USAGE)."""
    if only is None:
        return list(CATALOGUE)
    wanted = [part.strip() for part in only.split(",")]
    for part in wanted:
        if not any(_is_named(tried, part) for tried in CATALOGUE):
            raise TelerelayError("USAGE", f"--only {part}: no try has this name; --list shows them")
    return [tried for tried in CATALOGUE if any(_is_named(tried, part) for part in wanted)]


def _is_named(tried: Try, part: str) -> bool:
    return tried.id == part or tried.id.startswith(f"{part}-")


def prove(
    credentials: Credentials,
    asked: Asked,
    tries: Sequence[Try],
    tell: Callable[[Result], None],
) -> Proof:
    """Make them; `tell` is given each result when it is there.

    Raises TelerelayError where nothing could be tried: the code that says why; INTERRUPTED after Ctrl-C.
    """
    try:
        return asyncio.run(_prove(credentials, asked, tries, tell))
    except asyncio.CancelledError:
        raise TelerelayError("INTERRUPTED") from None


async def _prove(
    credentials: Credentials,
    asked: Asked,
    tries: Sequence[Try],
    tell: Callable[[Result], None],
) -> Proof:
    _end_on_signals()
    began = int(time.time())
    results = []
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(open_watch(asked.watch)) if asked.watch else None
        ground = Ground(credentials, asked, watch)
        stack.push_async_callback(ground.leave)
        await ground.stand()
        for tried in tries:
            begun = time.monotonic()
            verdict = await _make(ground, tried)
            results.append(Result(tried, verdict, time.monotonic() - begun))
            tell(results[-1])
    left_out = tuple(tried for tried in CATALOGUE if tried not in tries)
    return Proof(asked, began, tuple(results), left_out)


async def _make(ground: Ground, tried: Try) -> Verdict:
    try:
        async with asyncio.timeout(_TRY_S):
            await ground.stand()
            verdict = await tried.run(ground)
    except TimeoutError:
        verdict = not_tested(f"not done within {_TRY_S} s", f"{_TRY_S} 秒以内に終わらない")
    except NotTestedError as error:
        verdict = not_tested(*error.why)
    except TelerelayError as error:
        verdict = not_tested(f"no session any more: {error.code}", f"接続できなくなった: {error.code}")
    harm = await ground.harm()
    await ground.tidy()
    # Also of a try that broke off because of it.
    if harm and verdict.outcome is not Outcome.FAIL:
        return failed(
            f"came of it: {', '.join(one.en for one in harm)}",
            f"生じたこと: {'、'.join(one.ja for one in harm)}",
            *verdict.attempts,
        )
    return verdict


def _end_on_signals() -> None:
    """Ctrl-C and SIGTERM end the run in order: sessions are left, and what runs on the watched display."""
    me = asyncio.current_task()
    if me is None:
        raise AssertionError("this runs in a task")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
