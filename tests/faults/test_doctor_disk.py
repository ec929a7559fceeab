"""What `doctor` says of a disk that is nearly full and of one that is read-only."""

import subprocess
from pathlib import Path

import pytest

from tests.kit.doctor import examine_node
from tests.kit.node import NodeProcess


@pytest.mark.parametrize(("size", "result"), [("64m", "fail"), ("512m", "warn")])
def test_little_room_is_measured(tmp_path: Path, size: str, result: str) -> None:
    node = NodeProcess(tmp_path)
    node.data.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", node.data], check=True)
    try:
        found = examine_node(node)
    finally:
        subprocess.run(["umount", node.data], check=True)
    assert f"{size.removesuffix('m')} MiB are free at {node.data}" in found.sentence("disk", result)


def test_a_read_only_store_is_named(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        pass
    subprocess.run(["mount", "--bind", node.data, node.data], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", node.data], check=True)
        found = examine_node(node)
    finally:
        subprocess.run(["umount", node.data], check=True)
    assert found.failed() == {"disk", "store"}
    assert f"{node.data} cannot be written | findmnt -T {node.data}" in found.sentence("store", "fail")
