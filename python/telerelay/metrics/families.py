"""Every metric family of a node, in one table: name, meaning, and which numbers of a snapshot it shows.

Names begin with `telerelay_`. No family has a label that could name anybody: label values are codes, reasons,
steps and kinds that are known before anybody comes. So every series stands at zero from the first scrape.
"""

from typing import Final

from telerelay.metrics.data_plane import BYTES, DOOR, LEGS, SET_UP
from telerelay.metrics.house import AUDIT, EXPIRY, PROCESS, PYTHON

PREFIX: Final = "telerelay_"
PARTS: Final = {
    "At the door": DOOR,
    "Legs, requests and sessions": LEGS,
    "What paths carry": BYTES,
    "Set-up": SET_UP,
    "Python and the API": PYTHON,
    "Audit and store": AUDIT,
    "What expires": EXPIRY,
    "The process": PROCESS,
}
"""The families, by the headings of docs/METRICS.md."""
FAMILIES: Final = tuple(family for part in PARTS.values() for family in part)
LABELS: Final = {
    "by": "how bytes are moved: `wrapped` in outer TLS, `copied` through a buffer, `spliced` through a pipe",
    "caller": "whether the caller showed a certificate: `identified`, `anonymous`",
    "certificate": "`node`, `ca`",
    "code": "a code of PROTOCOL.md §13; `UNKNOWN` for one of another version",
    "leg": "whose: `agent`, `client`; `none` where no leg is to blame, or the node cannot tell which",
    "limit": "a name of LIMITS.md",
    "outcome": "`PAIRED`, or a code of PROTOCOL.md §13",
    "path_kind": "`wrapped`: both legs in outer TLS, `mixed`: one of them, `direct`: none",
    "reason": "of a handshake: what was wrong with it; of a path: `done`, `ordered` by the node, `breach` of "
    "the rules, `reset`, `timed_out`, `failed`",
    "rule": "a name of LIMITS.md",
    "state": "`used`: bytes are in it, `free`",
    "step": "of a set-up: `hello`, `connect`, `route`, `claim`, `accept`, `recorded`, `paired`; of what goes "
    "when memory is short: `new`, `idle`, `api`, `ready`",
    "to": "to whom: `client`, `agent`",
    "traffic": "`staff`, or `test` of an organisation that was admitted for a test (`node admit --until`)",
    "version": "of this program",
}
"""What the values of each label are."""
