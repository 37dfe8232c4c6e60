# Sourced by the scripts beside it: makes .venv when it is missing or older than pyproject.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ ! -e .venv/installed ] || [ pyproject.toml -nt .venv/installed ]; then
    echo "Preparing .venv (once; about half a minute) ..." >&2
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,demo]'
    touch .venv/installed
fi
