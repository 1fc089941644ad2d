"""Creates roles and warehouses on the PostgreSQL server; safe to repeat.

The SQL is in infrastructure/postgres.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
from psycopg import sql

from saas_analytics.errors import AnalyticsError
from saas_analytics.settings import (
    LOGINS,
    PROJECT_ROOT,
    Role,
    Settings,
)
from saas_analytics.settings_table import database_name

SQL_DIRECTORY = PROJECT_ROOT / "infrastructure/postgres"
# Key of the advisory lock (in database `postgres`) under which databases are created. The number is
# arbitrary, and no other program uses it.
_LOCK = 7_222_018
_OLDEST_SERVER = 180_000
# Programs with their own data on the server: each owns a database, and both have its name.
APPLICATIONS = ("airflow", "superset")


class WarehouseError(AnalyticsError):
    """The warehouse cannot be reached or created. The message says what to do."""


def connect(
    settings: Settings,
    role: Role,
    database: str | None = None,
    *,
    autocommit: bool = False,
    application_name: str | None = None,
) -> psycopg.Connection:
    """A connection as `role`. WarehouseError says which server did not answer, and why."""
    return _connect(
        settings.dsn(role, database, application_name=application_name), autocommit=autocommit
    )


def ensure_warehouse(settings: Settings, database: str | None = None) -> None:
    """Create the warehouse `database` (default: the one of the settings), or bring it up to date.

    Its schemas, rights and tables get the state of the SQL files. Nothing is done if they have it.
    """
    name = database or settings.database
    try:
        database_name(name)
    except ValueError:
        raise WarehouseError(
            f"{name!r} cannot be the name of a warehouse. Use lower-case letters, digits and _."
        ) from None
    try:
        scripts = [path.read_text(encoding="utf-8") for path in warehouse_scripts()]
    except FileNotFoundError as error:
        raise WarehouseError(
            f"{error.filename} does not exist: this is not a checkout of the project. Go to one, or"
            " set ANALYTICS_STACK_ROOT to it."
        ) from None
    mark = f"warehouse {hashlib.sha256(chr(0).join(scripts).encode()).hexdigest()[:16]}"
    with connect(
        settings, "owner", "postgres", autocommit=True, application_name="ensure_warehouse"
    ) as server:
        check_version(server)
        if _comment(server, name) == mark:
            return
        # Held until the connection closes: a second one waits, and then finds the mark.
        server.execute("select pg_advisory_lock(%s)", [_LOCK])
        if _comment(server, name) == mark:
            return
        _create_database(server, name, owner=LOGINS["owner"])
        with connect(settings, "owner", name, application_name="ensure_warehouse") as warehouse:
            for script in scripts:
                warehouse.execute(script)
            warehouse.execute(
                sql.SQL("comment on database {} is {}").format(
                    sql.Identifier(name), sql.Literal(mark)
                )
            )


def check_version(connection: psycopg.Connection) -> None:
    """WarehouseError if the server is older than the oldest version that lands without a loss.

    Before PostgreSQL 18, a line \\. alone ends a COPY of CSV, and the rest is skipped.
    """
    version = connection.info.server_version
    if version < _OLDEST_SERVER:
        raise WarehouseError(
            f"PostgreSQL at {connection.info.host}:{connection.info.port} has version"
            f" {version // 10_000}, and this needs {_OLDEST_SERVER // 10_000} or newer. Upgrade the"
            " server, or set WAREHOUSE_HOST and WAREHOUSE_PORT to a newer one."
        )


def ensure_cluster(settings: Settings) -> None:
    """Create the roles with the passwords of the settings, and the applications' databases."""
    passwords = {
        login: settings.secret(f"WAREHOUSE_{role.upper()}_PASSWORD")
        for role, login in LOGINS.items()
    }
    passwords |= {name: settings.secret(f"{name.upper()}_DB_PASSWORD") for name in APPLICATIONS}
    with _connect(settings.admin_dsn(), autocommit=True) as server:
        server.execute("select pg_advisory_lock(%s)", [_LOCK])
        for login, password in passwords.items():
            # Hashed here: a server may log statements, so none may have a password.
            verifier = server.pgconn.encrypt_password(
                password.encode(), login.encode(), b"scram-sha-256"
            ).decode()
            server.execute("select set_config(%s, %s, false)", [f"stack.{login}", verifier])
        with server.transaction():
            server.execute((SQL_DIRECTORY / "cluster.sql").read_text(encoding="utf-8"))
        for name in APPLICATIONS:
            _create_database(server, name, owner=name)
            server.execute(
                sql.SQL("revoke all on database {} from public").format(sql.Identifier(name))
            )


def warehouse_scripts() -> list[Path]:
    """The SQL files of a warehouse, in the order of their execution."""
    return [SQL_DIRECTORY / name for name in ("warehouse.sql", "raw.sql", "reporting.sql")]


def _connect(dsn: str, *, autocommit: bool) -> psycopg.Connection:
    try:
        return psycopg.connect(dsn, autocommit=autocommit)
    except psycopg.OperationalError as error:
        where = psycopg.conninfo.conninfo_to_dict(dsn)
        reason = " ".join(str(error).rpartition("failed: ")[2].split())
        if "password authentication" in reason:
            advice = "The server has other passwords than .env: `make up` gives it those of .env."
        elif "FATAL" in reason:
            advice = "The server runs, and refused this."
        else:
            advice = "Is the stack running? `make status` shows it, `make up` starts it."
        raise WarehouseError(
            f"No connection to PostgreSQL at {where['host']}:{where['port']}, "
            f"database {where['dbname']}, as {where['user']}: {reason}\n{advice}"
        ) from error


def _comment(server: psycopg.Connection, database: str) -> str | None:
    row = server.execute(
        "select shobj_description(oid, 'pg_database') from pg_database where datname = %s",
        [database],
    ).fetchone()
    return row[0] if row else None


def _create_database(server: psycopg.Connection, name: str, owner: str) -> None:
    if server.execute("select from pg_database where datname = %s", [name]).fetchone() is None:
        server.execute(
            sql.SQL("create database {} owner {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
