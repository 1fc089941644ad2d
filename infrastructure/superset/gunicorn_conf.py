"""gunicorn for Superset: threads that wait for queries, in few processes. The address comes from the environment."""

from __future__ import annotations

import os

bind = os.environ["SUPERSET_BIND"]
wsgi_app = "superset.app:create_app()"
worker_class = "gthread"
workers = 2
threads = 8
timeout = 90  # longer than a query may take
preload_app = False  # connections to the database are not for sharing between processes
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112
accesslog = None
errorlog = "-"
