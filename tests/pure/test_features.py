"""No product has what only tests need: bugs put in on purpose (`mutants`), agents without guard (`open`)."""

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEELS = ("relay_core/py", "relay_core/sim/py")


def built_with(feature: str, edges: str, *of: str) -> set[str]:
    """The crates that are built with the feature for these packages, over dependencies of these kinds."""
    command = ("cargo", "tree", *of, "--locked", "--offline", "--edges", edges)
    tree = subprocess.run(
        [*command, "--prefix", "none", "--format", "{p}|{f}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    crates = [line.split("|") for line in tree.stdout.splitlines() if line]
    assert any(crate.startswith("telerelay-core ") for crate, _ in crates)
    return {crate.split()[0] for crate, features in crates if feature in features.split(" ")[0].split(",")}


def test_no_crate_is_built_with_mutants() -> None:
    assert built_with("mutants", "normal,build", "--workspace") == set()


def test_the_simulators_tests_are() -> None:
    machines = {"telerelay-outer", "telerelay-session", "telerelay-sim"}
    assert built_with("mutants", "normal,build,dev", "--workspace") == machines


def test_the_core_is_built_without_open_agents() -> None:
    assert built_with("open", "normal,build", "--package", "telerelay-core") == set()
    with_it = ("--package", "telerelay-core", "--features", "open")
    assert built_with("open", "normal,build", *with_it) == {"telerelay-core", "telerelay-endpoint"}


@pytest.mark.parametrize("feature", ["mutants", "open"])
def test_no_wheel_asks_for_what_is_for_tests(feature: str) -> None:
    for folder in WHEELS:
        wheel = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["tool"]["maturin"]
        assert not any(feature in asked for asked in wheel.get("features", []))
        assert not any(feature in argument for argument in wheel.get("cargo-extra-args", []))
    release = (ROOT / "packaging/setup/release.sh").read_text()
    assert "--features" not in release
    assert "MATURIN_PEP517_ARGS" not in release
