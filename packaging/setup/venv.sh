#!/usr/bin/env bash
# Makes .venv anew from requirements.lock, every file checked against its hash. Anew, because uv never checks again
# what is already installed, and an altered hash must fail.
set -euo pipefail

python=$(packaging/setup/python.sh)
uv=$(packaging/setup/uv.sh "$python")
export UV_PYTHON_DOWNLOADS=never

"$uv" venv --quiet --clear --no-config --python "$python" .venv
"$uv" pip install --quiet --python .venv/bin/python --no-config --require-hashes --no-build -r requirements.lock
