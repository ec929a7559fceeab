"""Whom the organisation lets in: unknown computers, lapsed grants, closed hours, foreign keys, documents."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from telerelay.authority.signing import Signer, sign_computer_document
from telerelay.prove.foreign import found_foreign
from telerelay.prove.ground import Ground
from telerelay.prove.trial import Try
from telerelay.prove.verdicts import NotTestedError, Said, Verdict, failed, passed
from telerelay.prove.way import Answer, ask
from telerelay_core import format_computer_id, parse_computer_id
from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.credentials import KEY_FILE, Credentials, save_chain
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.keys import load_key_file, write_key_file
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import COMPUTER_SIZE, ComputerDocument, Grant, Rules

_DENIED_MS: Final = LIMITS["denied_ms"]
_SPREAD_MS: Final = LIMITS["prove_spread_ms"]
_PROBES: Final = LIMITS["prove_probes"]
_DAY_S: Final = 86_400


async def ask_for_unknown(ground: Ground) -> Verdict:
    """A computer ID that nobody has."""
    return _refused_with("DENIED", await ask(ground.credentials, _unknown()))


async def ask_for(ground: Ground, option: str, code: str) -> Verdict:
    """The computer that the auditor named with an option: it must be refused with `code`."""
    return _refused_with(code, await ask(ground.credentials, _named(ground, option)))


async def compare_times(ground: Ground) -> Verdict:
    """Unknown and not granted in turn: the same code, and the same time until it comes."""
    not_granted = _named(ground, "not_granted")
    unknown, known = [], []
    for _ in range(_PROBES):
        unknown.append(await ask(ground.credentials, _unknown()))
        known.append(await ask(ground.credentials, not_granted))
    attempts = tuple(answer.attempt for answer in (*unknown, *known))
    codes = {answer.code for answer in (*unknown, *known)}
    if codes != {"DENIED"}:
        shown = ", ".join(sorted(str(code) for code in codes))
        return failed(f"told apart by code: {shown}", f"コードで区別できる: {shown}", *attempts)
    # The fastest of each: what a busy machine adds tells nothing of the node.
    fastest = [min(answer.decided_ms for answer in answers) for answers in (unknown, known)]
    en = f"answered after {fastest[0]} ms (unknown) and {fastest[1]} ms (not granted)"
    ja = f"応答まで 未知 {fastest[0]} ms、未許可 {fastest[1]} ms"
    if abs(fastest[0] - fastest[1]) > _SPREAD_MS or min(fastest) < _DENIED_MS - _SPREAD_MS:
        return failed(en, ja, *attempts)
    return passed(en, ja, *attempts)


async def show_foreign_certificate(ground: Ground) -> Verdict:
    """A key of another organisation, founded for this try: nobody has admitted it."""
    with tempfile.TemporaryDirectory(prefix="telerelay-prove-") as folder:
        answer = await ask(_foreign(ground.credentials, Path(folder)), ground.asked.computer)
    # The own certificate opens sessions meanwhile.
    await ground.neighbour()
    return _refused_with("CERTIFICATE", answer)


async def bring_document(ground: Ground) -> Verdict:
    """A document of the device's own making, that would let it in for ever."""
    encoded = _own_document(ground)

    def post() -> str | None:
        with NodeApi(ground.credentials.dial()) as api:
            granted = {computer.computer for computer in api.computers()}
            if parse_computer_id(ground.asked.computer) not in granted:
                raise NotTestedError(
                    "the relay does not name this computer as granted", "中継がこのコンピューターを挙げない"
                )
            try:
                api.post_document("/v1/org/documents", encoded)
            except TelerelayError as error:
                return error.code
        return None

    return _not_done(await _over_api(post), "REQUEST", "DOCUMENT")


async def read_document(ground: Ground) -> Verdict:
    """The organisation's documents, which name its devices, are not for a client."""
    path = f"/v1/org/documents/computer/{ground.asked.computer}"

    def read() -> str | None:
        with NodeApi(ground.credentials.dial()) as api:
            api.computers()
            try:
                return "REQUEST" if api.document(path) is None else None
            except TelerelayError as error:
                return error.code

    return _not_done(await _over_api(read), "REQUEST")


async def bring_older_document(_ground: Ground) -> NoReturn:
    """Only a relay or the organisation hands an agent its documents."""
    raise NotTestedError(
        "a client has no way to hand the agent a document; a relay has, and SECURITY.md (22) names the tests",
        "クライアントから文書を渡す手段はない。中継による差し戻しは SECURITY.md (22) の試験を参照",
    )


def _unknown() -> str:
    return format_computer_id(secrets.token_bytes(COMPUTER_SIZE))


def _named(ground: Ground, option: str) -> str:
    computer: str | None = getattr(ground.asked, option)
    if computer is None:
        name = f"--{option.replace('_', '-')}"
        raise NotTestedError(f"no such computer was named ({name})", f"対象の指定がない ({name})")
    return computer


def _refused_with(code: str, answer: Answer) -> Verdict:
    if answer.code is None:
        return failed("a session was opened", "接続できてしまった", answer.attempt)
    if answer.code != code:
        raise NotTestedError(
            f"answered with {answer.code}, not with {code}", f"{code} でなく {answer.code} で応答"
        )
    return passed(f"refused with {code}", f"{code} で拒否", answer.attempt)


def _not_done(code: str | None, *refusals: str) -> Verdict:
    if code is None:
        return failed("the relay did it", "中継が受け入れた")
    if code not in refusals:
        raise NotTestedError(f"the relay answered with {code}", f"中継の応答は {code}")
    return passed(f"the relay refused it with {code}", f"中継は {code} で拒否")


async def _over_api(request: Callable[[], str | None]) -> str | None:
    try:
        return await asyncio.to_thread(request)
    except TelerelayError as error:
        raise NotTestedError(f"the relay's API: {error.code}", f"中継の API: {error.code}") from error


def _foreign(own: Credentials, folder: Path) -> Credentials:
    """Credentials of another organisation's device for the same cluster."""
    foreign = found_foreign()
    write_key_file(folder / KEY_FILE, foreign.key)
    save_chain(folder, foreign.chain, foreign.root)
    return Credentials(folder, own.relay, foreign.chain, own.root)


def _own_document(ground: Ground) -> bytes:
    own, now = ground.credentials, int(time.time())
    document = ComputerDocument(
        computer=parse_computer_id(ground.asked.computer),
        agent=own.device,
        version=2**32,
        issued=now,
        expires=now + _DAY_S,
        grants=(Grant(own.device, "prove"),),
        rules=Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=0, view_only=False),
        label="prove",
    )
    key = load_key_file(own.folder / KEY_FILE)
    return sign_computer_document(document, Signer(own.organisation, own.chain[0], key)).encoded


TRIES: Final = (
    Try(
        "computer-unknown",
        (10, 14),
        Said("A computer ID that nobody has.", "存在しないコンピューター ID。"),
        ask_for_unknown,
    ),
    Try(
        "computer-not-granted",
        (10,),
        Said("A computer that this device is not granted.", "許可されていないコンピューター。"),
        partial(ask_for, option="not_granted", code="DENIED"),
        essential=False,
    ),
    Try(
        "computer-timing",
        (10, 14),
        Said(
            "Code and time do not tell whether a computer exists.",
            "コードと応答時間からコンピューターの有無は分からない。",
        ),
        compare_times,
        essential=False,
    ),
    Try(
        "grant-expired",
        (10,),
        Said("A computer whose grant to this device has ended.", "許可の期限が切れたコンピューター。"),
        partial(ask_for, option="expired", code="DENIED"),
        essential=False,
    ),
    Try(
        "hours-closed",
        (10,),
        Said("A granted computer outside its hours.", "利用時間外のコンピューター。"),
        partial(ask_for, option="closed", code="POLICY_HOURS"),
        essential=False,
    ),
    Try(
        "certificate-foreign",
        (6,),
        Said("A certificate of another organisation.", "別の団体の証明書。"),
        show_foreign_certificate,
    ),
    Try(
        "document-forged",
        (10,),
        Said(
            "A document signed by this device, that lets it in for ever.",
            "自分を恒久的に許可する文書に自分で署名し、中継に渡す。",
        ),
        bring_document,
    ),
    Try(
        "document-read",
        (10,),
        Said(
            "The organisation's document of this computer is asked for.",
            "このコンピューターの団体文書を求める。",
        ),
        read_document,
    ),
    Try(
        "document-older",
        (10,),
        Said("An older document is handed to the agent.", "古い文書をエージェントに渡す。"),
        bring_older_document,
        essential=False,
    ),
)
