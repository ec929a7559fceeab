"""requirements.lock pins every file by its hash, names no host, and one altered hash stops the setup."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def requirement(name: str) -> str:
    """The lines of one package: its pin and its hashes."""
    found = re.search(rf"^{name}==(?:.*\\\n)+.*\n", LOCK, re.MULTILINE)
    assert found is not None
    return found[0]


def install(lock: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Install `lock` into the new `folder` as venv.sh does, with nothing from an earlier run."""
    folder.mkdir()
    file = folder / "requirements.lock"
    file.write_text(lock)
    setup = (ROOT / "packaging/setup/venv.sh").read_text()
    options = re.search(r"pip install .*?(--require-hashes.*?) -r requirements\.lock", setup)
    assert options is not None
    uv = (ROOT / "build/uv/bin/uv", "pip", "install", "--no-config", "--no-cache", "--no-deps")
    return subprocess.run(
        [*uv, *options[1].split(), "--target", folder / "site", "-r", file],
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_altered_hash_fails_the_setup(tmp_path: Path) -> None:
    # One wheel for every platform and one source archive: a hash each, and only the wheel is ever installed.
    lock = requirement("sortedcontainers")
    first, second = HASH.findall(lock)
    assert install(lock, tmp_path / "true").returncode == 0
    without_first = install(lock.replace(first, first[::-1]), tmp_path / "first")
    without_second = install(lock.replace(second, second[::-1]), tmp_path / "second")
    failed = without_first if without_first.returncode else without_second
    assert sorted(bool(outcome.returncode) for outcome in (without_first, without_second)) == [False, True]
    assert "hash" in failed.stderr.lower()


def test_every_requirement_has_a_hash_and_no_address() -> None:
    pins = re.findall(r"^[a-z].*==.*", LOCK, re.MULTILINE)
    assert len(pins) > 40
    for pin in pins:
        assert HASH.search(requirement(re.escape(pin.split("==")[0]))), pin
    assert "://" not in LOCK
    assert "--index-url" not in LOCK
    assert "--find-links" not in LOCK
