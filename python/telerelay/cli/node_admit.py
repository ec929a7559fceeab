"""`telerelay node admit`: let an organisation use this cluster."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from telerelay.cli.node_options import ConfigOption, DataOption, open_control
from telerelay.cli.times import time_option, unix_seconds
from telerelay_endpoint.console import Console, JsonOption, LangOption


def node_admit(
    root: Annotated[
        Path,
        typer.Argument(
            metavar="ROOT.pem", exists=True, dir_okay=False, help="The organisation's root certificate."
        ),
    ],
    sessions: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            metavar="N",
            help="How many sessions it may have at once at each node.",
            show_default="as it is; at first 2,000",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        time_option("Admit it for a test that ends then: local time, 2026-04-01T17:30."),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Let an organisation use this cluster, or lift its suspension. Prints what its administrator joins with.

    With --until it is admitted for a test, which stays one: what it does is counted apart from the work of
    people, and at that time it is suspended. Take an organisation that was made for it, and throw it away.

    The line holds no secret. Compare the organisation ID with its administrator, by another way than the
    file came.

    Examples:

      telerelay node admit kitamachi-root.pem

      telerelay node admit kitamachi-root.pem --sessions 300

      telerelay node admit load-test-root.pem --until 2026-04-01T17:30

      telerelay node admit kitamachi-root.pem --json | jq -r .cluster
    """
    console = Console(json=json, lang=lang)
    with open_control(config, data) as control:
        organisation, new, line = control.admit(root.read_bytes(), sessions, unix_seconds(until))
    shown = organisation.hex()
    console.note(
        f"organisation {shown} {'is admitted' if new else 'was admitted already'}; "
        "its administrator goes on with: telerelay org join LINE",
        f"組織 {shown} を{'登録しました' if new else '登録済みです'}。"
        "次に、組織の管理者が実行します: telerelay org join LINE",
    )
    console.data("node-admit", {"organisation": shown, "new": new, "cluster": line}, line)
