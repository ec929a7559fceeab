"""The node's memory budget against what there is."""

from collections.abc import Iterator
from typing import Final

from telerelay.node import memory
from telerelay_endpoint.doctor.findings import Check, Finding

MIB: Final = 1 << 20


def check_memory(budget: int) -> Iterator[Finding]:
    """Whether the node, before it uses up what there is, reaches its `budget` (bytes) and gives some back."""
    check = Check("memory")
    has = memory.available()
    if budget <= has:
        yield check.ok(
            f"the node may use {budget // MIB} of {has // MIB} MiB of memory",
            f"ノードが使えるメモリーは {has // MIB} MiB のうち {budget // MIB} MiB です",
        )
    else:
        fits = memory.default_budget()
        yield check.fail(
            f"memory_budget is {budget // MIB} MiB, there are {has // MIB}: the kernel ends the node before",
            f"memory_budget は {budget // MIB} MiB ですが、メモリーは {has // MIB} MiB です。"
            "上限に達する前にカーネルがノードを強制終了します",
            (f"set memory_budget to {fits} at most", f"memory_budget を {fits} 以下に設定してください"),
        )
