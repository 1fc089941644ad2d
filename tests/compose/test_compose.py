"""The real stack in containers: its permissions, its marts, and the failures that it survives.

`make test-compose` runs these tests in their order: they share one stack.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from saas_analytics.settings import Settings
from saas_analytics.stack.compose import compose_program
from saas_analytics.stack.containers import SET_UP, project_name
from saas_analytics.stack.dotenv import set_value
from tests.conftest import Stack, copy_of_project
from tests.server import running_server
from tests.tls import certificate, tls_front
from tests.warehouse.conftest import Build, built_tables, land_days, rows_of

pytestmark = [pytest.mark.compose]

SERVICES = (
    *(
        "postgres",
        "airflow-api-server",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
    ),
    *("superset", "docs"),
)
DAYS = 4  # landed by hand; the pipeline runs for the day after them
# The numbers of loads depend on the order in which threads finish.
LOAD = frozenset({"_load_id"})
# Without a proxy: the addresses are this machine's.
urlopen = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def inspected(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the engine reports about each container of the stack, by service."""
    label = f"label=com.docker.compose.project={project_name(stack.root)}"
    listed = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", label], capture_output=True, text=True
    )
    found = json.loads(
        subprocess.run(["docker", "inspect", *listed.stdout.split()], capture_output=True).stdout
    )
    return {entry["Config"]["Labels"]["com.docker.compose.service"]: entry for entry in found}


def founded(stack: Stack) -> date:
    day = stack.settings.company_founded
    assert day is not None
    return day


def mart_rows(stack: Stack) -> int:
    with psycopg.connect(stack.settings.dsn("owner")) as warehouse:
        row = warehouse.execute("select count(*) from core.fact_events").fetchone()
    assert row is not None
    return int(row[0])


def wait_for(stack: Stack, service: str, other_than: str) -> None:
    """Wait until the service has restarted since `other_than` and every container is healthy."""
    deadline = time.monotonic() + 300
    while True:
        states = {
            name: entry["State"] for name, entry in inspected(stack).items() if name not in SET_UP
        }
        waiting = [
            name
            for name, state in states.items()
            if state.get("Health", {}).get("Status") != "healthy"
        ]
        if not waiting and states[service]["StartedAt"] != other_than:
            return
        assert time.monotonic() < deadline, (
            f"not healthy 300 s after {service} was killed: {waiting or service}"
        )
        Event().wait(1)


def test_every_container_is_confined(containers: Stack) -> None:
    found = inspected(containers)
    assert set(found) == {*SERVICES, *SET_UP}
    for name, entry in found.items():
        host, user = entry["HostConfig"], entry["Config"]["User"]
        assert user and user.split(":")[0] not in ("0", "root"), name
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"], name
        assert host["ReadonlyRootfs"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0 and host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}, name
        assert not any(mount["Source"] == "/var/run/docker.sock" for mount in entry["Mounts"]), name


def test_a_container_does_not_run_as_root_and_writes_only_where_it_must(
    containers: Stack,
) -> None:
    for name, entry in inspected(containers).items():
        if name in SET_UP:
            continue
        script = (
            "id -u; touch /app/x /x /usr/x 2>/dev/null && echo written; grep CapEff /proc/1/status"
        )
        printed = subprocess.run(
            ["docker", "exec", entry["Id"], "sh", "-c", script], capture_output=True, text=True
        ).stdout
        lines = printed.split()
        assert int(lines[0]) > 0, name
        assert "written" not in lines and lines[-1] == "0000000000000000", name


def test_ports_are_published_on_this_machine_only(containers: Stack) -> None:
    settings = containers.settings
    published = {
        name: [
            (port["HostIp"], int(port["HostPort"]))
            for ports in bindings.values()
            for port in ports or ()
        ]
        for name, entry in inspected(containers).items()
        if (bindings := entry["NetworkSettings"]["Ports"])
    }
    assert {name: ports for name, ports in published.items() if ports} == {
        "postgres": [("127.0.0.1", settings.port)],
        "airflow-api-server": [("127.0.0.1", settings.airflow_port)],
        "superset": [("127.0.0.1", settings.superset_port)],
        "docs": [("127.0.0.1", settings.docs_port)],
    }


def test_only_what_needs_the_database_reaches_it(containers: Stack) -> None:
    project = project_name(containers.root)
    found = {
        name: {
            network.removeprefix(f"{project}_") for network in entry["NetworkSettings"]["Networks"]
        }
        for name, entry in inspected(containers).items()
    }
    assert found.pop("docs") == {"web"}
    assert found.pop("postgres") == found.pop("superset-init") == {"database"}
    assert all(networks == {"database", "web"} for networks in found.values())


def test_no_secret_is_in_the_image(containers: Stack) -> None:
    image = inspected(containers)["airflow-scheduler"]["Image"]
    description = subprocess.run(
        ["docker", "history", "--no-trunc", image], capture_output=True, text=True
    ).stdout
    description += subprocess.run(
        ["docker", "image", "inspect", image], capture_output=True, text=True
    ).stdout
    files = [
        "docker",
        "run",
        "--rm",
        "--entrypoint",
        "ls",
        image,
        "-a",
        "/app",
        "/app/infrastructure",
    ]
    listed = subprocess.run(files, capture_output=True, text=True).stdout.split()
    values = containers.settings.environment().items()
    secrets = [value for key, value in values if key.endswith(("_PASSWORD", "_KEY", "_SECRET"))]
    assert secrets and not any(secret in description for secret in secrets)
    assert ".env.template" in listed and ".env" not in listed and ".git" not in listed


def test_the_marts_are_those_of_a_stack_without_containers(
    containers: Stack, warehouse: Settings, build: Build
) -> None:
    first = founded(containers)
    window = ("--day", str(first), "--days", str(DAYS))
    containers.local("generate", *window)
    containers.local("land", *window)
    assert "ERROR=0" in containers.local("dbt-build").stdout
    last = first + timedelta(days=DAYS)
    assert "success" in containers.local("trigger", "--day", str(last)).stdout

    # The same days with the same seed, generated, landed and built without containers.
    days = ("--day", str(first), "--days", str(DAYS + 1))
    containers.run("data_gen/generate.py", *days, "--out", str(warehouse.landing_zone))
    land_days(warehouse, *(first + timedelta(days=number) for number in range(DAYS + 1)))
    build(warehouse, "run")

    tables = built_tables(warehouse)
    assert {table.partition(".")[0] for table in tables} == {"staging", "core", "marts"}
    differing = [
        table
        for table in tables
        if table.startswith(("core.", "marts."))
        and rows_of(containers.settings, table, LOAD) != rows_of(warehouse, table, LOAD)
    ]
    assert not differing
    assert mart_rows(containers) > 100


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        pytest.param(("status",), "airflow-triggerer", id="status"),
        pytest.param(("status",), "newest landed day", id="contents of the warehouse"),
        pytest.param(
            ("psql", "--sql", "select count(*) as n from marts.mrr"), "(1 row)", id="psql"
        ),
        pytest.param(("env",), "export WAREHOUSE_PORT", id="env"),
        pytest.param(("doctor",), "are healthy", id="doctor"),
        pytest.param(("kpis",), "The newest KPIs", id="kpis"),
        pytest.param(("dbt-test",), "ERROR=0", id="dbt-test"),
    ],
)
def test_the_commands_work_as_without_containers(
    containers: Stack, command: tuple[str, ...], printed: str
) -> None:
    assert printed in containers.local(*command).stdout


def test_the_built_site_is_served(containers: Stack) -> None:
    address = f"http://127.0.0.1:{containers.settings.docs_port}"
    assert f"Served at {address}" in containers.local("docs").stdout
    with urlopen(f"{address}/metric-examples.html") as answer:
        assert answer.read() == (containers.root / "site/metric-examples.html").read_bytes()


def test_a_backfill(containers: Stack) -> None:
    first = founded(containers) + timedelta(days=DAYS + 1)
    done = containers.local(
        "backfill", "--from", str(first), "--to", str(first + timedelta(days=1))
    )
    assert done.stdout.count("success") >= 2


def test_down_and_up_keep_the_data(containers: Stack) -> None:
    before = mart_rows(containers)
    containers.local("down")
    assert (
        subprocess.run(
            [*compose_program(), "ps", "--quiet"],
            cwd=containers.root,
            capture_output=True,
            text=True,
        ).stdout.split()
        == []
    )
    # The fix that ./deploy.sh gives for a weak password: the existing server gets the new one.
    set_value(containers.root, "WAREHOUSE_ADMIN_PASSWORD", "")
    containers.local("dashboards")
    assert mart_rows(containers) == before
    with psycopg.connect(containers.settings.admin_dsn()) as server:
        assert server.info.user == "postgres"


@pytest.mark.parametrize(
    "service",
    [
        service
        if service in ("postgres", "airflow-scheduler")
        else pytest.param(service, marks=pytest.mark.long)
        for service in SERVICES
    ],
)
def test_a_killed_container_comes_back_and_the_next_run_is_green(
    containers: Stack, service: str
) -> None:
    before = inspected(containers)[service]
    # After `docker kill` the container would stay down. Its first process is the engine's init, and
    # the child of that is the program.
    script = "kill -9 $(cat /proc/1/task/1/children)"
    subprocess.run(["docker", "exec", before["Id"], "sh", "-c", script], check=False)

    wait_for(containers, service, other_than=before["State"]["StartedAt"])

    done = containers.local("trigger", "--day", str(founded(containers) + timedelta(days=1)))
    assert "success" in done.stdout


@pytest.fixture
def external_database(containers: Stack, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of a stack with an external PostgreSQL that needs TLS."""
    # The gateway is an address of this machine that containers reach.
    gateway = ["--format", "{{(index .IPAM.Config 0).Gateway}}"]
    inspected_network = subprocess.run(
        ["docker", "network", "inspect", "bridge", *gateway], capture_output=True, text=True
    )
    address = inspected_network.stdout.strip()
    pem = certificate(tmp_path, address)
    with running_server() as server, tls_front(pem, server.port, address) as port:
        yield {
            "WAREHOUSE_HOST": address,
            "WAREHOUSE_PORT": str(port),
            "WAREHOUSE_SSLMODE": "verify-full",
            "WAREHOUSE_SSLROOTCERT": str(pem),
            "WAREHOUSE_ADMIN_PASSWORD": server.secret("WAREHOUSE_ADMIN_PASSWORD"),
        }


@pytest.mark.long
def test_a_second_checkout_goes_to_production_next_to_the_first(
    containers: Stack, external_database: dict[str, str]
) -> None:
    first = inspected(containers)
    with copy_of_project("docker") as other:
        try:
            set_value(other.root, "AIRFLOW_AUTH_MANAGER", "there.is.none")
            refused = other.local("up", check=False)
            assert (
                refused.returncode == 1
                and f"docker logs {project_name(other.root)}" in refused.stderr
            ), refused.stderr
            assert "airflow-api-server" in refused.stderr and "there.is.none" in refused.stderr
            assert project_name(other.root) != project_name(containers.root)
            assert {other.settings.port, other.settings.airflow_port}.isdisjoint(
                {containers.settings.port, containers.settings.airflow_port}
            )
            other.local("clean", "--yes")  # its volumes and its image

            for key, value in {
                "AIRFLOW_AUTH_MANAGER": "fab",
                "STACK_IMAGE": first["airflow-scheduler"]["Image"],
                "SUPERSET_IMAGE": first["superset"]["Image"],
                "STACK_URL": "https://analytics.example.com",
                "SUPERSET_BEHIND_PROXY": "on",
                **external_database,
            }.items():
                set_value(other.root, key, value)
            deployed = subprocess.run(
                ["./deploy.sh", "prod"],
                cwd=other.root,
                env=other.environment,
                capture_output=True,
                text=True,
            )
            assert deployed.returncode == 0, f"{deployed.stdout}\n{deployed.stderr}"
            assert set(inspected(other)) == set(first) - {"postgres", *SET_UP}
            assert "success" in other.local("trigger", "--day", str(founded(other))).stdout
            with urlopen(f"http://127.0.0.1:{other.settings.airflow_port}/auth/login") as page:
                assert b"csrf_token" in page.read()  # the form of the FAB auth manager
        finally:
            other.local("clean", "--yes", check=False)
    assert not inspected_names(other)
    assert {name: entry["State"]["StartedAt"] for name, entry in inspected(containers).items()} == {
        name: entry["State"]["StartedAt"] for name, entry in first.items()
    }


def inspected_names(stack: Stack) -> list[str]:
    """The ids of the stack's containers, volumes and networks that the engine still has."""
    label = f"label=com.docker.compose.project={project_name(stack.root)}"
    kinds = (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
    return [
        name
        for kind in kinds
        for name in subprocess.run(
            ["docker", *kind, "--quiet", "--filter", label], capture_output=True, text=True
        ).stdout.split()
    ]
