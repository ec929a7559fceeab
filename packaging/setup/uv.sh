#!/usr/bin/env bash
# Puts the pinned uv into build/uv, checked against the hashes of requirements.lock, and prints its path.
# usage: packaging/setup/uv.sh PYTHON
set -euo pipefail

python=$1
uv=build/uv/bin/uv
pin=build/uv/requirement.txt

mkdir -p build
wanted=$(awk '/^uv==/ {inside = 1} inside && !/^ *#/ {print} inside && !/\\$/ {exit}' requirements.lock)
if [ -x "$uv" ] && [ "$(cat "$pin" 2>/dev/null)" = "$wanted" ]; then
    echo "$uv"
    exit 0
fi

rm -rf build/uv
if ! "$python" -m venv build/uv >&2; then
    echo "setup: $python has no venv module (Debian: apt-get install python3-venv)" >&2
    exit 1
fi
printf '%s\n' "$wanted" >"$pin"
build/uv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes --no-deps --only-binary :all: -r "$pin" >&2
echo "$uv"
