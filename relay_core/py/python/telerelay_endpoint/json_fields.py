"""Reading a node's JSON field by field: it is not believed to keep to the form (PROTOCOL.md §11)."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from telerelay_core import CoreError, parse_computer_id
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import from_base64url
from telerelay_endpoint.strict_cbor import FormRefusedError

_T = TypeVar("_T")


class Fields:
    """An object of an answer. Every reader raises TelerelayError(UNREACHABLE) when its field does not fit."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise _unreadable("an object is missing")
        self._fields: Mapping[str, Any] = value

    def all(self) -> Mapping[str, Any]:
        """The whole object as it came."""
        return self._fields

    def text(self, name: str) -> str:
        """A field of text."""
        return self._typed(name, str)

    def number(self, name: str) -> int:
        """A number that is not negative."""
        value = self._typed(name, int)
        if isinstance(value, bool) or value < 0:
            raise _unreadable(name)
        return value

    def boolean(self, name: str) -> bool:
        """True or false."""
        return self._typed(name, bool)

    def binary(self, name: str, size: int | None = None) -> bytes:
        """Base64url, of `size` bytes if that is given."""
        try:
            value = from_base64url(self.text(name))
        except FormRefusedError as error:
            raise _unreadable(name) from error
        if size is not None and len(value) != size:
            raise _unreadable(name)
        return value

    def computer(self, name: str) -> bytes:
        """A computer ID, 10 bytes."""
        try:
            return parse_computer_id(self.text(name))
        except CoreError as error:
            raise _unreadable(name) from error

    def computers(self, name: str) -> list[bytes]:
        """A list of computer IDs, 10 bytes each."""
        try:
            return [parse_computer_id(item) for item in self.items(name)]
        except (CoreError, TypeError) as error:
            raise _unreadable(name) from error

    def fields(self, name: str) -> "Fields":
        """An object inside."""
        return Fields(self._fields.get(name))

    def items(self, name: str) -> list[Any]:
        """A list inside, its items unread."""
        value: list[Any] = self._typed(name, list)
        return value

    def optional(self, name: str, read: Callable[[str], _T]) -> _T | None:
        """What `read` (one of the readers above) makes of a field that may be missing or null."""
        return None if self._fields.get(name) is None else read(name)

    def _typed(self, name: str, kind: type[_T]) -> _T:
        value = self._fields.get(name)
        if not isinstance(value, kind):
            raise _unreadable(name)
        return value


def each(value: object) -> list[Fields]:
    """The objects of an answer that is a list. Raises TelerelayError(UNREACHABLE)."""
    if not isinstance(value, list):
        raise _unreadable("a list is missing")
    return [Fields(item) for item in value]


def _unreadable(what: str) -> TelerelayError:
    return TelerelayError("UNREACHABLE", f"the node's answer does not fit: {what}")
