"""`telerelay node list`: the organisations that this cluster admits."""

from telerelay.cli.node_options import ConfigOption, DataOption, open_control
from telerelay.node.control import Organisation
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns, local_time, rfc3339


def node_list(
    config: ConfigOption = None, data: DataOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Show the admitted organisations. The name is what a root calls itself; the ID is who it is.

    Examples:

      telerelay node list

      telerelay node list --json | jq -r '.organisations[] | select(.suspended) | .organisation'
    """
    console = Console(json=json, lang=lang)
    with open_control(config, data) as control:
        organisations = control.organisations()
    header = console.text(
        "organisation name admitted devices state", "組織 名前 登録日時 端末数 状態"
    ).split()
    rows = [
        [
            row.organisation.hex()[:12],
            row.name,
            local_time(row.admitted),
            str(row.devices),
            _state(console, row),
        ]
        for row in organisations
    ]
    console.data(
        "node-list", {"organisations": [_record(row) for row in organisations]}, columns(header, rows)
    )


def _state(console: Console, row: Organisation) -> str:
    if row.suspended is None:
        return console.text("admitted", "利用可")
    since = local_time(row.suspended)
    return console.text(f"suspended since {since}", f"{since} から停止中")


def _record(row: Organisation) -> dict[str, object]:
    return {
        "organisation": row.organisation.hex(),
        "name": row.name,
        "admitted": rfc3339(row.admitted),
        "suspended": None if row.suspended is None else rfc3339(row.suspended),
        "devices": row.devices,
    }
