"""How each setting stands, and what would change: deciding, without changing anything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from telerelay_agent.harden.editors import ByHandError
from telerelay_agent.harden.places import Place
from telerelay_agent.harden.settings import Setting


class Standing(StrEnum):
    """How a setting stands."""

    MET = "met"
    OPEN = "open"
    """It can be set here and now."""
    LOCKED = "locked"
    """Whoever runs this may not read or write it."""
    BY_HAND = "by-hand"
    """Only a person can set it."""
    ABSENT = "absent"
    """Its program is not installed."""


@dataclass(frozen=True)
class Row:
    """A setting and how it stands.

    `now`: its values, None where they cannot be read; `hindrance`: why only a person can set it, in English.
    """

    setting: Setting
    standing: Standing
    now: Sequence[str] | None = None
    hindrance: str = ""

    @property
    def is_met(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.standing in (Standing.MET, Standing.ABSENT)


def look(settings: Iterable[Setting]) -> Sequence[Row]:
    """How they stand."""
    return [_look(setting) for setting in settings]


def _look(setting: Setting) -> Row:
    if not setting.is_there():
        return Row(setting, Standing.ABSENT, ())
    try:
        content = setting.place.read()
        now = setting.values(content)
        if setting.is_met(content):
            return Row(setting, Standing.MET, now)
        if not setting.place.is_writable():
            return Row(setting, Standing.LOCKED, now)
        _edited(setting, content)
    except PermissionError:
        return Row(setting, Standing.LOCKED)
    except OSError as error:
        return Row(setting, Standing.BY_HAND, hindrance=error.strerror or str(error))
    except ByHandError as error:
        return Row(setting, Standing.BY_HAND, hindrance=str(error))
    return Row(setting, Standing.OPEN, now)


@dataclass(frozen=True)
class Change:
    """What becomes of one place. `settings`: the IDs of those that change in it."""

    place: Place
    settings: Sequence[str]
    before: bytes | None
    after: bytes


def changes(rows: Iterable[Row]) -> Sequence[Change]:
    """What has to be written so that every setting that is open is met. Raises OSError."""
    by_place: dict[Place, list[Setting]] = {}
    for row in rows:
        if row.standing is Standing.OPEN:
            by_place.setdefault(row.setting.place, []).append(row.setting)
    return [_change(place, settings) for place, settings in by_place.items()]


def _change(place: Place, settings: Sequence[Setting]) -> Change:
    before = place.read()
    after = before or b""
    for setting in settings:
        after = _edited(setting, after)
    return Change(place, [setting.id for setting in settings], before, after)


def _edited(setting: Setting, content: bytes | None) -> bytes:
    return setting.editor.edited(content or b"", setting.key, setting.wanted)
