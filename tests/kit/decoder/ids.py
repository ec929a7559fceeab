"""Computer IDs and attempt IDs, read and shown from PROTOCOL.md §2 alone."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CORRECTED = str.maketrans("OIL", "011")


class MistypedError(Exception):
    """A text that is no ID: `foreign` with position and character, `length` with how many, or `check`."""


def read_computer(typed: str) -> bytes:
    """The ten bytes of a computer ID."""
    values = _values(typed, 17)
    if _checked(values) != 0:
        raise MistypedError("check")
    return _number(values[:16]).to_bytes(10, "big")


def show_computer(identity: bytes) -> str:
    """A computer ID as people see it; the check character is found by trying all."""
    values = _digits(int.from_bytes(identity, "big"), 16)
    check = next(check for check in range(32) if _checked([*values, check]) == 0)
    letters = "".join(ALPHABET[value] for value in [*values, check])
    return "-".join(letters[start : start + 4] for start in range(0, 17, 4))


def read_attempt(typed: str) -> bytes:
    """The five bytes of an attempt ID."""
    return _number(_values(typed, 8)).to_bytes(5, "big")


def show_attempt(identity: bytes) -> str:
    """An attempt ID as people see it."""
    letters = "".join(ALPHABET[value] for value in _digits(int.from_bytes(identity, "big"), 8))
    return f"{letters[:4]}-{letters[4:]}"


def _values(typed: str, expected: int) -> list[int]:
    letters = [letter for letter in typed if letter != "-" and not _is_space(letter)]
    values = []
    for position, letter in enumerate(letters, start=1):
        plain = letter.upper().translate(CORRECTED) if letter.isascii() else letter
        if plain not in ALPHABET:
            raise MistypedError("foreign", position, letter)
        values.append(ALPHABET.index(plain))
    if len(values) != expected:
        raise MistypedError("length", len(values))
    return values


def _is_space(letter: str) -> bool:
    """Unicode's White_Space: Python counts four separators of ASCII too."""
    return letter.isspace() and letter not in "\x1c\x1d\x1e\x1f"


def _digits(number: int, count: int) -> list[int]:
    return [number >> 5 * place & 31 for place in reversed(range(count))]


def _number(values: list[int]) -> int:
    return sum(value << 5 * place for place, value in enumerate(reversed(values)))


def _checked(values: list[int]) -> int:
    """The sum of αⁱ·cᵢ in GF(32), where α is the polynomial x and x⁵ = x² + 1."""
    total, power = 0, 1
    for value in values:
        total ^= _product(power, value)
        power = _product(power, 2)
    return total


def _product(left: int, right: int) -> int:
    product = 0
    for bit in range(5):
        if right >> bit & 1:
            product ^= left << bit
    for bit in range(8, 4, -1):
        if product >> bit & 1:
            product ^= 0b100101 << bit - 5
    return product
