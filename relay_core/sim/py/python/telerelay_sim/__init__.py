"""The simulator and the codecs for the Python tests: a development module, never in the product."""

from telerelay_sim._sim import (
    BrokenError,
    MistypedError,
    __version__,
    decode_inner,
    decode_outer,
    encode_inner,
    encode_outer,
    format_attempt_id,
    format_computer_id,
    parse_attempt_id,
    parse_computer_id,
    read_inner,
    read_outer,
    scan_records,
)

__all__ = [
    "BrokenError",
    "MistypedError",
    "__version__",
    "decode_inner",
    "decode_outer",
    "encode_inner",
    "encode_outer",
    "format_attempt_id",
    "format_computer_id",
    "parse_attempt_id",
    "parse_computer_id",
    "read_inner",
    "read_outer",
    "scan_records",
]
