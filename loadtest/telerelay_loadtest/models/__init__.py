"""Screen models: how a session's messages are spread over time, without any content.

The ready ones stand beside this file; `tests/bench/recordings` says how they were made.
"""

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Final

from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.models.form import Model, read_model

MODELS: Final = ("idle", "office", "scrolling", "typing", "video")
"""The models that come with the kit."""


def load_model(name: str) -> Model:
    """A ready model, or the one in a file. Raises TelerelayError(USAGE) that names the nearest ready one."""
    if name in MODELS:
        return read_model(files(__name__).joinpath(f"{name}.json").read_bytes())
    file = Path(name)
    if not file.is_file():
        nearest = get_close_matches(name, MODELS, n=1) or [", ".join(MODELS)]
        raise TelerelayError("USAGE", f"no screen model {name}; there is {nearest[0]}")
    try:
        return read_model(file.read_bytes())
    except ValueError as error:
        raise TelerelayError("USAGE", f"{file}: {error}") from None
