"""The health check of a container of Airflow, for the price of one query.

    python -m saas_analytics.stack.health api-server
    python -m saas_analytics.stack.health SchedulerJob      or TriggererJob, DagProcessorJob

Exit code 0 if the api-server answers, or the job has a recent heartbeat.
"""

from __future__ import annotations

import socket
import sys
import urllib.request

import psycopg

from saas_analytics.settings import load_settings

_API = "http://127.0.0.1:8080/api/v2/monitor/health"
_BEATS = """
    select from job
    where job_type = %s and hostname = %s and state = 'running'
        and latest_heartbeat > now() - interval '90 seconds'
"""


def main(name: str) -> int:
    if name == "api-server":
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            _API, timeout=8
        ) as answer:
            return 0 if answer.status == 200 else 1
    settings = load_settings()
    with psycopg.connect(
        host=settings.host,
        port=settings.port,
        dbname="airflow",
        user="airflow",
        password=settings.secret("AIRFLOW_DB_PASSWORD"),
        connect_timeout=8,
    ) as server:
        beats = server.execute(_BEATS, [name, socket.gethostname()]).fetchone() is not None
    if not beats:
        print(f"{name} on {socket.gethostname()} has had no heartbeat for 90 seconds.")
    return 0 if beats else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
