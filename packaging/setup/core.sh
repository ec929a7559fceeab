#!/usr/bin/env bash
# Compiles the Rust core and the simulator's binding into .venv, with the profile that cargo test uses.
set -euo pipefail

build/uv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --no-config --offline \
    --reinstall -e relay_core/py -e relay_core/sim/py
