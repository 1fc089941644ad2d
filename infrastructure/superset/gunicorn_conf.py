"""gunicorn for Superset: few processes, with threads that wait for queries.

The address comes from the environment.
"""

from __future__ import annotations

import os

bind = os.environ["SUPERSET_BIND"]
wsgi_app = "superset.app:create_app()"
worker_class = "gthread"
workers = 2
threads = 8
timeout = 90  # longer than a query may take
preload_app = False  # processes cannot share connections to the database
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112
accesslog = None
errorlog = "-"
