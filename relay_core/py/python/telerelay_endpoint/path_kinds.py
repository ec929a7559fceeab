"""How an endpoint's leg of a session travels, in a person's words (PROTOCOL.md §6)."""

from typing import Final, Literal

_WORDS: Final = {
    "en": {"direct": "direct", "wrapped": "wrapped"},
    "ja": {"direct": "直接", "wrapped": "TLS 内"},
}


def path_word(kind: str, language: Literal["en", "ja"]) -> str:
    """The word for "direct" or "wrapped"; another kind stands for itself."""
    return _WORDS[language].get(kind, kind)
