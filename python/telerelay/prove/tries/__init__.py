"""The catalogue of tries, a module a family. To add one: an entry in the `TRIES` of its family."""

from typing import Final

from telerelay.prove.trial import Try
from telerelay.prove.tries import authority, clipboard, encodings, files, inputs, messages, transport

CATALOGUE: Final[tuple[Try, ...]] = (
    *inputs.TRIES,
    *clipboard.TRIES,
    *files.TRIES,
    *messages.TRIES,
    *encodings.TRIES,
    *authority.TRIES,
    *transport.TRIES,
)
"""Every try, in the order in which they are made: first that the session is alive at all."""
