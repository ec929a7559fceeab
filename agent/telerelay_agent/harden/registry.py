"""Values of the Windows registry as places. `Registry` is the seam: on Windows the module `winreg`."""

import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from telerelay_agent.harden.editors import ByHandError

_ROOT_KEY: Final = "HKLM\\"


class Registry(Protocol):
    """What is used of `winreg`; handles are context managers."""

    HKEY_LOCAL_MACHINE: Any
    KEY_READ: int
    KEY_SET_VALUE: int
    KEY_WOW64_64KEY: int
    REG_DWORD: int

    def OpenKey(self, key: Any, sub_key: str, reserved: int, access: int) -> Any:  # noqa: N802 — winreg's name
        """An existing key. Raises FileNotFoundError, PermissionError."""

    def CreateKeyEx(self, key: Any, sub_key: str, reserved: int, access: int) -> Any:  # noqa: N802 — as above
        """A key, made where it does not exist. Raises PermissionError."""

    def QueryValueEx(self, key: Any, name: str) -> tuple[Any, int]:  # noqa: N802 — as above
        """A value and its type. Raises FileNotFoundError."""

    def SetValueEx(self, key: Any, name: str, reserved: int, kind: int, value: Any) -> None:  # noqa: N802 — as above
        """Set a value."""

    def DeleteValue(self, key: Any, name: str) -> None:  # noqa: N802 — as above
        """Remove a value. Raises FileNotFoundError."""

    def FlushKey(self, key: Any) -> None:  # noqa: N802 — as above
        """Make a key durable."""


def windows_registry() -> Registry:
    """The registry of this machine. Raises RuntimeError where there is none."""
    if sys.platform == "win32":
        import winreg

        return winreg
    raise RuntimeError("only Windows has a registry")


@dataclass(frozen=True)
class RegistryPlace:
    """One DWORD value under HKEY_LOCAL_MACHINE, of the 64-bit view; its content is `dword:` and 8 digits."""

    address: str
    registry: Registry = field(repr=False, compare=False)
    kind: ClassVar[str] = "registry"

    def read(self) -> bytes | None:
        key, name = self._split()
        try:
            with self._open(key, self.registry.KEY_READ) as handle:
                value, kind = self.registry.QueryValueEx(handle, name)
        except FileNotFoundError:
            return None
        if kind != self.registry.REG_DWORD:
            raise ByHandError(f"{self.address} is no DWORD")
        return dword(value).encode()

    def write(self, content: bytes | None) -> None:
        key, name = self._split()
        access = self.registry.KEY_SET_VALUE | self.registry.KEY_WOW64_64KEY
        with self.registry.CreateKeyEx(self.registry.HKEY_LOCAL_MACHINE, key, 0, access) as handle:
            if content is None:
                self.registry.DeleteValue(handle, name)
            else:
                value = int(content.removeprefix(b"dword:"), 16)
                self.registry.SetValueEx(handle, name, 0, self.registry.REG_DWORD, value)
            self.registry.FlushKey(handle)

    def tidy(self) -> None:
        """Nothing: a value is set or it is not."""

    def is_writable(self) -> bool:
        key, _ = self._split()
        # The nearest key that exists decides; HKEY_LOCAL_MACHINE\SOFTWARE always does.
        while True:
            try:
                with self._open(key, self.registry.KEY_SET_VALUE):
                    return True
            except FileNotFoundError:
                key = key.rpartition("\\")[0]
            except PermissionError:
                return False

    def _open(self, key: str, access: int) -> Any:
        flags = access | self.registry.KEY_WOW64_64KEY
        return self.registry.OpenKey(self.registry.HKEY_LOCAL_MACHINE, key, 0, flags)

    def _split(self) -> tuple[str, str]:
        key, _, name = self.address.removeprefix(_ROOT_KEY).rpartition("\\")
        return key, name


def dword(value: int) -> str:
    """A DWORD as .reg files write it."""
    return f"dword:{value:08x}"
