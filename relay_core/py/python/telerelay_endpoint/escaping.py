"""Texts that somebody else wrote, made harmless for terminals and lines."""

import json
from typing import Final

_WIDE_SPACE: Final = "\u3000"
"""Between Japanese words: no terminal obeys it, though Python prints it as an escape."""


def escape(text: str) -> str:
    """What a terminal would obey or hide (control, bidi, format characters) as JSON escapes it."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == _WIDE_SPACE else json.dumps(character)[1:-1]
        for character in text
    )
