"""What a container of this project's image runs.

    python -m infrastructure.containers.program init          roles, databases, Airflow's metadata; before the others
    python -m infrastructure.containers.program scheduler     one of Airflow's programs, in place of this process
    python -m infrastructure.containers.program COMMAND...    anything else, with Airflow's environment

The environment is that of the embedded stack, but for the addresses that containers have.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Sequence

from infrastructure.local.airflow import airflow_environment, migrated_to, note_migration, write_passwords
from infrastructure.local.layout import Layout
from infrastructure.local.supervision import AIRFLOW_COMMANDS
from infrastructure.settings import Settings, SettingsError, load_settings
from infrastructure.transform import TRANSFORM_POOL, ensure_manifest
from infrastructure.warehouse import WarehouseError, ensure_cluster, ensure_warehouse

API_SERVER, API_PORT = "airflow-api-server", 8080
_PROGRAMS = {name.removeprefix("airflow-"): command for name, command in AIRFLOW_COMMANDS.items()}


def container_environment(settings: Settings) -> dict[str, str]:
    """Airflow's configuration in a container: it listens to the others, and finds the api-server by its name."""
    values = airflow_environment(settings)
    hosts = f"{values['NO_PROXY']},{API_SERVER},{settings.host}"
    return {
        **values,
        "AIRFLOW__API__HOST": "0.0.0.0",
        "AIRFLOW__API__PORT": str(API_PORT),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{API_SERVER}:{API_PORT}/execution/",
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }


def initialise(settings: Settings) -> None:
    """Bring roles, databases, Airflow's metadata and dbt's manifest to the state of this image. Safe to repeat."""
    layout = Layout(settings.root)
    layout.make_directories()
    ensure_cluster(settings)
    ensure_warehouse(settings)
    write_passwords(settings)
    ensure_manifest(settings)
    version = importlib.metadata.version("apache-airflow-core")
    if migrated_to(settings) == version:
        return
    _airflow(settings, "db", "migrate")
    _airflow(settings, "pools", "set", TRANSFORM_POOL, "1", "One dbt at a time: two would build under the same names")
    note_migration(settings, version)


def _airflow(settings: Settings, *arguments: str) -> None:
    subprocess.run(["airflow", *arguments], check=True, env={**os.environ, **container_environment(settings)})


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(__doc__)
        return 2
    try:
        settings = load_settings()
        if arguments == ["init"]:
            initialise(settings)
            return 0
        environment = {**os.environ, **container_environment(settings)}
    except (SettingsError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: `{' '.join(error.cmd)}` ended with exit code {error.returncode}; see above.", file=sys.stderr)
        return 1
    name = arguments[0]
    command = ["airflow", *_PROGRAMS[name]] if name in _PROGRAMS else arguments
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    sys.exit(main())
