#!/usr/bin/env bash
# Resolves the dependencies of all packages and tools for every platform into requirements.lock, with a hash for
# every file and without the address of any index.
set -euo pipefail

build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
    --group dev --no-emit-package telerelay-core --no-emit-package telerelay-generator --no-emit-package telerelay \
    relay_core/py/pyproject.toml python/pyproject.toml agent/pyproject.toml client/pyproject.toml loadtest/pyproject.toml \
    -o requirements.lock
