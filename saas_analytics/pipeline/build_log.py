"""The last complete build of a warehouse and the last failed one, each with what it was made from.

A build of the same fingerprint would do nothing, or fail again, so it can be skipped.
"""

from __future__ import annotations

import hashlib

from saas_analytics.pipeline.dbt_project import project_files
from saas_analytics.pipeline.run_id import run_id_of_process
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect, ensure_warehouse

_SESSION = "fingerprint"  # the sessions' application_name


def fingerprint(settings: Settings) -> str:
    """Digest of all that a build depends on: the warehouse's name, its loads, the dbt project."""
    ensure_warehouse(settings)
    digest = hashlib.sha256(f"{settings.database}\n".encode())
    for path in sorted(project_files(settings)):
        file = path.stat()
        name = path.relative_to(settings.root)
        digest.update(f"{name} {file.st_size} {file.st_mtime_ns}\n".encode())
    with connect(settings, "transformer", application_name=_SESSION) as session:
        landed = session.execute(
            "select max(load_id), count(superseded_by), sum(rows_read) from raw.loads"
        ).fetchone()
    digest.update(repr(landed).encode())
    return digest.hexdigest()


def built_by(settings: Settings, fingerprint: str) -> str | None:
    """The run that built every model from this, if nothing else has been built since."""
    with connect(settings, "transformer", application_name=_SESSION) as session:
        row = session.execute(
            "select run_id from quality.built where fingerprint = %s", [fingerprint]
        ).fetchone()
    return row[0] if row else None


def record_build(settings: Settings, fingerprint: str) -> None:
    """Record a complete build. Its fingerprint is the one from before the build began."""
    with connect(settings, "transformer", application_name=_SESSION) as session:
        session.execute(
            """
            insert into quality.built (fingerprint, run_id) values (%s, %s)
            on conflict (only_row) do update set
                fingerprint = excluded.fingerprint,
                run_id = excluded.run_id,
                built_at = excluded.built_at
            """,
            [fingerprint, run_id_of_process()],
        )


def failed_by(settings: Settings, fingerprint: str) -> str | None:
    """The run of the last failed build, if it is another run and would fail again.

    A failed test always fails again. Any other failure may pass after an hour.
    """
    query = """
        select run_id from quality.failed_build
        where fingerprint = %s and run_id <> %s
            and (lasts or failed_at > now() - interval '1 hour')
    """
    with connect(settings, "transformer", application_name=_SESSION) as session:
        row = session.execute(query, [fingerprint, run_id_of_process()]).fetchone()
    return row[0] if row else None


def record_failure(settings: Settings, fingerprint: str, *, lasts: bool) -> None:
    """Record a failed build. With `lasts`, it fails again until the fingerprint changes."""
    with connect(settings, "transformer", application_name=_SESSION) as session:
        session.execute(
            """
            insert into quality.failed_build (fingerprint, run_id, lasts) values (%s, %s, %s)
            on conflict (only_row) do update set
                fingerprint = excluded.fingerprint,
                run_id = excluded.run_id,
                lasts = excluded.lasts,
                failed_at = excluded.failed_at
            """,
            [fingerprint, run_id_of_process(), lasts],
        )
