"""`telerelay config check`: everything that is wrong with the node's settings."""

from telerelay.cli.node_options import ConfigOption, DataOption
from telerelay.node.settings import PROGRAM, load
from telerelay_endpoint.console import Console, JsonOption, LangOption
from telerelay_endpoint.settings_report import check_settings


def config_check(
    config: ConfigOption = None, data: DataOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Tell everything that is wrong with the node's settings, with its place; exit 2 when something is.

    Examples:

      telerelay config check

      telerelay config check --config new.toml --json
    """
    check_settings(Console(json=json, lang=lang), PROGRAM, config, lambda: load(config, {"data": data}))
