"""A Windows registry in memory, at the seam where `winreg` stands on Windows."""

from contextlib import nullcontext
from typing import Any


class FakeRegistry:
    """Keys exist as far as `keys` says; values are (value, type) by key and name."""

    HKEY_LOCAL_MACHINE = "HKLM"
    KEY_READ = 0x20019
    KEY_SET_VALUE = 0x0002
    KEY_WOW64_64KEY = 0x0100
    REG_DWORD = 4

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], tuple[Any, int]] = {}
        self.keys = {"SOFTWARE", "SOFTWARE\\Policies"}
        self.is_writable = True
        self.flushed = 0

    def OpenKey(self, key: Any, sub_key: str, _reserved: int, access: int) -> Any:  # noqa: N802 — winreg's name
        assert key == self.HKEY_LOCAL_MACHINE
        assert access & self.KEY_WOW64_64KEY
        if sub_key not in self.keys and not any(at == sub_key for at, _ in self.values):
            raise FileNotFoundError(sub_key)
        self._check(access)
        return nullcontext(sub_key)

    def CreateKeyEx(self, key: Any, sub_key: str, _reserved: int, access: int) -> Any:  # noqa: N802 — as above
        assert key == self.HKEY_LOCAL_MACHINE
        assert access & self.KEY_WOW64_64KEY
        self._check(access)
        self.keys.add(sub_key)
        return nullcontext(sub_key)

    def QueryValueEx(self, key: Any, name: str) -> tuple[Any, int]:  # noqa: N802 — as above
        if (key, name) not in self.values:
            raise FileNotFoundError(name)
        return self.values[key, name]

    def SetValueEx(self, key: Any, name: str, _reserved: int, kind: int, value: Any) -> None:  # noqa: N802 — as above
        self.values[key, name] = (value, kind)

    def DeleteValue(self, key: Any, name: str) -> None:  # noqa: N802 — as above
        del self.values[key, name]

    def FlushKey(self, _key: Any) -> None:  # noqa: N802 — as above
        self.flushed += 1

    def _check(self, access: int) -> None:
        if access & self.KEY_SET_VALUE and not self.is_writable:
            raise PermissionError(access)
