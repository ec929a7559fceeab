"""docs/METRICS.md, made from the table of families: `python -m telerelay.metrics.page FILE` writes it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from telerelay.metrics.families import LABELS, PARTS, PREFIX
from telerelay.metrics.family import Family

_HEAD: Final = """\
# Metrics
What a node tells monitoring at `127.0.0.1:9464/metrics` (setting `metrics_listen`), in the text format of
Prometheus or as OpenMetrics. Made from the table in `python/telerelay/metrics/` by `make metrics`; a test
fails where both differ.

Every name begins with `telerelay_`. Every series stands there from the first scrape, counters at zero. A
scrape costs the same however many sessions there are. No label and no value names a person, a device, a
computer, an organisation or an address. Counters begin anew when the process does; use `rate` or `increase`.

`/healthz` answers 200 while the event loop turns; `/readyz` 503 with the reasons while the node should be
sent nobody. `telerelay top` shows the same numbers to a person.
"""


def page() -> str:
    """The whole page."""
    parts = "".join(f"\n## {heading}\n{_table(families)}" for heading, families in PARTS.items())
    labels = "".join(f"| `{name}` | {values} |\n" for name, values in sorted(LABELS.items()))
    return f"{_HEAD}{parts}\n## Labels\n| label | its values |\n|---|---|\n{labels}"


def _table(families: Sequence[Family]) -> str:
    head = "| name | type | unit | labels | what it is | what to make of it |\n|---|---|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(_cells(family))} |\n" for family in families)


def _cells(family: Family) -> Iterator[str]:
    yield f"`{PREFIX}{family.name}`"
    yield family.kind
    yield family.unit
    yield ", ".join(f"`{label}`" for label in family.labels)
    yield family.help
    yield family.reading


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
