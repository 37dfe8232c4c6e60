# Sourced by scripts that need Debian's packages: `packages NAME ...` installs them, or says what is missing.
# Steps of .ci/run that go on beside each other take turns.
packages() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing: apt-get install $*" >&2
        exit 2
    fi
    (
        flock 9
        apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "$@" >&2
    ) 9>.venv/packages.lock
}
