"""`make -s env`: `export` lines for a shell that runs the project's commands by hand."""

from __future__ import annotations

import os
import shlex

from saas_analytics.layout import bin_directory
from saas_analytics.pipeline.dbt_project import dbt_environment
from saas_analytics.settings import LOGINS, Settings
from saas_analytics.stack.airflow import ADMIN, airflow_environment, airflow_url
from saas_analytics.stack.postgres import binaries


def shell_environment(settings: Settings) -> dict[str, str]:
    """The environment of psql, Airflow, dbt and the commands of this project.

    psql connects as warehouse_owner.
    """
    return {
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": LOGINS["owner"],
        "PGPASSWORD": settings.secret("WAREHOUSE_OWNER_PASSWORD"),
        "PGDATABASE": settings.database,
        **settings.tls_environment(),
        "AIRFLOW_URL": airflow_url(settings),
        "AIRFLOW_USER": ADMIN,
        "AIRFLOW_PASSWORD": settings.secret("AIRFLOW_ADMIN_PASSWORD"),
        "VIRTUAL_ENV": str(bin_directory().parent),
        **dbt_environment(settings),
        **airflow_environment(settings),
    }


def export_lines(settings: Settings) -> str:
    """The lines that set `shell_environment` in a shell."""
    values = shell_environment(settings)
    # PATH has PostgreSQL's commands too: pg_dump of another version refuses this server.
    ours = values.pop("PATH").removesuffix(os.environ.get("PATH", os.defpath))
    path = f"{ours}{binaries() / 'bin'}{os.pathsep}"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join([*lines, f'export PATH={shlex.quote(path)}"$PATH"'])
