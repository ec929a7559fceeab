#!/usr/bin/env bash
# Adds this repository's Python packages to .venv as they stand in the working tree.
set -euo pipefail

build/uv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --no-config --offline \
    -e python -e agent -e client -e loadtest

# Those with a binding, which core.sh compiles, are only looked up where they lie.
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$PWD"/relay_core/{py,load/py,sim/py}/python >"$packages/telerelay_bindings.pth"
