#!/usr/bin/env bash
# Compiles the whole workspace once, with the profile of cargo test, and puts the three bindings beside their Python sources. Once:
# Maturin would resolve the features of each binding anew, and most crates would be compiled again for each of them. The core has
# the feature `open` here, agents without a guard, which the tests need in front of desktops that are plain byte streams; a wheel
# never has it.
set -euo pipefail

cargo build --workspace --locked --quiet --features telerelay-core/open

# As a new file: programs that run keep the one that they have loaded.
place() {
    install "${CARGO_TARGET_DIR:-target}/debug/lib$2.so" "$1/$2.abi3.so"
}

place relay_core/py/python/telerelay_core _core
place relay_core/load/py/python/telerelay_generator _generator
place relay_core/sim/py/python/telerelay_sim _sim
