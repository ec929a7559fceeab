#!/usr/bin/env bash
# Prints the path of a Python of at least 3.11: $PYTHON if set, else the system's own, which every user can start.
set -euo pipefail

for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
done
echo "setup: no Python of at least 3.11 found; name one with PYTHON=/path/to/python3" >&2
exit 1
