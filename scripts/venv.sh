# Sourced by the scripts beside it: makes .venv when it is missing or older than pyproject.toml.
# With `needs=demo` before it, it installs only what the demo runs: a third less to wait for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

needs=${needs:-dev,demo}
for made in .venv/installed ".venv/installed-$needs"; do  # the first is of everything
    [ ! -e "$made" ] || [ pyproject.toml -nt "$made" ] || needs=
done
if [ -n "$needs" ]; then
    echo "Preparing .venv (once; about half a minute) ..." >&2
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$needs]"
    if [ "$needs" = demo ]; then touch .venv/installed-demo; else touch .venv/installed; fi
fi
unset needs made
