"""Pages for people, in English and Japanese, that load nothing from anywhere."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK JP", "Hiragino Sans", "Yu Gothic", sans-serif;
       margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1, h2 { line-height: 1.25; } [lang=ja] { color: #39424e; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #d4d9df; padding: .45rem .6rem; text-align: left; vertical-align: top; }
td p { margin: 0; } code { font-size: 90%; overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.verdict { border: 2px solid; padding: .8rem 1rem; font-size: 120%; } .verdict p { margin: 0; }
@media print { body { margin: 0; max-width: none; } }
"""
_LOADS_NOTHING: Final = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, style: str, body: Iterable[str]) -> str:
    """The whole page. `body` is HTML, `style` what is its own."""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_LOADS_NOTHING}">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}{style}</style></head><body>",
            *body,
            "</body></html>",
            "",
        ]
    )


def table(header: Iterable[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """Rows under a header. Cells are HTML; those of the columns `numbers` are figures."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="number">{cell}</td>' if column in numbers else f"<td>{cell}</td>"
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, both text."""
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><code>{escape(value)}</code></td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def heading(en: str, ja: str) -> str:
    """A heading in both languages."""
    return f'<h2>{escape(en)} <span lang="ja">{escape(ja)}</span></h2>'


def both(said: tuple[str, str]) -> str:
    """A sentence in English and in Japanese, a paragraph each."""
    en, ja = said
    return f'<p>{escape(en)}</p><p lang="ja">{escape(ja)}</p>'
