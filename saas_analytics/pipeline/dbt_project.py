"""The dbt project: its environment, its target folder and its manifest. Needs no database."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from saas_analytics.pipeline import dbt_process
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError

# Folders of dbt/ whose files make the manifest.
_PARTS = ("models", "macros", "packages", "seeds", "snapshots", "tests")


def target_path(settings: Settings) -> Path:
    """Folder of this warehouse's manifest.json, run_results.json and compiled models."""
    return settings.root / "dbt" / "target" / settings.database


def dbt_environment(settings: Settings) -> dict[str, str]:
    """The environment variables that dbt needs to work in this warehouse."""
    project = settings.root / "dbt"
    return {
        "WAREHOUSE_HOST": settings.host,
        "WAREHOUSE_PORT": str(settings.port),
        "WAREHOUSE_DB": settings.database,
        "WAREHOUSE_TRANSFORMER_PASSWORD": settings.secret("WAREHOUSE_TRANSFORMER_PASSWORD"),
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        # With one folder for all warehouses, every change of warehouse would cost a full parse.
        "DBT_TARGET_PATH": str(target_path(settings)),
        "DBT_LOG_PATH": str(project / "logs"),
        # For a dbt that runs as a process of its own; see dbt_process.load.
        "PYTHON_DOTENV_DISABLED": "1",
        # At dbt's default, debug, writing the log takes a tenth of the time of a build.
        "DBT_LOG_LEVEL_FILE": os.environ.get("DBT_LOG_LEVEL_FILE", "info"),
    }


def ensure_manifest(settings: Settings) -> Path:
    """Path of dbt's manifest. It is made again if a file of the project is newer.

    Airflow's DAG shows the models before the first of them is built.
    """
    manifest = target_path(settings) / "manifest.json"
    made = manifest.stat().st_mtime if manifest.exists() else 0.0
    if any(path.stat().st_mtime > made for path in project_files(settings)):
        with environment(dbt_environment(settings)):
            outcome = dbt_process.run(["--quiet", "parse"])
        if not outcome.success:
            raise WarehouseError(
                f"dbt cannot read its project in {settings.root / 'dbt'}: {outcome.error}"
            )
        manifest.touch()  # dbt does not write the file if its content would not change
    return manifest


def project_files(settings: Settings) -> list[Path]:
    """Everything that the manifest is made of. The time of a folder shows a deleted file."""
    project = settings.root / "dbt"
    return [
        *project.glob("*.yml"),
        *(path for part in _PARTS for path in (project / part).rglob("*")),
    ]


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables in the environment of this process, where dbt reads them, for a while."""
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
