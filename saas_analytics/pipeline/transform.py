"""Runs dbt on a warehouse: with the project's settings, and one at a time.

Two dbt at once in one warehouse would use the same names for what they build, so this holds a lock of the warehouse (an
advisory lock in PostgreSQL) for as long as dbt runs; a second one waits and says so. Airflow's tasks come through the
same function, `run_dbt`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import psycopg

from saas_analytics.pipeline import dbt_process
from saas_analytics.pipeline.dbt_process import Listener, Outcome
from saas_analytics.pipeline.failing_rows import keep_failing_rows, masked_text
from saas_analytics.pipeline.lineage import emit_lineage
from saas_analytics.pipeline.node_results import NodeResults
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect, ensure_warehouse

# Key of the advisory lock, in the warehouse's own database, that one transform at a time holds.
_LOCK = 7_222_019
# What dbt's sessions are called. A dbt that is started by hand is called otherwise, and is never taken for a left-over.
APPLICATION_NAME = "transform"
# Limits of dbt's sessions: a statement that hangs ends, one that waits for a lock gives up, and the server looks every
# few seconds whether the client of a long statement is still there.
_SESSION_OPTIONS = {
    "statement_timeout": "2h",
    "lock_timeout": "10min",
    "idle_in_transaction_session_timeout": "30min",
    "client_connection_check_interval": "5s",
}
# Folders of dbt/ whose files make the manifest.
_PROJECT_PARTS = ("models", "macros", "packages", "seeds", "snapshots", "tests")
_PATIENCE = 30_000  # milliseconds in which a terminated session must have ended

# The pool in Airflow whose one slot every task that runs dbt takes.
TRANSFORM_POOL = "transform"


def target_path(settings: Settings) -> Path:
    """Where dbt leaves manifest.json, run_results.json and the compiled models of this warehouse."""
    return settings.root / "dbt" / "target" / settings.database


def dbt_environment(settings: Settings) -> dict[str, str]:
    """What dbt must find in its environment to work in this warehouse."""
    project = settings.root / "dbt"
    return {
        "WAREHOUSE_HOST": settings.host,
        "WAREHOUSE_PORT": str(settings.port),
        "WAREHOUSE_DB": settings.database,
        "WAREHOUSE_TRANSFORMER_PASSWORD": settings.secret("WAREHOUSE_TRANSFORMER_PASSWORD"),
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        # A folder for each warehouse: with one for all, every change of warehouse would parse the project again.
        "DBT_TARGET_PATH": str(target_path(settings)),
        "DBT_LOG_PATH": str(project / "logs"),
        "PYTHON_DOTENV_DISABLED": "1",  # see dbt_process.load; for a dbt that runs as a process of its own
        # Every statement and event, dbt's default, takes a tenth of the time of a build.
        "DBT_LOG_LEVEL_FILE": os.environ.get("DBT_LOG_LEVEL_FILE", "info"),
    }


def run_dbt(
    settings: Settings, arguments: Sequence[str], listeners: Sequence[Listener] = ()
) -> Outcome:
    """Run one dbt command on the warehouse of the settings, which is made with its raw tables where it is missing.

    dbt runs in this process and tells the end of each node to `listeners`. What became of each node is kept in
    quality.dbt_results under `run_id_of_process`, and what dbt prints of it is without personal data. WarehouseError
    where the server ended the session that holds the lock: dbt is stopped then.
    """
    from saas_analytics.landing.execution import (
        prepare,  # Airflow's DAG files import this module, over and over
    )

    ensure_warehouse(settings)
    prepare(settings)
    with (
        _only_transform(settings) as session,
        _environment({**dbt_environment(settings), **_session_environment(settings)}),
    ):
        _end_left_overs(session)
        if not NodeResults.COMMANDS.intersection(arguments):
            return dbt_process.run(arguments, listeners)
        run_id = run_id_of_process()
        kept = NodeResults(session, run_id)
        try:
            with redirect_stdout(_Masked(sys.stdout)):
                outcome = dbt_process.run(arguments, [*listeners, kept.on_node])
        except (KeyboardInterrupt, SystemExit):
            if kept.lost is None:
                raise
            raise WarehouseError(
                f"The session that held the lock of warehouse {settings.database} has ended, so dbt was stopped: "
                f"another one could have begun beside it. {kept.lost}\n"
                "Did the server restart? Run this again; what was built stays."
            ) from kept.lost
        keep_failing_rows(session, run_id, outcome.nodes)
        if outcome.nodes:  # otherwise the files in the target path are those of the run before
            emit_lineage(settings, str(target_path(settings)))
        return outcome


def run_id_of_process() -> str:
    """What the results of this run are kept under: the run in Airflow that started this process, otherwise the process
    and the second. So it is asked once for a run.
    """
    return (
        os.environ.get("PIPELINE_RUN_ID")
        or f"command__{datetime.now(UTC):%Y%m%dT%H%M%S}__{os.getpid()}"
    )


def fingerprint(settings: Settings) -> str:
    """What a build of this warehouse is made from, as a digest: its name, everything landed, the project's files."""
    ensure_warehouse(settings)
    digest = hashlib.sha256(f"{settings.database}\n".encode())
    for path in sorted(_project_files(settings)):
        about = path.stat()
        digest.update(
            f"{path.relative_to(settings.root)} {about.st_size} {about.st_mtime_ns}\n".encode()
        )
    with connect(settings, "transformer", application_name="fingerprint") as session:
        landed = session.execute(
            "select max(load_id), count(superseded_by), sum(rows_read) from raw.loads"
        ).fetchone()
    digest.update(repr(landed).encode())
    return digest.hexdigest()


def built_by(settings: Settings, fingerprint: str) -> str | None:
    """The run that built every model from this, where nothing else has been built since."""
    with connect(settings, "transformer", application_name="fingerprint") as session:
        row = session.execute(
            "select run_id from quality.built where fingerprint = %s", [fingerprint]
        ).fetchone()
    return row[0] if row else None


def record_build(settings: Settings, fingerprint: str) -> None:
    """Keep that every model is built from this: `fingerprint` as it was before the build began."""
    with connect(settings, "transformer", application_name="fingerprint") as session:
        session.execute(
            """
            insert into quality.built (fingerprint, run_id) values (%s, %s)
            on conflict (only_row) do update set
                fingerprint = excluded.fingerprint, run_id = excluded.run_id, built_at = excluded.built_at
            """,
            [fingerprint, run_id_of_process()],
        )


def failed_by(settings: Settings, fingerprint: str) -> str | None:
    """The other run whose build of this failed, the last of all that failed, where this one would fail too.

    A failed test fails again; what else there was may have passed after an hour.
    """
    query = """
        select run_id from quality.failed_build
        where fingerprint = %s and run_id <> %s and (lasts or failed_at > now() - interval '1 hour')
    """
    with connect(settings, "transformer", application_name="fingerprint") as session:
        row = session.execute(query, [fingerprint, run_id_of_process()]).fetchone()
    return row[0] if row else None


def record_failure(settings: Settings, fingerprint: str, *, lasts: bool) -> None:
    """Keep that a build from this failed; `lasts` where it will as long as it is made from the same."""
    with connect(settings, "transformer", application_name="fingerprint") as session:
        session.execute(
            """
            insert into quality.failed_build (fingerprint, run_id, lasts) values (%s, %s, %s)
            on conflict (only_row) do update set
                fingerprint = excluded.fingerprint, run_id = excluded.run_id, lasts = excluded.lasts,
                failed_at = excluded.failed_at
            """,
            [fingerprint, run_id_of_process(), lasts],
        )


def ensure_manifest(settings: Settings) -> Path:
    """dbt's manifest of the project as it is now; made where it is missing or older than a file of the project.

    Needs no database: Airflow's DAG shows the models before the first of them is built.
    """
    manifest = target_path(settings) / "manifest.json"
    made = manifest.stat().st_mtime if manifest.exists() else 0.0
    if any(path.stat().st_mtime > made for path in _project_files(settings)):
        with _environment(dbt_environment(settings)):
            outcome = dbt_process.run(["--quiet", "parse"])
        if not outcome.success:
            raise WarehouseError(
                f"dbt cannot read its project in {settings.root / 'dbt'}: {outcome.error}"
            )
        manifest.touch()  # dbt leaves the file alone where nothing in it changes
    return manifest


def _project_files(settings: Settings) -> list[Path]:
    """Everything that the manifest is made of. Folders too: their time says that a file went."""
    project = settings.root / "dbt"
    return [
        *project.glob("*.yml"),
        *(path for part in _PROJECT_PARTS for path in (project / part).rglob("*")),
    ]


class _Masked:
    """Standard output for dbt, which writes an event at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(masked_text(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _only_transform(settings: Settings) -> Iterator[psycopg.Connection]:
    with connect(
        settings, "transformer", autocommit=True, application_name="transform lock"
    ) as lock:
        if not _try_lock(lock):
            print(
                f"Another transform runs in warehouse {settings.database}: waiting for its end.",
                file=sys.stderr,
            )
            lock.execute("select pg_advisory_lock(%s)", [_LOCK])
        yield lock


def _try_lock(connection: psycopg.Connection) -> bool:
    row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    return bool(row and row[0])


def _end_left_overs(session: psycopg.Connection) -> None:
    """End dbt's sessions that a killed transform left: this one holds the lock, so no other transform is alive."""
    ended = session.execute(
        """
        select pid, pg_terminate_backend(pid, %s), left(query, 80)
        from pg_stat_activity
        where datname = current_database() and usename = current_user and application_name = %s
        """,
        [_PATIENCE, APPLICATION_NAME],
    ).fetchall()
    for pid, has_ended, query in ended:
        print(f"Ended session {pid} of a transform that was killed: {query}", file=sys.stderr)
        if not has_ended:
            raise WarehouseError(
                f"Session {pid} of a transform that was killed does not end: {query}\n"
                "It may be writing to a disk that hangs. Look at the server's log; then run this again."
            )


def _session_environment(settings: Settings) -> dict[str, str]:
    tls = {f"PG{keyword.upper()}": value for keyword, value in settings.tls().items()}
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION_OPTIONS.items())
    return {**tls, "PGAPPNAME": APPLICATION_NAME, "PGOPTIONS": options}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """dbt reads its settings from the environment of the process, which is put back afterwards."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
