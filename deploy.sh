#!/bin/sh
# Starts the stack in containers: ./deploy.sh dev builds the image here; ./deploy.sh prod starts pinned images, and refuses
# settings that are not fit for production, each with its mend. --check only looks. What it does: saas_analytics/stack/deploy.py
set -eu
cd "$(dirname "$0")"
if [ ! -x .venv/bin/python ] || [ uv.lock -nt .venv/.synced ]; then
    sh infrastructure/setup.sh
fi
exec .venv/bin/python -m saas_analytics.stack.deploy "$@"
