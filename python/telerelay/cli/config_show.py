"""`telerelay config show`: the node's settings with their sources, and what decides requests."""

from telerelay.cli.node_options import ConfigOption, DataOption
from telerelay.doctor.node import check_routing
from telerelay.node.settings import PROGRAM, load
from telerelay.routing import decide
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.settings_report import settings_record, settings_table


def config_show(
    config: ConfigOption = None, data: DataOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Show every setting of the node: its value, where it comes from, and what it is for.

    Below it stands whether compiled code decides requests.

    Examples:

      telerelay config show

      TELERELAY_NODE_LISTEN=127.0.0.1:8443 telerelay config show --json
    """
    console = Console(json=json, lang=lang)
    settings = settings_record(PROGRAM, load(config, {"data": data}))
    record = {"settings": settings, "routing": {"compiled": decide.COMPILED, "file": decide.__file__}}
    says = check_routing().says[console.language]
    console.data("config-show", record, f"{settings_table(console, settings)}\n\n{says} ({decide.__file__})")
