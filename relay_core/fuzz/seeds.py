"""Writes the bytes of the vectors into a folder, as seeds of the fuzzer: `python3 seeds.py TARGET FOLDER`."""  # noqa: INP001 - a script beside run.sh

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

CORE = Path(__file__).resolve().parents[1]
LAYERS = {"frames": "outer", "records": "records", "session": "inner"}
GUARD = {"guard_client": "c>", "guard_desktop": "-<"}
"""What a side says in the guard's vectors (record.py)."""


def seeds(target: str) -> Iterator[tuple[str, bytes]]:
    """Names and bytes. Targets that no vector belongs to begin with what stands in corpus/."""
    if target in LAYERS:
        for path in (CORE / "spec" / "vectors").glob(f"{LAYERS[target]}/*.json"):
            for number, vector in enumerate(json.loads(path.read_text(encoding="utf-8"))["vectors"]):
                yield f"{path.stem}-{number}", bytes.fromhex(vector["hex"])
    elif target in GUARD:
        for path in (CORE / "proto" / "guard" / "tests" / "vectors").glob("*.txt"):
            lines = path.read_text(encoding="ascii").splitlines()
            said = groupby(lines, lambda line: line[0] in GUARD[target])
            turns = [bytes.fromhex("".join(line[2:] for line in turn)) for spoken, turn in said if spoken]
            yield path.stem, b"".join(turns)
            for number, turn in enumerate(turns):
                yield f"{path.stem}-{number}", turn


def main() -> None:
    """Write one file a seed."""
    target, folder = sys.argv[1:]
    for name, content in seeds(target):
        (Path(folder) / name).write_bytes(content)


if __name__ == "__main__":
    main()
