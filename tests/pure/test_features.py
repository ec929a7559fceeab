"""Bugs that are compiled in on purpose stay with the simulator: no product has the feature `mutants`."""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def with_mutants(edges: str) -> set[str]:
    """The crates of this workspace that are built with the feature, over dependencies of these kinds."""
    command = ("cargo", "tree", "--workspace", "--locked", "--offline", "--edges", edges)
    tree = subprocess.run(
        [*command, "--prefix", "none", "--format", "{p}|{f}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    crates = [line.split("|") for line in tree.stdout.splitlines() if line]
    assert any(crate.startswith("telerelay-core ") for crate, _ in crates)
    return {crate.split()[0] for crate, features in crates if "mutants" in features.split(" ")[0].split(",")}


def test_no_crate_is_built_with_mutants() -> None:
    assert with_mutants("normal,build") == set()


def test_the_simulators_tests_are() -> None:
    machines = {"telerelay-outer", "telerelay-session", "telerelay-sim"}
    assert with_mutants("normal,build,dev") == machines


def test_no_wheel_asks_for_mutants() -> None:
    for folder in ("relay_core/py", "relay_core/sim/py"):
        wheel = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["tool"]["maturin"]
        assert not any("mutants" in feature for feature in wheel.get("features", []))
        assert not any("mutants" in argument for argument in wheel.get("cargo-extra-args", []))
