"""Writes the bytes of the vectors into a folder, as seeds of the fuzzer: `python3 seeds.py TARGET FOLDER`."""  # noqa: INP001 - a script beside run.sh

import json
import sys
from pathlib import Path

LAYERS = {"frames": "outer", "records": "records", "session": "inner"}
target, folder = sys.argv[1:]
vectors = Path(__file__).resolve().parents[1] / "spec" / "vectors"
# The other targets have no vectors; they begin with what stands in corpus/.
for path in vectors.glob(f"{LAYERS[target]}/*.json") if target in LAYERS else ():
    for number, vector in enumerate(json.loads(path.read_text(encoding="utf-8"))["vectors"]):
        (Path(folder) / f"{path.stem}-{number}").write_bytes(bytes.fromhex(vector["hex"]))
