#!/bin/sh
# Makes .venv as uv.lock says: of this project, or of the one in the directory given (infrastructure/superset).
# Gets uv, in the one version that is named here, with pip where it is missing, into .local/uv, which leaves the system's Python as it is (and works where that
# is "externally managed"). Says what it does on stderr; stdout belongs to the command.
set -eu

cd "$(dirname "$0")/.."
project=${1:-.}
[ $# -eq 0 ] || shift # what is left is for uv

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

wanted=uv==0.13.9 # as in the Dockerfiles

# A uv of another version may write another lock file, or not read ours.
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
    python=$(command -v python3 || command -v python) || fail "Python is not installed. Install Python 3.11 or newer."
    echo "$wanted is not installed: getting it with pip, into .local/uv" >&2
    mkdir -p .local
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check --target .local/uv --upgrade "$wanted" >&2 ||
            fail "pip could not install uv. Is the package index reachable? What pip says is above."
    else
        # A Python without pip may still make an environment that has it.
        if ! "$python" -m venv .local/uv >&2 || ! .local/uv/bin/python -m pip install --quiet "$wanted" >&2; then
            fail "$python has neither pip nor venv. Install one of them (Debian: apt install python3-pip), or uv itself."
        fi
    fi
    uv=$(find_uv)
fi

echo "Making the environment $project/.venv with uv" >&2
# Where Python may not keep what it compiles, every command would compile its modules anew: five seconds for dbt alone.
"$uv" sync --frozen --project "$project" ${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} "$@" >&2 ||
    fail "uv could not make $project/.venv; what it says is above. If another user made it, remove it. Then make again."
touch "$project/.venv/.synced"
