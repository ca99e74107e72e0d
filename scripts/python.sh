#!/bin/sh
# Runs its arguments with a Python that Claviger can live on: `scripts/python.sh -m scripts.environment examples`.
# The clone's own environment first; else the first of the usual names that is new enough, best with venv complete.
set -eu
cd "$(dirname "$0")/.."

usable() { "$1" -c "import sys; $2; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; }

candidates=".venv/bin/python ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python"
for needs in "import ensurepip, venv" "pass"; do
    for python in $candidates; do
        if usable "$python" "$needs"; then exec "$python" "$@"; fi
    done
done

echo "Claviger needs Python 3.11 or newer; found: $(python3 --version 2>&1 || true)" >&2
if command -v apt-get >/dev/null; then
    echo "Fix: apt-get install python3 python3-venv, or name one: make PYTHON=/path/to/python3.12 ..." >&2
else
    echo "Fix: install it (macOS: brew install python@3.13), or name one: make PYTHON=/path/to/python3.12 ..." >&2
fi
exit 1
