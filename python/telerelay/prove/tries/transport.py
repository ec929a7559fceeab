"""The two TLS layers: an older version, a weaker key exchange, another certificate inside than outside."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from telerelay.prove.foreign import found_foreign
from telerelay.prove.ground import Ground
from telerelay.prove.hello import PROTOCOL_VERSION, Offer, Reply, client_hello, is_refusal, read_reply
from telerelay.prove.inner import show
from telerelay.prove.leg import PROTOCOL, Leg, answer_of_node, dial
from telerelay.prove.trial import Try
from telerelay.prove.verdicts import NotTestedError, Said, Verdict, failed, passed
from telerelay_core import parse_computer_id
from telerelay_endpoint.credentials import KEY_FILE
from telerelay_endpoint.keys import load_key_file


async def weaken_inner(ground: Ground) -> Verdict:
    """Offer the agent less than it asks for; a full offer beside it shows that an agent answers there."""
    reply, attempt = await _offer(ground, Offer.HYBRID)
    if not reply.is_hybrid:
        raise NotTestedError(
            "the agent did not answer an offer of TLS 1.3 with X25519MLKEM768",
            "TLS 1.3 と X25519MLKEM768 の提示にエージェントが応答しない",
        )
    attempts, how = [attempt], []
    for offer in (Offer.OLD, Offer.CLASSICAL):
        reply, attempt = await _offer(ground, offer)
        attempts.append(attempt)
        if reply.agrees:
            return failed(
                f"the agent agreed to {offer.value}", f"エージェントが {offer.value} を受け入れた", *attempts
            )
        if not reply.refuses:
            raise NotTestedError(
                f"the agent did not answer an offer of {offer.value}",
                f"{offer.value} の提示にエージェントが応答しない",
            )
        how.append(f"{offer.value}: alert {reply.alert}")
    shown, full = ", ".join(how), Offer.HYBRID.value
    return passed(f"the agent agreed to {full} alone; {shown}", f"{full} のみ受け入れ。{shown}", *attempts)


async def weaken_outer(ground: Ground) -> Verdict:
    """Offer the node TLS 1.2, by hand: a library of this machine might not offer it at all."""
    try:
        async with dial(ground.credentials):
            pass
    except (OSError, TimeoutError) as error:
        raise NotTestedError(
            f"the node did not answer TLS 1.3: {error}", "ノードが TLS 1.3 に応答しない"
        ) from error
    try:
        answer = await answer_of_node(ground.credentials, client_hello(Offer.OLD, protocol=PROTOCOL.encode()))
        reply = None if answer is None else read_reply(answer)
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        raise NotTestedError(
            f"the node did not answer TLS 1.2: {error}", "ノードが TLS 1.2 に応答しない"
        ) from error
    if reply is None:
        return passed("the node refused TLS 1.2: a reset", "ノードは TLS 1.2 を拒否: リセット")
    if reply.agrees:
        return failed("the node agreed to TLS 1.2", "ノードが TLS 1.2 を受け入れた")
    if reply.alert != PROTOCOL_VERSION:
        raise NotTestedError(
            f"the node answered TLS 1.2 with alert {reply.alert}, which is about something else",
            f"TLS 1.2 への応答が別の警告 {reply.alert}",
        )
    return passed("the node refused TLS 1.2: alert 70", "ノードは TLS 1.2 を拒否: alert 70")


async def show_foreign_inside(ground: Ground) -> Verdict:
    """The relay sees the own certificate, the agent another organisation's; first, to compare, the own."""
    own = ground.credentials
    key = load_key_file(own.folder / KEY_FILE)
    async with _path(ground) as (leg, first):
        control = await show(leg, own.chain, key)
    if not control.let_in:
        raise NotTestedError(
            "the agent did not let the device's own certificate in", "自分の証明書でも接続できない"
        )
    foreign = found_foreign()
    async with _path(ground) as (leg, second):
        shown = await show(leg, foreign.chain, foreign.key)
    if shown.let_in:
        return failed("the agent let it in", "エージェントが受け入れた", first, second)
    if not is_refusal(shown.alert):
        raise NotTestedError("the agent did not answer it", "エージェントが応答しない")
    return passed(
        f"the agent refused it (alert {shown.alert}) and let the device's own in",
        f"エージェントは拒否 (alert {shown.alert})。自分の証明書は受け入れ",
        first,
        second,
    )


async def _offer(ground: Ground, offer: Offer) -> tuple[Reply, str]:
    """What the agent answers to a first flight, and the attempt."""
    async with _path(ground) as (leg, attempt):
        leg.say(client_hello(offer))
        record = await leg.record()
        return (Reply() if record is None else read_reply(record)), attempt


@asynccontextmanager
async def _path(ground: Ground) -> AsyncIterator[tuple[Leg, str]]:
    """A leg that is a path to the agent, and its attempt. Raises NotTestedError, also where it breaks."""
    computer = parse_computer_id(ground.asked.computer)
    try:
        while True:
            async with dial(ground.credentials) as leg:
                answer = await leg.connect(computer)
                if answer.code is None:
                    yield leg, answer.attempt
                    return
            if not await answer.pause():
                raise NotTestedError(f"no path: {answer.code}", f"経路を得られません: {answer.code}")
    except (OSError, EOFError, TimeoutError, ValueError) as error:
        raise NotTestedError(f"the leg broke: {error}", f"接続が切れました: {error}") from error


TRIES: Final = (
    Try(
        "tls-inner",
        (7,),
        Said(
            "The agent is offered TLS 1.2, and a key exchange that a quantum computer opens (X25519 alone).",
            "TLS 1.2 と、量子計算機で破られる鍵交換 (X25519 のみ) を提示する。",
        ),
        weaken_inner,
    ),
    Try(
        "certificate-inside",
        (6,),
        Said(
            "The agent is shown another organisation's certificate, behind the own one at the relay.",
            "中継には自分の証明書、エージェントには別の団体の証明書を示す。",
        ),
        show_foreign_inside,
    ),
    Try(
        "tls-outer",
        (7,),
        Said("The relay is offered TLS 1.2.", "中継に TLS 1.2 を提示する。"),
        weaken_outer,
        essential=False,
    ),
)
