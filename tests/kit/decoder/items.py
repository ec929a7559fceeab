"""Bodies, item by item: only the deterministic form of PROTOCOL.md §4 passes; each item says what it is."""

from dataclasses import dataclass

DEPTH = 8
UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
WORDS = ("", "", "bytes of length", "text of length", "array of", "map of")


class BrokenError(Exception):
    """Bytes that break PROTOCOL.md; the argument is the name that the vectors use for it."""


@dataclass(frozen=True)
class Piece:
    """Some bytes of a body, `depth` containers deep, and what they are."""

    start: int
    end: int
    depth: int
    meaning: str


def walk(body: bytes) -> list[Piece]:
    """Cut a body into its items. Raises BrokenError for every form but the deterministic one."""
    walker = _Walker(body)
    walker.container(0, outermost=True)
    if walker.position < len(body):
        raise BrokenError("trailing")
    return walker.pieces


class _Walker:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0
        self.pieces: list[Piece] = []

    def take(self, length: int) -> bytes:
        if length > len(self.body) - self.position:
            raise BrokenError("truncated")
        self.position += length
        return self.body[self.position - length : self.position]

    def begins(self, major: int) -> bool:
        if self.position >= len(self.body):
            raise BrokenError("truncated")
        return self.body[self.position] // 32 == major

    def major(self) -> int:
        if self.position >= len(self.body):
            raise BrokenError("truncated")
        major, info = divmod(self.body[self.position], 32)
        if info == 31 and BYTES <= major <= MAP:
            raise BrokenError("indefinite")
        if info > 27 or major == TAG or (major == SIMPLE and info not in {20, 21}):
            raise BrokenError("foreign")
        return major

    def argument(self) -> tuple[int, bool]:
        """The number in an item's head, and whether it is in its shortest form."""
        info = self.take(1)[0] % 32
        if info < 24:
            return info, True
        width = 1 << info - 24
        number = int.from_bytes(self.take(width), "big")
        return number, number >= (24 if width == 1 else 1 << 4 * width)

    def item(self, depth: int) -> None:
        major, start = self.major(), self.position
        if major in {ARRAY, MAP}:
            self.container(depth)
            return
        number, shortest = self.argument()
        if major in {BYTES, TEXT}:
            content_start = self.position
            content = self.take(number)
            if major == TEXT:
                self.require_text(content)
            self.require(shortest)
            shown = repr(content.decode()) if major == TEXT else "the bytes"
            self.pieces.append(Piece(start, content_start, depth, f"{WORDS[major]} {number}"))
            self.pieces.append(Piece(content_start, self.position, depth, shown))
            return
        self.require(shortest)
        value = {UNSIGNED: str(number), NEGATIVE: str(-1 - number), SIMPLE: str(number == 21).lower()}
        self.pieces.append(Piece(start, self.position, depth, value[major]))

    def container(self, depth: int, *, outermost: bool = False) -> None:
        if outermost and not self.begins(MAP):
            raise BrokenError("not_a_map")
        major, start = self.major(), self.position
        if depth >= DEPTH:
            raise BrokenError("too_deep")
        count, shortest = self.argument()
        self.require(shortest)
        self.pieces.append(Piece(start, self.position, depth, f"{WORDS[major]} {count}"))
        last: bytes | None = None
        for _ in range(count):
            if major == MAP:
                last = self.key(depth + 1, last, unsigned=outermost)
            self.item(depth + 1)

    def key(self, depth: int, last: bytes | None, *, unsigned: bool) -> bytes:
        if unsigned and not self.begins(UNSIGNED):
            raise BrokenError("key_type")
        start, count = self.position, len(self.pieces)
        self.item(depth)
        key = self.body[start : self.position]
        # Deterministic heads make bytewise order the order of the numbers too (RFC 8949 §4.2.1).
        if last is not None and key <= last:
            raise BrokenError("key_twice" if key == last else "key_order")
        if unsigned and len(key) > 5:
            raise BrokenError("key_type")
        if unsigned:
            self.pieces[count] = Piece(start, self.position, depth, f"key {self.pieces[count].meaning}")
        return key

    @staticmethod
    def require(shortest: bool) -> None:  # noqa: FBT001 - the one thing that is required
        if not shortest:
            raise BrokenError("not_shortest")

    @staticmethod
    def require_text(content: bytes) -> None:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            raise BrokenError("not_utf8") from error
