"""The reference of a scenario's file for docs/LOADTEST.md, made of the structs that read it.

    python -m telerelay_loadtest.scenario.reference     # writes it into the page

A test compares both.
"""

from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from telerelay_loadtest.scenario.file import SECTIONS, SINGLE, Head
from telerelay_loadtest.scenario.words import Duration, TimeOfDay

BEGIN, END = "<!-- reference -->\n", "<!-- end of the reference -->\n"
_PAGE: Final = Path("docs", "LOADTEST.md")
_WORDS: Final = {
    Duration: "duration",
    TimeOfDay: "time of day",
    str: "text",
    int: "number",
    float: "number",
    bool: "true, false",
}


def reference() -> str:
    """Markdown: what stands at the top of the file, then each kind of table."""
    tables: list[tuple[str, type[Struct]]] = [("At the top", Head)]
    tables += [(f"`[{name}.NAME]`", kind) for name, kind in SECTIONS.items()]
    tables += [(f"`[{name}]`", kind) for name, kind in SINGLE.items()]
    return "\n".join(line for header, kind in tables for line in _table(header, kind))


def write(page: Path) -> None:
    """Put it into the page, in the place of what stands there."""
    text = page.read_text(encoding="utf-8")
    page.write_text(replaced(text), encoding="utf-8")


def replaced(text: str) -> str:
    """A page with the reference as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, behind = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{behind}"


def _table(header: str, kind: type[Struct]) -> Iterator[str]:
    yield f"**{header}.** {' '.join((kind.__doc__ or '').split())}"
    yield ""
    yield "| key | value | default | what it is |"
    yield "|---|---|---|---|"
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        annotated = hints[field.name]
        if description := _description(annotated):
            yield f"| `{field.name}` | {_value(annotated)} | {_default(field)} | {description} |"
    yield ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not NODEFAULT:
        return f"`{_toml(field.default_factory())}`"
    if field.default is NODEFAULT:
        return "must be given"
    return "" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _value(annotated: Any) -> str:
    bare, metas = _taken_apart(annotated)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(bare))
    if get_origin(bare) is list:
        return f"list of {_value(get_args(bare)[0])}s"
    limits = [_limits(meta) for meta in metas]
    return " ".join([_WORDS[bare], *(limit for limit in limits if limit)])


def _limits(meta: Meta) -> str:
    least = meta.ge if meta.ge is not None else meta.gt
    if least is None and meta.le is None:
        return ""
    above = "" if meta.gt is None else "above "
    if meta.le is None:
        return f"{above or 'from '}{least}{'' if above else ' on'}"
    return f"{above}{least} to {meta.le}"


def _description(annotated: Any) -> str:
    """Empty for what has a table of its own."""
    _, metas = _taken_apart(annotated)
    return next((meta.description for meta in metas if meta.description), "")


def _taken_apart(annotated: Any) -> tuple[Any, tuple[Meta, ...]]:
    """A type without None, and what is said of it."""
    metas: tuple[Meta, ...] = ()
    while get_origin(annotated) is Annotated:
        annotated, metas = annotated.__origin__, (*annotated.__metadata__, *metas)
    choices = [choice for choice in get_args(annotated) if choice is not NoneType]
    if NoneType in get_args(annotated):
        (annotated,) = choices
    return annotated, metas


if __name__ == "__main__":
    write(_PAGE)
