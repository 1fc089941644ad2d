"""`make status`: what runs, at which addresses, and how much is in the warehouse."""

from __future__ import annotations

from pathlib import Path

import psycopg

from saas_analytics.console import console, login, print_table
from saas_analytics.layout import Layout
from saas_analytics.settings import LOGINS, Settings, SettingsError, load_settings
from saas_analytics.stack import supervision
from saas_analytics.stack.airflow import ADMIN, airflow_url
from saas_analytics.stack.choice import published_on
from saas_analytics.stack.processes import stack_processes
from saas_analytics.stack.superset import superset_url
from saas_analytics.warehouse import WarehouseError, connect


def status(root: Path) -> bool:
    """Print the state of the embedded stack. Return whether all of it runs."""
    layout = Layout(root)
    programs = supervision.programs(layout)
    if not programs:
        console.print("The stack is not running. `make up` starts it.")
        if layout.postgres.exists() and (orphans := stack_processes(layout)):
            pids = ", ".join(str(process.pid) for process in orphans)
            console.print(f"It has orphans (pid {pids}); `make down` and `make up` end them.")
        return False
    rows = [("process", "state", "pid", "up for", "log")]
    for program in programs:
        state = program.state.lower() + (f" ({program.remark})" if program.remark else "")
        log = str(layout.log(program.name))
        rows.append((program.name, state, str(program.pid or ""), str(program.uptime or ""), log))
    print_table(rows)
    settings = load_settings(root)
    console.print()
    print_addresses(settings)
    print_contents(settings)
    return all(program.state == supervision.RUNNING for program in programs)


def print_addresses(settings: Settings) -> None:
    """Print the addresses of the parts of the stack, and how to log in."""
    print_table(
        [
            ("Airflow", airflow_url(settings), login(settings, ADMIN, "AIRFLOW_ADMIN_PASSWORD")),
            (
                "PostgreSQL",
                f"postgresql://{settings.host}:{settings.port}/{settings.database}",
                login(
                    settings, f"{LOGINS['reporter']} (reads marts)", "WAREHOUSE_REPORTER_PASSWORD"
                ),
            ),
            (
                "Dashboards",
                superset_url(settings),
                "`make dashboards` starts them and prints their users",
            ),
            ("Documentation", docs_url(settings), _docs_note(settings)),
            (
                "Everything else",
                str(settings.root / ".env"),
                "`make psql` opens a session, `make -s env` is for a shell",
            ),
        ]
    )


def print_contents(settings: Settings) -> None:
    """Print the size of the warehouse, its newest landed day, and the days without any data."""
    console.print(_contents(settings), markup=False)


def docs_url(settings: Settings) -> str:
    """The address of the documentation site. SettingsError without a port."""
    if settings.docs_port is None:
        raise SettingsError(
            f"{settings.root / '.env'} has no DOCS_PORT: run `make up`, which adds it."
        )
    return f"http://{published_on(settings)}:{settings.docs_port}"


def _docs_note(settings: Settings) -> str:
    again = " again" if (settings.root / "site").exists() else ""
    return f"`make docs` builds it{again}"


def _contents(settings: Settings) -> str:
    try:
        with connect(settings, "owner") as warehouse:
            (size,) = _one(warehouse, "select pg_size_pretty(pg_database_size(current_database()))")
            if _one(warehouse, "select to_regclass('raw.loads')") == (None,):
                return f"Database {settings.database}: {size}, nothing landed yet"
            (newest,) = _one(
                warehouse, "select max(landed_on) from raw.loads where superseded_by is null"
            )
            (missed,) = _one(warehouse, _MISSED_DAYS)
    except WarehouseError as error:
        return str(error)
    gaps = (
        f"\nDays in between without data (make backfill FROM=... TO=...): {missed}"
        if missed
        else ""
    )
    return f"Database {settings.database}: {size}, newest landed day: {newest or 'none'}{gaps}"


_MISSED_DAYS = """
with landed as (
    select distinct landed_on from raw.loads where origin = 'zone' and superseded_by is null
)
select string_agg(cast(days.day as date)::text, ', ' order by days.day)
from generate_series(
    (select min(landed_on) from landed)::timestamp,
    (select max(landed_on) from landed)::timestamp,
    interval '1 day'
) as days (day)
where cast(days.day as date) not in (select landed_on from landed)
"""


def _one(warehouse: psycopg.Connection, query: str) -> tuple[object, ...]:
    row = warehouse.execute(query).fetchone()
    assert row is not None
    return tuple(row)
