#!/bin/sh
# Starts the stack in containers: ./deploy.sh dev builds the images here; ./deploy.sh prod starts
# pinned images, refuses unsafe settings and prints the fix of each. --check starts nothing.
# The code is in saas_analytics/stack/deploy.py.
set -eu
cd "$(dirname "$0")"
if [ ! -x .venv/bin/python ] || [ uv.lock -nt .venv/.synced ]; then
    sh infrastructure/setup.sh
fi
exec .venv/bin/python -m saas_analytics deploy "$@"
