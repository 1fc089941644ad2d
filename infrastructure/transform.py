"""Runs dbt on a warehouse: with the project's settings, and one at a time.

    python -m infrastructure.transform build [dbt's options]
    python -m infrastructure.transform test --select marts

Two dbt processes at once in one warehouse would use the same names for what they build, so this holds a lock of the
warehouse (an advisory lock in PostgreSQL) for as long as dbt runs; a second one waits and says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from data_gen.landing.command import prepare
from infrastructure.settings import Settings, SettingsError, load_settings
from infrastructure.warehouse import WarehouseError, connect

# Key of the advisory lock, in the warehouse's own database, that one transform at a time holds.
_LOCK = 7_222_019


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
    }


def run_dbt(settings: Settings, arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run one dbt command on the warehouse of the settings, which is made with its raw tables where it is missing.

    Returns dbt's exit code.
    """
    prepare(settings)
    with _only_transform(settings):
        dbt = subprocess.Popen(
            [str(Path(sys.executable).with_name("dbt")), *arguments],
            env={**environment, **dbt_environment(settings)},
            cwd=settings.root / "dbt",
        )
        try:
            return dbt.wait()
        except KeyboardInterrupt:
            dbt.wait()  # Ctrl-C has reached dbt too; it cancels its queries and ends
            raise
        except BaseException:
            dbt.send_signal(signal.SIGINT)
            dbt.wait()
            raise


@contextmanager
def _only_transform(settings: Settings) -> Iterator[None]:
    with connect(settings, "transformer", autocommit=True, application_name="transform lock") as lock:
        if not _try_lock(lock):
            print(f"Another transform runs in warehouse {settings.database}: waiting for its end.", file=sys.stderr)
            lock.execute("select pg_advisory_lock(%s)", [_LOCK])
        yield


def _try_lock(connection: psycopg.Connection) -> bool:
    row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    return bool(row and row[0])


def _stop(number: int, frame: object) -> None:
    """Ends this process by an exception, so that dbt is not left running without the lock."""
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _stop)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    try:
        return run_dbt(load_settings(), arguments)
    except (SettingsError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What was built stays; the same command goes on from there.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
