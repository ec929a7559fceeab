"""`telerelay serve`: run a relay node."""

from typing import Annotated

import typer

from telerelay.cli.node_options import ConfigOption, DataOption
from telerelay.node.cluster import Cluster
from telerelay.node.service import serve as run_node
from telerelay.node.settings import load
from telerelay.node.standing import Standing
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.log_lines import log_to_stderr


def serve(
    listen: Annotated[
        list[str] | None,
        typer.Option(metavar="IP:PORT", help="Where agents and clients connect; may be given several times."),
    ] = None,
    advertise: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="How they reach it from outside; may be given several times."),
    ] = None,
    metrics_listen: Annotated[
        str | None,
        typer.Option(metavar="IP:PORT", help="Where /metrics, /healthz and /readyz are answered."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The node's name in its cluster.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Run a relay node until SIGTERM or Ctrl-C. The first start makes the cluster: CA, certificate, database.

    `telerelay config show` tells every setting; `telerelay node admit` lets the first organisation in.

    Examples:

      telerelay serve

      telerelay serve --listen 0.0.0.0:8443 --advertise relay.example.jp:8443
    """
    console = Console(json=json, lang=lang)
    arguments = {
        "listen": listen or None,
        "advertise": advertise or None,
        "metrics_listen": metrics_listen,
        "name": name,
        "data": data,
    }
    settings = load(config, arguments).settings
    log_to_stderr(json=json or settings.log_json, level=settings.log_level)

    def started(standing: Standing, cluster: Cluster) -> None:
        if cluster.successor_file.exists():
            console.warn(
                f"move {cluster.successor_file} off this machine: it replaces a lost or stolen CA",
                f"{cluster.successor_file} をこの機器の外へ移してください。CA を失ったときに必要になります",
            )
        pin, successor = (pin.hex() for pin in cluster.authority.pins(cluster.successor))
        addresses = ", ".join(standing.listening)
        record = {
            "event": "ready",
            "name": standing.name,
            "listeners": list(standing.listening),
            "advertised": list(standing.node.addresses),
            "metrics_url": standing.metrics_url,
            "data": str(settings.data),
            "pins": [pin, successor],
        }
        console.data(
            "serve",
            record,
            console.text(
                f"{standing.name} listens on {addresses}; cluster {pin[:12]}",
                f"{standing.name} は {addresses} で待ち受けています。クラスター {pin[:12]}",
            ),
        )

    run_node(settings, started)
