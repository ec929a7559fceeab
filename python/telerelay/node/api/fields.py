"""The types of the API's fields (PROTOCOL.md §11): what JSON writes as text and Python holds as bytes."""

from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import from_base64url, to_base64url
from telerelay_endpoint.payloads import LABEL_MAXIMUM

NUMBER_MAXIMUM: Final = LIMITS["api_number"]
_CERTIFICATE_MAXIMUM: Final = LIMITS["api_certificate_bytes"]


def _binary(size: int | None = None) -> Any:
    length = f" of {size} bytes" if size else ""
    return (
        BeforeValidator(_read_binary),
        Field(min_length=size or 1, max_length=size or _CERTIFICATE_MAXIMUM),
        PlainSerializer(to_base64url, return_type=str),
        WithJsonSchema({"type": "string", "description": f"base64url without padding{length}"}),
    )


def _read_binary(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value  # our own answer; JSON has no such thing
    if not isinstance(value, str):
        raise ValueError("base64url is text")  # noqa: TRY004 — pydantic turns a ValueError into its own answer
    return from_base64url(value)


def _read_computer(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value  # as above
    if not isinstance(value, str):
        raise ValueError("a computer ID is text")  # noqa: TRY004 — as above
    try:
        return parse_computer_id(value)
    except CoreError as error:
        raise ValueError(error.detail) from error


def _check_label(label: str) -> str:
    if len(label.encode()) > LABEL_MAXIMUM:
        raise ValueError(f"a label has at most {LABEL_MAXIMUM} bytes")
    return label


Id = Annotated[bytes, *_binary(16)]
Hash = Annotated[bytes, *_binary(32)]
Der = Annotated[bytes, *_binary()]
Computer = Annotated[
    bytes,
    BeforeValidator(_read_computer),
    PlainSerializer(format_computer_id, return_type=str),
    WithJsonSchema({"type": "string", "description": "a computer ID as shown, ABCD-EFGH-JKMN-PQRS-T"}),
]
Label = Annotated[str, AfterValidator(_check_label)]
Number = Annotated[int, Field(ge=0, le=NUMBER_MAXIMUM, strict=True)]
Code = Annotated[str, Field(pattern="^[A-Z][A-Z_]{1,31}$")]


class Body(BaseModel):
    """A request's or answer's object; a field that nobody knows is refused in a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Empty(Body):
    """`{}`: the status says it all."""
