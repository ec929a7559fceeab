"""`telerelay node drain`: take nothing new, and wait until what runs has ended."""

import time
from typing import Annotated, Final

import typer

from telerelay.cli.node_options import ByOption, ConfigOption, DataOption, open_control, operator
from telerelay.node.control import NodeControl, NodeState
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.errors import TelerelayError

LOOK_S: Final = 0.5
"""How often the node is asked how far it has come: a person watches."""


def node_drain(
    force: Annotated[
        bool, typer.Option("--force", help="End the sessions that still run, with code DRAINED.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Take the drain back: everybody is welcome.")
    ] = False,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Take nothing new, and wait until the last session has ended. The node answers until it is stopped.

    Whoever comes is told TRY_LATER. Ctrl-C ends the waiting, not the drain.

    Examples:

      telerelay node drain && systemctl stop telerelay

      telerelay node drain --force

      telerelay node drain --cancel
    """
    console = Console(json=json, lang=lang)
    if force and cancel:
        raise TelerelayError("USAGE", "--force and --cancel exclude each other")
    with open_control(config, data) as control:
        if cancel:
            _show(console, control.cancel_drain())
            return
        if force:
            control.force_drain(operator(by), "node drain --force")
        else:
            control.drain()
        try:
            ended = _wait(console, control)
        except KeyboardInterrupt:
            console.note(
                "the node is still draining; `telerelay node drain --cancel` takes that back",
                "ドレインは続いています。取り消すには telerelay node drain --cancel を実行してください",
            )
            raise
    _show(console, ended)


def _wait(console: Console, control: NodeControl) -> NodeState:
    """The node's state once nothing runs, or once somebody took the drain back."""
    told = None
    while True:
        state = control.state()
        if state.drain is None or state.attempts == 0:
            return state
        if state.sessions != told:
            told = state.sessions
            console.note(f"{told} sessions go on", f"残りの接続: {told}")
        time.sleep(LOOK_S)


def _show(console: Console, state: NodeState) -> None:
    drain = state.drain
    counted = None if drain is None else {"sessions": drain.sessions, "ended": drain.ended, "cut": drain.cut}
    if drain is None:
        text = console.text(f"{state.name} takes everybody", f"{state.name} は新しい接続を受け付けます")
    else:
        text = console.text(
            f"{state.name} is drained: {drain.ended} sessions ended by themselves, {drain.cut} were cut; "
            "it answers TRY_LATER until it is stopped",
            f"{state.name} のドレインが完了しました: 自然終了 {drain.ended} 件、強制終了 {drain.cut} 件。"
            "停止するまで TRY_LATER を返します",
        )
    console.data("node-drain", {"node": state.name, "state": state.state, "drain": counted}, text)
