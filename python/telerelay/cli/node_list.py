"""`telerelay node list`: the node as it stands, and the organisations that its cluster admits."""

from telerelay.cli.node_options import ConfigOption, DataOption, open_control
from telerelay.node.control import NodeState, Organisation
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns, local_time, rfc3339


def node_list(
    config: ConfigOption = None, data: DataOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Show the node and the admitted organisations.

    The name is what a root calls itself; the ID is who it is.

    Examples:

      telerelay node list

      telerelay node list --json | jq .node.sessions

      telerelay node list --json | jq -r '.organisations[] | select(.suspended) | .organisation'
    """
    console = Console(json=json, lang=lang)
    with open_control(config, data) as control:
        state, organisations = control.state(), control.organisations()
    header = console.text(
        "organisation name admitted devices flagged state", "組織 名前 登録日時 端末数 要確認 状態"
    ).split()
    rows = [
        [
            row.organisation.hex()[:12],
            row.name,
            local_time(row.admitted),
            str(row.devices),
            str(row.flagged),
            _state(console, row),
        ]
        for row in organisations
    ]
    console.data(
        "node-list",
        {"node": _node_record(state), "organisations": [_record(row) for row in organisations]},
        f"{_node_line(console, state)}\n\n{columns(header, rows)}",
    )


def _node_line(console: Console, node: NodeState) -> str:
    return console.text(
        f"{node.name} is {node.state}: {node.sessions} sessions, {node.ready_agents} ready agents, "
        f"load {node.load_percent} %",
        f"{node.name}: {node.state}、接続 {node.sessions} 件、待機中のエージェント {node.ready_agents} 台、"
        f"負荷 {node.load_percent} %",
    )


def _node_record(node: NodeState) -> dict[str, object]:
    return {
        "node": node.name,
        "state": node.state,
        "sessions": node.sessions,
        "ready_agents": node.ready_agents,
        "load_percent": node.load_percent,
    }


def _state(console: Console, row: Organisation) -> str:
    if row.suspended is not None:
        since = local_time(row.suspended)
        return console.text(f"suspended since {since}", f"{since} から停止中")
    if row.until is not None:
        until = local_time(row.until)
        return console.text(f"admitted for a test until {until}", f"{until} まで試験用に利用可")
    return console.text("admitted", "利用可")


def _record(row: Organisation) -> dict[str, object]:
    return {
        "organisation": row.organisation.hex(),
        "name": row.name,
        "admitted": rfc3339(row.admitted),
        "suspended": None if row.suspended is None else rfc3339(row.suspended),
        "devices": row.devices,
        "sessions": row.sessions,
        "until": None if row.until is None else rfc3339(row.until),
        "flagged": row.flagged,
    }
