"""`telerelay config show`: every setting of the node, its value and where it comes from."""

from pathlib import Path
from typing import Any

from telerelay.cli.node_options import ConfigOption, DataOption
from telerelay.node.settings import PREFIX, Settings, load
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns


def config_show(
    config: ConfigOption = None, data: DataOption = None, json: JsonOption = False, lang: LangOption = None
) -> None:
    """Show every setting of the node: its value, where it comes from, and what it is for.

    Examples:

      telerelay config show

      TELERELAY_NODE_LISTEN=127.0.0.1:8443 telerelay config show --json
    """
    console = Console(json=json, lang=lang)
    loaded = load(config, {"data": data})
    record = {
        name: {
            "value": _plain(getattr(loaded.settings, name)),
            "source": loaded.sources[name],
            "environment": PREFIX + name.upper(),
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    }
    header = console.text("setting value source description", "設定 値 由来 説明").split()
    rows = [
        [name, _shown(entry["value"]), str(entry["source"]), str(entry["description"])]
        for name, entry in record.items()
    ]
    console.data("config-show", {"settings": record}, columns(header, rows))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else str(value)
