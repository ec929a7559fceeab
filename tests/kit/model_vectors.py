"""The vectors of screen models: what a seed draws. `python -m tests.kit.model_vectors` writes them anew."""

import json
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from telerelay_loadtest.models import load_model
from telerelay_loadtest.models.form import SCHEMA, Model, State, Way
from telerelay_loadtest.models.sampling import SplitMix, messages

FILE: Final = Path(__file__).parents[2] / "relay_core/spec/vectors/models/samples.json"
_COUNT: Final = 200
_SEEDS: Final = (0, 7, 2**64 - 1)
# Ends that say nothing, stays of a millisecond, gaps of nothing, a knot close to another.
_CORNERS: Final = Model(
    SCHEMA,
    "corners",
    "made up",
    (
        State("idle", 0.5, ((0.0, 1), (1.0, 1)), None, None),
        State(
            "typing",
            2.0,
            ((0.0, 1), (0.3, 40), (1.0, 9_000)),
            _WAY := Way(
                ((0.0, 0), (0.999, 0), (1.0, 900_000)), ((0.0, 1), (0.5, 8), (0.500001, 9), (1.0, 1_048_576))
            ),
            None,
        ),
        State("video", 1e-3, ((0.0, 3_600_000), (1.0, 3_600_000)), None, _WAY),
    ),
)


def vectors() -> dict[str, Any]:
    """What the file holds."""
    return {
        "splitmix64": [
            {"seed": seed, "next": list(islice(iter(SplitMix(seed).next, None), 8))} for seed in _SEEDS
        ],
        "sessions": [
            {
                "model": msgspec.to_builtins(model),
                "seed": seed,
                "up": list(islice(messages(model, seed, "up"), _COUNT)),
                "down": list(islice(messages(model, seed, "down"), _COUNT)),
            }
            for model in (load_model("office"), _CORNERS)
            for seed in _SEEDS
        ],
    }


def text() -> str:
    """The file: a line for each sequence and each session."""
    lines = [
        f'"{name}": [\n' + ",\n".join(json.dumps(one) for one in ones) + "\n]"
        for name, ones in vectors().items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text())
