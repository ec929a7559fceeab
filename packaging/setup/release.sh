#!/usr/bin/env bash
# Compiles the Rust core, the load driver and the load generator as they are delivered, into build/release, beside what .venv
# tests.
set -euo pipefail

cargo build --release --locked --quiet --package telerelay-load
for binding in relay_core/py relay_core/load/py; do
    .venv/bin/maturin build --quiet --release --locked --auditwheel skip --manifest-path $binding/Cargo.toml \
        --out build/release/wheels
done
rm -rf build/release/python
build/uv/bin/uv pip install --quiet --target build/release/python --no-deps --no-config --offline \
    build/release/wheels/telerelay_{core,generator}-*.whl
