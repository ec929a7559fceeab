"""Waiting for the keeper's stamps after `grant` and `revoke`: a node that withholds a change is found."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from telerelay.org.publishing import Publisher
from telerelay_endpoint.console import Console
from telerelay_endpoint.payloads import Stamp

_NOT_MET = 9

WaitOption = Annotated[int, typer.Option(metavar="SECONDS", min=1, help="How long to wait for the stamp.")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the stamp.")]


def wait_for_stamps(
    console: Console,
    publisher: Publisher,
    computers: Sequence[bytes],
    satisfied: Callable[[Stamp], bool],
    limit_s: int,
    done: tuple[str, dict[str, Any], str],
) -> None:
    """Wait, then print the command's result (schema, record, text). Exits with 9 when a stamp is missing.

    A `limit_s` of 0: do not wait.
    """
    name, record, text = done
    if limit_s == 0:
        console.data(name, {**record, "stamped": None}, text)
        return

    def tell(missing: list[str]) -> None:
        console.progress(f"waiting for {len(missing)} stamps", f"スタンプを待っています: 残り {len(missing)}")

    missing = publisher.wait_for_stamps(computers, satisfied, limit_s, tell)
    console.data(name, {**record, "stamped": not missing, "missing": missing}, text)
    if missing:
        shown = ", ".join(missing)
        console.warn(
            f"no stamp came within {limit_s} s for {shown}. Until it does, these PCs go by what was before."
            " Either the keeper (telerelay org keep) does not run, or the node withholds the change from it.",
            f"{limit_s} 秒以内にスタンプが届きませんでした: {shown}。届くまで、変更前の状態で判断されます。"
            "キーパー (telerelay org keep) が動いていないか、中継サーバーが変更を渡していません。",
        )
        raise typer.Exit(_NOT_MET)
