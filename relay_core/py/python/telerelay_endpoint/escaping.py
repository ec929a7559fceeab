"""Texts that somebody else wrote, made harmless for terminals and lines."""

import json


def escape(text: str) -> str:
    """What a terminal would obey or hide (control, bidi, format characters) as JSON escapes it."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )
