#!/usr/bin/env bash
# Compiles the Rust core and the load driver as they are delivered, into build/release, beside what .venv tests.
set -euo pipefail

cargo build --release --locked --quiet --package telerelay-load
.venv/bin/maturin build --quiet --release --locked --auditwheel skip --manifest-path relay_core/py/Cargo.toml \
    --out build/release/wheels
rm -rf build/release/python
build/uv/bin/uv pip install --quiet --target build/release/python --no-deps --no-config --offline \
    build/release/wheels/telerelay_core-*.whl
