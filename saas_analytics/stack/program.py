"""What a container of this project's image runs.

    python -m saas_analytics.stack.program init          roles, databases, Airflow's metadata
    python -m saas_analytics.stack.program scheduler     one of Airflow's programs, as this process
    python -m saas_analytics.stack.program COMMAND...    anything else, with Airflow's environment

`init` runs before the other containers. The environment is the one of the embedded stack, except
for the addresses of containers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from saas_analytics.layout import Layout, StackError
from saas_analytics.pipeline.dbt_project import ensure_manifest
from saas_analytics.pipeline.transform import TRANSFORM_POOL
from saas_analytics.settings import Settings, SettingsError, load_settings
from saas_analytics.stack.airflow import (
    TRANSFORM_POOL_DESCRIPTION,
    airflow_environment,
    ensure_fab_admin,
    record_migration,
    recorded_migration,
    wanted_migration,
    write_passwords,
)
from saas_analytics.stack.supervision import AIRFLOW_COMMANDS
from saas_analytics.warehouse import WarehouseError, ensure_cluster, ensure_warehouse

API_SERVER, API_PORT = "airflow-api-server", 8080
_PROGRAMS = {name.removeprefix("airflow-"): command for name, command in AIRFLOW_COMMANDS.items()}


def container_environment(settings: Settings) -> dict[str, str]:
    """Airflow's configuration in a container.

    Airflow listens to the other containers and finds the api-server by its name.
    """
    values = airflow_environment(settings)
    hosts = f"{values['NO_PROXY']},{API_SERVER},{settings.host}"
    return {
        **values,
        "AIRFLOW__API__HOST": "0.0.0.0",
        "AIRFLOW__API__PORT": str(API_PORT),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{API_SERVER}:{API_PORT}/execution/",
        # Only a proxy reaches the published ports. Its requests come from the network's gateway.
        **({"FORWARDED_ALLOW_IPS": "*"} if settings.stack_url else {}),
        "NO_PROXY": hosts,
        "no_proxy": hosts,
    }


def initialise(settings: Settings) -> None:
    """Bring roles, databases, Airflow's metadata and dbt's manifest to the state of this image.

    Safe to repeat.
    """
    layout = Layout(settings.root)
    layout.make_directories()
    ensure_cluster(settings)
    ensure_warehouse(settings)
    write_passwords(settings)
    ensure_manifest(settings)
    version = wanted_migration(settings)
    if recorded_migration(settings) != version:
        _airflow(settings, "db", "migrate")
        _airflow(settings, "pools", "set", TRANSFORM_POOL, "1", TRANSFORM_POOL_DESCRIPTION)
        record_migration(settings, version)
    ensure_fab_admin(settings, {**os.environ, **container_environment(settings)})


def _airflow(settings: Settings, *arguments: str) -> None:
    subprocess.run(
        ["airflow", *arguments], check=True, env={**os.environ, **container_environment(settings)}
    )


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
    except (SettingsError, StackError, WarehouseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(
            f"error: `{' '.join(error.cmd)}` failed with exit code {error.returncode}; see above.",
            file=sys.stderr,
        )
        return 1
    name = arguments[0]
    command = ["airflow", *_PROGRAMS[name]] if name in _PROGRAMS else arguments
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    sys.exit(main())
