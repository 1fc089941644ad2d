#!/bin/sh
# Creates .venv from uv.lock, for this project or for the one in a given directory
# (infrastructure/superset). If uv is missing in the version below, pip installs it into .local/uv.
# This leaves the system's Python unchanged, and also works if that is "externally managed".
# Messages go to stderr; stdout belongs to the command.
set -eu

cd "$(dirname "$0")/.."
project=${1:-.}
[ $# -eq 0 ] || shift # the other arguments are for uv

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

wanted=uv==0.13.9 # as in the Dockerfiles

# Another version of uv may write another lock file, or not read this one.
find_uv() {
    for found in "$(command -v uv)" "$PWD/.local/uv/bin/uv"; do
        if [ -x "$found" ] && [ "uv==$("$found" --version | cut -d ' ' -f 2)" = "$wanted" ]; then
            printf '%s\n' "$found"
            return
        fi
    done
}

uv=$(find_uv)
if [ -z "$uv" ]; then
    python=$(command -v python3 || command -v python) ||
        fail "Python is not installed. Install Python 3.11 or newer."
    echo "$wanted is not installed: pip installs it into .local/uv" >&2
    mkdir -p .local
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check --target .local/uv \
            --upgrade "$wanted" >&2 ||
            fail "pip could not install uv. Is the package index reachable? See its output above."
    else
        # A Python without pip may still create an environment that has it.
        if ! "$python" -m venv .local/uv >&2 ||
            ! .local/uv/bin/python -m pip install --quiet "$wanted" >&2; then
            fail "$python has neither pip nor venv.\
 Install one of them (Debian: apt install python3-pip), or uv itself."
        fi
    fi
    uv=$(find_uv)
fi

echo "Creating the environment $project/.venv with uv" >&2
# If Python may not store bytecode, every command would compile its modules again, which takes five
# seconds for dbt. So uv compiles them once.
"$uv" sync --frozen --project "$project" ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} "$@" >&2 ||
    fail "uv could not create $project/.venv. See its output above.\
 If the directory belongs to another user, remove it and try again."
touch "$project/.venv/.synced"
