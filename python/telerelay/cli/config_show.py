"""`telerelay config show`: every setting of the node, its value and where it comes from."""

from telerelay.cli.node_options import ConfigOption, DataOption
from telerelay.node.settings import PROGRAM, load
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.settings_report import show_settings


def config_show(
    config: ConfigOption = None, data: DataOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Show every setting of the node: its value, where it comes from, and what it is for.

    Examples:

      telerelay config show

      TELERELAY_NODE_LISTEN=127.0.0.1:8443 telerelay config show --json
    """
    show_settings(Console(json=json, lang=lang), PROGRAM, load(config, {"data": data}))
