"""The chain over one node's records: each says which bytes stand before it (docs/AUDIT.md §1)."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

LINK_SIZE: Final = 32
_ORIGIN: Final = b"telerelay-audit-chain/1\0"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: its node, the number of its last record (0: none yet), its link (32 bytes)."""

    node: str
    seq: int
    link: bytes

    @classmethod
    def of_nothing(cls, node: str) -> Self:
        """Before the first record of `node`."""
        return cls(node, 0, sha256(_ORIGIN + node.encode()).digest())

    def after(self, fingerprint: bytes) -> "Head":
        """Behind one more record (its fingerprint, 32 bytes)."""
        return Head(self.node, self.seq + 1, sha256(self.link + fingerprint).digest())


def fingerprint(record: bytes) -> bytes:
    """What stands for a record's exact bytes, without their line feed: 32 bytes.

    It tells nothing about them, since every record holds 128 random bits.
    """
    return sha256(record).digest()
