"""Reads relay_core/spec/vectors, and writes what is derived there: `python -m tests.kit.vectors`.

A vector is written by hand as fields (a frame) or as annotated hexadecimal digits (bytes that are broken or
unusual); the rest is derived from it by the independent decoder, never by the core.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit.decoder.frames import HEADER, LAYERS, Frame, write
from tests.kit.decoder.items import walk

VECTORS = Path(__file__).resolve().parents[2] / "relay_core/spec/vectors"
COLUMN = 32


def load(path: Path) -> dict[str, Any]:
    """One file of vectors."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def frame_files(layer: str) -> dict[str, dict[str, Any]]:
    """The files of a layer that hold one type of frame each, by the frame's name."""
    files = (load(path) for path in sorted((VECTORS / layer).glob("*.json")))
    return {content["frame"]: content for content in files if "frame" in content}


def vectors(layer: str) -> Iterator[tuple[Frame, bytes]]:
    """Every frame of a layer's vectors with its bytes."""
    for name, content in frame_files(layer).items():
        for vector in content["vectors"]:
            yield Frame(name, vector["fields"]), bytes.fromhex(vector["hex"])


def derive(layer: str, content: dict[str, Any]) -> dict[str, Any]:
    """The same content with everything that follows from what is written by hand."""
    return content | {
        "vectors": [_derived(layer, content.get("frame"), vector) for vector in content["vectors"]]
    }


def digits(annotated: list[str]) -> str:
    """The bytes of annotated hexadecimal digits: what stands before each semicolon."""
    return "".join(line.partition(";")[0] for line in annotated).replace(" ", "")


def annotate(layer: str, data: bytes) -> list[str]:
    """One whole frame, cut into its parts, each with its meaning."""
    row = next(row for row in LAYERS[layer].values() if row.kind == data[2])
    flags = "critical" if data[3] else "not critical"
    parts = [(data[:2], f"body of {len(data) - HEADER}"), (data[2:3], row.name), (data[3:4], flags)]
    body = data[HEADER:]
    if row.offset is not None:
        parts += [(body[: row.offset], "offset")] if row.offset else []
        parts += [(body[row.offset :], "bytes")]
    else:
        for piece in walk(body):
            meaning = piece.meaning
            if piece.depth == 1 and meaning.startswith("key "):
                meaning = f"{meaning}: {row.fields[int(meaning.removeprefix('key '))].name}"
            parts.append((body[piece.start : piece.end], "  " * piece.depth + meaning))
    return [f"{part.hex():{COLUMN}} ; {meaning}" for part, meaning in parts if part]


def _derived(layer: str, frame: str | None, vector: dict[str, Any]) -> dict[str, Any]:
    if frame is None:
        return vector | {"hex": digits(vector["annotated"])}
    data = write(layer, Frame(frame, vector["fields"]))
    return vector | {"hex": data.hex(), "annotated": annotate(layer, data)}


def _main() -> None:
    for folder in ("outer", "inner", "records"):
        for path in sorted((VECTORS / folder).glob("*.json")):
            content = json.dumps(derive(folder, load(path)), indent=1, ensure_ascii=False)
            path.write_text(content + "\n", encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(VECTORS)}\n")


if __name__ == "__main__":
    _main()
