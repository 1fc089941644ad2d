"""The real embedded stack: its start, its output, the failures that it survives, and its end.

The tests share one stack and run in the order of its life. The long tests in tests/airflow kill the
scheduler.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from saas_analytics.layout import ALWAYS_ON, Layout
from saas_analytics.settings import load_settings, read_dotenv
from saas_analytics.stack import supervision
from saas_analytics.stack.airflow import airflow_environment
from saas_analytics.stack.dotenv import ensure_dotenv, set_value
from saas_analytics.stack.processes import marked, stack_processes
from saas_analytics.warehouse import connect
from tests.conftest import Stack, copy_of_project
from tests.waiting import patience, wait_until


def test_up_again_says_that_it_runs(stack: Stack) -> None:
    assert "already running" in stack.local("up").stdout


def test_status_shows_every_process_and_where_to_go(stack: Stack) -> None:
    shown = stack.local("status").stdout
    assert all(f"{program} " in shown for program in ALWAYS_ON)
    assert f"http://127.0.0.1:{stack.settings.airflow_port}" in shown
    assert "AIRFLOW_ADMIN_PASSWORD in .env" in shown  # only a terminal gets passwords


def test_doctor_finds_a_healthy_stack(stack: Stack) -> None:
    findings = stack.local("doctor").stdout
    assert f"all {len(ALWAYS_ON)} run" in findings
    assert "fail " not in findings


def test_env_is_for_a_shell(stack: Stack) -> None:
    printed = stack.local("env").stdout
    assert all(line.startswith("export ") for line in printed.splitlines())
    assert stack.settings.secret("WAREHOUSE_ADMIN_PASSWORD") not in printed
    program = "import psycopg; print(psycopg.connect().info.user)"
    script = f'eval {shlex.quote(printed)}; python -c "{program}"; command -v dbt'
    done = subprocess.run(
        ["bash", "-c", script], env={"PATH": os.defpath}, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["warehouse_owner", str(stack.root / ".venv/bin/dbt")]


def test_psql_runs_a_statement(stack: Stack) -> None:
    done = stack.local(
        "psql", environment={"SQL": "select current_user || '@' || current_database() as me"}
    )
    assert "warehouse_owner@analytics" in done.stdout
    assert stack.local("psql", check=False, environment={"SQL": "select nothing"}).returncode != 0


def test_other_warehouses_are_on_the_same_server(stack: Stack) -> None:
    stack.local("up", environment={"WAREHOUSE_DB": "another"})
    done = stack.local(
        "psql", environment={"WAREHOUSE_DB": "another", "SQL": "select current_database()"}
    )
    assert "another" in done.stdout


def test_no_secret_is_on_a_command_line_or_open_to_others(stack: Stack) -> None:
    settings, layout = stack.settings, Layout(stack.root)
    secrets = [
        value
        for key, value in settings.environment().items()
        if key.endswith(("_PASSWORD", "_KEY", "_SECRET"))
    ]
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        assert not any(secret in words for secret in secrets)
    for path in (layout.dotenv, layout.airflow / "passwords.json", layout.run / "supervisord.conf"):
        assert path.stat().st_mode & 0o077 == 0
    assert not any(secret in (layout.run / "supervisord.conf").read_text() for secret in secrets)


def test_it_listens_on_this_machine_only(stack: Stack) -> None:
    ours = {process.pid for process in stack_processes(Layout(stack.root))}
    listening = [
        c
        for c in psutil.net_connections("inet")
        if c.status == psutil.CONN_LISTEN and c.pid in ours
    ]
    addresses = {(address.ip, address.port) for c in listening if (address := c.laddr)}
    settings = stack.settings
    assert addresses == {
        ("127.0.0.1", port) for port in (settings.port, settings.airflow_port, settings.docs_port)
    }


def test_a_killed_postgres_comes_back_with_its_data(stack: Stack) -> None:
    layout = Layout(stack.root)
    with connect(stack.settings, "owner") as warehouse:
        warehouse.execute("create table public.kept as select 42 as n")
    (before,) = [program for program in supervision.programs(layout) if program.name == "postgres"]
    os.kill(before.pid, signal.SIGKILL)

    def is_back() -> bool:
        try:
            with psycopg.connect(stack.settings.dsn("owner")) as warehouse:
                return warehouse.execute("select n from public.kept").fetchone() == (42,)
        except psycopg.OperationalError:
            return False

    wait_until(
        lambda: before.pid not in [p.pid for p in supervision.programs(layout)] and is_back()
    )
    stack.local("up")  # waits until Airflow is healthy again


def test_orphans_of_a_killed_supervisor_are_found_and_ended(stack: Stack) -> None:
    layout = Layout(stack.root)
    supervisor = supervision.supervisord_process(layout)
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait(patience(60))

    found = stack.local("doctor", check=False)
    assert found.returncode == 1
    assert "without their supervisor" in found.stdout
    stack.local("down")
    assert stack_processes(layout) == []


def test_a_taken_port_is_left_to_its_owner(stack: Stack) -> None:
    taken = stack.settings.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        refused = stack.local("up", check=False, environment={"WAREHOUSE_PORT": str(taken)})
        assert refused.returncode == 1
        assert f"the environment asks for it: WAREHOUSE_PORT={taken}" in refused.stderr
        printed = stack.local("up").stdout
    assert f"Port {taken} is taken by" in printed
    assert f"moves to port {stack.settings.port}" in printed
    assert stack.settings.port != taken
    # It was down before, and has its data.
    with connect(stack.settings, "owner") as warehouse:
        assert warehouse.execute("select n from public.kept").fetchone() == (42,)


@pytest.mark.long
def test_two_stacks_that_start_at_once_share_no_port(stack: Stack) -> None:
    def ports(one: Stack) -> list[int | None]:
        settings = one.settings
        return [settings.port, settings.airflow_port, settings.superset_port, settings.docs_port]

    stack.local("down")
    with copy_of_project("local") as other:
        for key in ("WAREHOUSE_PORT", "AIRFLOW_PORT", "SUPERSET_PORT", "DOCS_PORT"):
            set_value(other.root, key, read_dotenv(stack.root / ".env")[key])
        assert ports(other) == ports(stack)
        try:
            with ThreadPoolExecutor(2) as pool:
                printed = [
                    done.stdout for done in pool.map(lambda one: one.local("up"), (stack, other))
                ]
            assert sum("Another stack is starting" in text for text in printed) == 1
            taken = [
                port_of for one in (stack, other) for port_of in ports(one)[:2] + ports(one)[3:]
            ]
            assert len(set(taken)) == len(taken)
        finally:
            other.local("down", check=False)


def test_clean_asks_and_an_unknown_stack_is_named(stack: Stack) -> None:
    asked = stack.local("clean", check=False)
    assert asked.returncode == 1
    assert str(stack.root / ".local") in asked.stdout
    assert "YES=1" in asked.stderr
    refused = stack.local("up", check=False, environment={"STACK": "podman"})
    assert refused.returncode == 1
    assert "STACK=podman" in refused.stderr


def test_airflow_gets_no_superuser_password(tmp_path: Path) -> None:
    ensure_dotenv(tmp_path)
    environment = airflow_environment(load_settings(tmp_path, env={}))
    assert "WAREHOUSE_ADMIN_PASSWORD" not in environment
    assert all(isinstance(value, str) for value in environment.values())


@pytest.mark.parametrize("line", ["not a setting", "WAREHOUSE_PORT=abc"])
def test_a_malformed_dotenv_stops_every_command_with_its_line(stack: Stack, line: str) -> None:
    path = stack.root / ".env"
    before = path.read_text()
    try:
        kept = [text for text in before.splitlines() if not text.startswith("WAREHOUSE_PORT")]
        path.write_text("\n".join([line, *kept]))
        for command in ("up", "env", "status", "psql"):
            done = stack.local(command, check=False)
            assert done.returncode == 1
            assert str(path) in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        path.write_text(before)


def test_down_leaves_nothing_running_and_says_that_the_data_are_kept(stack: Stack) -> None:
    """The last test of a stack's life."""
    layout = Layout(stack.root)
    assert "the data are kept" in stack.local("down").stdout
    assert marked(stack.root) == []
    assert stack_processes(layout) == []
    assert "Nothing was running" in stack.local("down").stdout
    assert "not running" in stack.local("status", check=False).stdout
