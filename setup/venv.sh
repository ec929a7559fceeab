#!/usr/bin/env bash
# Makes .venv anew from requirements.lock, every file checked against its hash, then adds the workspace's packages
# as they stand in the working tree. Anew, because uv trusts what is already installed: an altered hash must fail.
# usage: setup/venv.sh
set -euo pipefail

python=$(setup/python.sh)
uv=$(setup/uv.sh "$python")
export UV_PYTHON_DOWNLOADS=never
unset VIRTUAL_ENV CONDA_PREFIX

"$uv" venv --quiet --clear --no-config --python "$python" .venv
"$uv" pip install --quiet --python .venv/bin/python --require-hashes --no-build --no-config -r requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --no-config --offline \
    -e python -e agent -e client
