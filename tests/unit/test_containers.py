"""The environment of containers, and commands that use them; no Docker engine is needed."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from saas_analytics.landing.zone import zone_directories
from saas_analytics.layout import StackError
from saas_analytics.settings import PROJECT_ROOT, read_dotenv
from saas_analytics.stack import compose as compose_module
from saas_analytics.stack import containers as stack
from saas_analytics.stack import superset
from saas_analytics.stack.addresses import excludes_loopback, external_database
from saas_analytics.stack.compose import Container, compose
from saas_analytics.stack.dotenv import ensure_dotenv, keep_project_name, set_value

SERVICES = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text("utf-8"))["services"]


def test_uv_is_of_the_same_version_wherever_it_is_installed() -> None:
    files = (
        "infrastructure/setup.sh",
        "infrastructure/Dockerfile",
        "infrastructure/superset/Dockerfile",
    )
    versions = {
        name: set(re.findall(r"uv==([0-9.]+)", (PROJECT_ROOT / name).read_text("utf-8")))
        for name in files
    }
    assert all(len(found) == 1 for found in versions.values()), versions
    assert len(set().union(*versions.values())) == 1, versions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ensure_dotenv(tmp_path)
    return tmp_path


@pytest.fixture
def passed(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of Compose, printed by a program that replaces it."""
    set_value(root, "WAREHOUSE_OWNER_PASSWORD", "a$HOME-b$$c")
    monkeypatch.setattr(compose_module, "compose_program", lambda: ("env", "-0"))
    monkeypatch.setenv("COMPANY_SCALE", "3.5")
    monkeypatch.setenv("COMPANY_SEED", "")
    lines = compose(root, [], quiet=True).stdout.split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_the_values_of_the_dotenv_are_passed_unchanged(passed: dict[str, str]) -> None:
    assert passed["WAREHOUSE_OWNER_PASSWORD"] == "a$HOME-b$$c"
    # The environment wins unless it is empty.
    assert (passed["COMPANY_SCALE"], passed["COMPANY_SEED"]) == ("3.5", "42")


def test_containers_use_the_database_that_was_checked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_module, "compose_program", lambda: ("printenv",))

    def host(**values: str) -> str:
        for key, value in values.items():
            monkeypatch.setenv(key, value)
        return compose(root, ["WAREHOUSE_CONTAINER_HOST"], quiet=True).stdout.strip()

    assert host(WAREHOUSE_CONTAINER_HOST="db.example.com") == "postgres"
    assert host(WAREHOUSE_HOST="10.1.2.3") == "10.1.2.3"
    # The address on which this stack publishes its PostgreSQL.
    assert host(WAREHOUSE_ADDRESS="10.1.2.3") == "postgres"


def test_a_given_certificate_authority_is_where_libpq_looks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_module, "compose_program", lambda: ("printenv",))

    def given() -> list[str]:
        names = ["WAREHOUSE_SSLROOTCERT", "SSLROOTCERT_INSIDE"]
        return compose(root, names, quiet=True).stdout.split()

    assert given() == ["/dev/null", "none.crt"]  # libpq refuses an empty file
    set_value(root, "WAREHOUSE_SSLROOTCERT", "ours.pem")
    assert given() == [str(root / "ours.pem"), "root.crt"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_has_a_default_and_every_port_is_of_this_machine(name: str) -> None:
    service = SERVICES[name]
    secret = {
        key: value
        for key, value in service.get("environment", {}).items()
        if key.endswith(("_PASSWORD", "_KEY", "_SECRET"))
    }
    assert all(re.fullmatch(r"\$\{\w+:\?run make up\}", value) for value in secret.values()), secret
    assert secret or name == "docs"
    ports = service.get("ports", [])
    assert all(
        re.match(r"\$\{(STACK|WAREHOUSE)_ADDRESS:-127\.0\.0\.1\}:\$\{", port) for port in ports
    ), ports


def test_a_setting_publishes_the_ports_on_another_address() -> None:
    addresses = {
        name: re.findall(r"\w+_ADDRESS", str(service.get("ports", "")))
        for name, service in SERVICES.items()
    }
    assert {name: found for name, found in addresses.items() if found} == {
        "postgres": ["WAREHOUSE_ADDRESS"],
        **{name: ["STACK_ADDRESS"] for name in ("airflow-api-server", "superset", "docs")},
    }


@pytest.mark.parametrize(
    ("host", "address", "external"),
    [
        ("127.0.0.1", "127.0.0.1", None),
        ("127.0.0.1", "10.1.2.3", None),
        ("10.1.2.3", "10.1.2.3", None),
        ("10.1.2.3", "127.0.0.1", "10.1.2.3"),
        ("db.example.com", "0.0.0.0", "db.example.com"),
    ],
)
def test_where_the_database_is(host: str, address: str, external: str | None) -> None:
    assert external_database({"WAREHOUSE_HOST": host, "WAREHOUSE_ADDRESS": address}) == external


def test_a_port_that_is_published_for_all_is_there_for_this_machine() -> None:
    assert excludes_loopback("10.1.2.3")
    assert not any(map(excludes_loopback, ("127.0.0.1", "localhost", "0.0.0.0", "::")))


def test_a_new_dotenv_finds_the_volumes_of_the_one_that_was_lost(root: Path) -> None:
    (root / ".local").mkdir()
    name = read_dotenv(root / ".env")["COMPOSE_PROJECT_NAME"]
    keep_project_name(root, name)
    (root / ".env").unlink()
    ensure_dotenv(root)
    assert read_dotenv(root / ".env")["COMPOSE_PROJECT_NAME"] == name


def test_only_the_parts_of_a_landing_zone_belong_to_it(tmp_path: Path) -> None:
    ours = (
        "events/dt=2026-01-01",
        "_redelivered/on=2026-01-02/events/dt=2026-01-01",
        "_truth/dt=2026-01-01",
    )
    for name in (*ours, "events_of_others/dt=2026-01-01", "photos", "orders"):
        (tmp_path / name).mkdir(parents=True)
    found = zone_directories(tmp_path)
    assert [path.name for path in found] == ["events", "_redelivered", "_truth"]


@pytest.mark.parametrize(
    ("state", "health", "exit_code", "restarts", "healthy"),
    [
        ("running", "healthy", 0, True, True),
        ("running", "starting", 0, True, False),
        ("running", "unhealthy", 0, True, False),
        ("exited", "", 0, True, False),
        ("exited", "", 0, False, True),
        ("exited", "", 1, False, False),
        ("running", "", 0, False, True),
        ("restarting", "", 1, True, False),
    ],
)
def test_a_container_is_healthy(
    state: str, health: str, exit_code: int, restarts: bool, healthy: bool
) -> None:
    container = Container("name", "service", state, health, exit_code, restarts, "")
    assert container.is_healthy is healthy


def test_a_terminal_shows_passwords_and_a_log_does_not(root: Path) -> None:
    script = (
        "from pathlib import Path; from saas_analytics.settings import load_settings;"
        "from saas_analytics.stack.status import print_addresses;"
        "from saas_analytics.stack.superset import *;"
        f"settings = load_settings(Path({str(root)!r}));"
        "print_addresses(settings); print(superset_login(settings))"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "TERM": "xterm"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    values = read_dotenv(root / ".env")
    assert "password AIRFLOW_ADMIN_PASSWORD in .env" in done.stdout
    assert not any(
        value in done.stdout for key, value in values.items() if key.endswith("_PASSWORD")
    )

    here, there = pty.openpty()
    subprocess.run(command, env=environment, stdout=there, check=True)
    os.close(there)
    assert values["AIRFLOW_ADMIN_PASSWORD"] in os.read(here, 100_000).decode()
    os.close(here)


@pytest.mark.parametrize(
    ("health", "times_restarted", "failing"),
    [("starting", 5, ""), ("starting", 8, "airflow-scheduler"), ("healthy", 8, ""), ("", 0, "")],
)
def test_a_container_fails_after_three_more_restarts(
    root: Path, monkeypatch: pytest.MonkeyPatch, health: str, times_restarted: int, failing: str
) -> None:
    one = Container("one", "airflow-scheduler", "running", health, 1, True, "", times_restarted)
    monkeypatch.setattr(stack, "containers", lambda project: [one])
    assert stack._failing(root, {"one": 5}) == failing


@pytest.mark.parametrize(
    ("made", "made_again"),
    [pytest.param(None, True, id="missing"), pytest.param(2, True, id="older"), (4, False)],
)
def test_the_environment_of_the_dashboards_is_created_if_its_lock_file_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: int | None, made_again: bool
) -> None:
    project = tmp_path / "infrastructure/superset"
    for name, moment in (
        ("pyproject.toml", 1),
        ("uv.lock", 3),
        *([(".venv/.synced", made)] if made else []),
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
        os.utime(project / name, (moment, moment))
    script = tmp_path / "infrastructure/setup.sh"
    script.write_text(f'echo "$1" > {tmp_path}/called; exit 3\n')
    monkeypatch.setattr(superset, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(superset, "DIRECTORY", project)
    if made_again:
        with pytest.raises(StackError, match="could not be created"):
            superset._make_environment()
        assert (tmp_path / "called").read_text() == "infrastructure/superset\n"
    else:
        superset._make_environment()
        assert not (tmp_path / "called").exists()
