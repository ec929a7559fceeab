"""`telerelay org join`: tell this administrator and the keeper which cluster to talk to."""

from typing import Annotated

import typer

from telerelay.cli.org_options import OrgOption, now, open_api, open_organisation
from telerelay.org.joining import join
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.lines import parse_cluster_line


def org_join(
    line: Annotated[str, typer.Argument(metavar="CLUSTER-LINE", help="What `telerelay node admit` printed.")],
    org: OrgOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Tell this administrator and the keeper which cluster to talk to, and see that it answers.

    The line holds the cluster's pins and addresses; it is no secret.

    Example:

      telerelay org join telerelay-cluster:ogCCWCDK…
    """
    console = Console(json=json, lang=lang)
    folder = open_organisation(org)
    cluster = parse_cluster_line(line)
    overview = join(folder, cluster, open_api, now())
    nodes = [node.name for node in cluster.nodes]
    record = {
        "organisation": folder.organisation.hex(),
        "nodes": nodes,
        "agents": overview.agents,
        "clients": overview.clients,
    }
    console.data(
        "org-join",
        record,
        console.text(
            f"joined {', '.join(nodes)}\nnext: telerelay org keep (a service), then telerelay org invite",
            f"{', '.join(nodes)} を登録しました\n次に: telerelay org keep、続いて telerelay org invite",
        ),
    )
