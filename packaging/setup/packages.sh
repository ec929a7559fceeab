#!/usr/bin/env bash
# Adds this repository's Python packages to .venv as they stand in the working tree.
set -euo pipefail

build/uv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --no-config --offline \
    -e python -e agent -e client -e loadtest
