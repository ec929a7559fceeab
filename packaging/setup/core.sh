#!/usr/bin/env bash
# Compiles the Rust core and the bindings of load generator and simulator into .venv, with the profile that cargo test uses, and
# the load driver. The core has the feature `open` here, agents without a guard, which the tests need in front of desktops that
# are plain byte streams; a wheel never has it.
set -euo pipefail

install() {
    build/uv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --no-config --offline \
        --reinstall -e "$1"
}

MATURIN_PEP517_ARGS="--features open" install relay_core/py
install relay_core/load/py
# Chosen together with that binding: for the driver alone, macros would have other features, and everything be compiled anew.
cargo build --locked --quiet --package telerelay-generator --package telerelay-load --bin telerelay-load
install relay_core/sim/py
