"""Airflow's configuration on this machine: environment variables that one function builds."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import quote

import psycopg

from saas_analytics.layout import Layout, StackError, bin_directory
from saas_analytics.pipeline.lineage import NAMESPACE, transport
from saas_analytics.settings import Settings, SettingsError
from saas_analytics.stack.choice import published_on

ADMIN = "admin"
# The pool with one slot in which dbt runs.
TRANSFORM_POOL_DESCRIPTION = "One dbt at a time: two would build under the same names"
FAB_AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


def airflow_url(settings: Settings) -> str:
    if settings.airflow_port is None:
        raise SettingsError(
            f"{settings.root / '.env'} has no AIRFLOW_PORT: run `make up`, which adds it."
        )
    return f"http://{published_on(settings)}:{settings.airflow_port}"


def airflow_environment(settings: Settings) -> dict[str, str]:
    """The environment of Airflow's programs, its command line and its tasks.

    It does not hold the password of the server's superuser.
    """
    layout, url = Layout(settings.root), airflow_url(settings)
    password = quote(settings.secret("AIRFLOW_DB_PASSWORD"), safe="")
    values = {
        # Paths
        "AIRFLOW_HOME": str(layout.airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.root / "airflow/dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.root / "airflow/plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(layout.logs / "airflow"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            layout.logs / "airflow/dag_processor"
        ),
        # Metadata, on the server of the warehouse
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
            f"postgresql+psycopg2://airflow:{password}@{settings.host}:{settings.port}/airflow"
        ),
        # Access, on this machine only
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": settings.stack_url or url,
        "AIRFLOW__API__SECRET_KEY": settings.secret("AIRFLOW_API_SECRET_KEY"),
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.secret("AIRFLOW_JWT_SECRET"),
        "AIRFLOW__CORE__FERNET_KEY": settings.secret("AIRFLOW_FERNET_KEY"),
        **_auth_manager(settings),
        # Tasks
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__PARALLELISM": str(max(4, os.cpu_count() or 1)),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # The default asks the name server, which may hang.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        # A killed task is noticed within a minute; the default is five
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # Lineage, of the tasks that do work
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport(settings)),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": NAMESPACE,
        "AIRFLOW__OPENLINEAGE__DISABLED_FOR_OPERATORS": "dbt_mirrors.operators.DbtMirror",
        # dbt still holds its locks when the process of a task ends; the warning says nothing new
        "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
        "PYTHONUNBUFFERED": "1",  # a task's output reaches its log at once
        # Little load while idle
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
        "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "600",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        # Airflow renames its processes. Their environment must stay readable: it identifies them
        "SPT_NOENV": "1",
        # Airflow calls itself at this address, past any proxy
        "NO_PROXY": ",".join(
            dict.fromkeys([*_words(os.environ.get("NO_PROXY", "")), "127.0.0.1", "localhost"])
        ),
        "PATH": f"{bin_directory()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }
    values["no_proxy"] = values["NO_PROXY"]
    return {**settings.task_environment(), **values}


def _auth_manager(settings: Settings) -> dict[str, str]:
    """The settings of the auth manager.

    simple: one user in a file. fab: users in Airflow's database. Otherwise a team's own class.
    """
    if settings.auth_manager == "simple":
        return {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(
                Layout(settings.root).airflow / "passwords.json"
            ),
        }
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": FAB_AUTH_MANAGER
        if settings.auth_manager == "fab"
        else settings.auth_manager,
        "AIRFLOW__FAB__ENABLE_PROXY_FIX": str(settings.stack_url is not None),
    }


def write_passwords(settings: Settings) -> None:
    """Write the file from which Airflow's SimpleAuthManager reads the password of its user."""
    path = Layout(settings.root).airflow / "passwords.json"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps({ADMIN: settings.secret("AIRFLOW_ADMIN_PASSWORD")}) + "\n")


def wanted_migration(settings: Settings) -> str:
    """The state that Airflow's metadata must be in.

    This is Airflow's version, with the auth manager and its version where it has tables there.
    """
    version = importlib.metadata.version("apache-airflow-core")
    if settings.auth_manager == "simple":
        return version
    provider = importlib.metadata.version("apache-airflow-providers-fab")
    return f"{version} {settings.auth_manager} {provider}"


def ensure_fab_admin(settings: Settings, environment: Mapping[str, str]) -> None:
    """Make sure that the FAB auth manager has the user `admin` with the password of `.env`.

    `environment` is the one of Airflow's command line. Does nothing for other auth managers.
    """
    if settings.auth_manager != "fab":
        return
    from werkzeug.security import check_password_hash  # only FAB has it

    with psycopg.connect(settings.admin_dsn("airflow")) as server:
        known = server.execute(
            "select password from ab_user where username = %s", [ADMIN]
        ).fetchone()
    if known and check_password_hash(known[0], settings.secret("AIRFLOW_ADMIN_PASSWORD")):
        return
    # The password goes to stdin: other users of this machine can read a command line.
    done = subprocess.run(
        [sys.executable, "-c", _ENSURE_ADMIN],
        cwd=settings.root,
        env=dict(environment),
        input=settings.secret("AIRFLOW_ADMIN_PASSWORD"),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise StackError(
            f"Airflow's user {ADMIN} could not be created or given its password:\n"
            f"{done.stderr[-2000:]}"
        )


_ENSURE_ADMIN = f"""
import sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    manager = builder.sm
    password = sys.stdin.read()
    if known := manager.find_user("{ADMIN}"):
        manager.reset_password(known.id, password)
    elif not manager.add_user(
        "{ADMIN}", "Stack", "Administrator", "{ADMIN}@localhost",
        manager.find_role("Admin"), password,
    ):
        sys.exit("add_user refused")
"""


def recorded_migration(settings: Settings) -> str | None:
    """The state that the last migration of the metadata recorded; None if there was none."""
    with psycopg.connect(settings.admin_dsn()) as server:
        row = server.execute(
            "select shobj_description(oid, 'pg_database') from pg_database"
            " where datname = 'airflow'"
        ).fetchone()
    return row[0] if row else None


def record_migration(settings: Settings, version: str) -> None:
    """Store the state of the metadata as the comment of their database."""
    with psycopg.connect(settings.admin_dsn()) as server:
        server.execute(
            psycopg.sql.SQL("comment on database airflow is {}").format(
                psycopg.sql.Literal(version)
            )
        )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
