"""The terms of use that a person accepts at `enrol`: numbered versions, each in English and Japanese."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from telerelay_endpoint.errors import Language

CURRENT = 1
"""The version that `enrol` shows. A changed text is a new version."""


@dataclass(frozen=True)
class Terms:
    """One version. `hash` is SHA-256 of the English text followed by the Japanese one: 32 bytes."""

    version: int
    text: Mapping[Language, str]
    hash: bytes


@functools.cache
def current_terms() -> Terms:
    """The version to accept now."""
    folder = resources.files(__name__)
    english = folder.joinpath(f"{CURRENT}.en.md").read_bytes()
    japanese = folder.joinpath(f"{CURRENT}.ja.md").read_bytes()
    return Terms(
        CURRENT,
        {"en": english.decode(), "ja": japanese.decode()},
        hashlib.sha256(english + japanese).digest(),
    )
