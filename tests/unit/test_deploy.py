"""./deploy.sh prod refuses every setting that is not fit for production, with its fix, at once."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saas_analytics.settings import PROJECT_ROOT
from saas_analytics.settings_table import GENERATED_SECRETS, KEYS
from saas_analytics.stack.compose import settings_of
from saas_analytics.stack.dotenv import ensure_dotenv
from saas_analytics.stack.production import reasons

DIGEST = "sha256:" + "0123456789abcdef" * 4
FIT = {
    "AIRFLOW_AUTH_MANAGER": "fab",
    "SUPERSET_BEHIND_PROXY": "on",
    "STACK_IMAGE": f"registry.example.com/analytics@{DIGEST}",
    "SUPERSET_IMAGE": f"registry.example.com/dashboards@{DIGEST}",
    "POSTGRES_IMAGE": f"postgres:18@{DIGEST}",
}
ELSEWHERE = {
    "WAREHOUSE_HOST": "db.example.com",
    "WAREHOUSE_SSLMODE": "verify-full",
    "WAREHOUSE_SSLROOTCERT": "ca.pem",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the `.env` of `make up`: its secrets are random."""
    ensure_dotenv(tmp_path)
    (tmp_path / "ca.pem").touch()
    return tmp_path


def refused(root: Path, **changes: str) -> list[str]:
    found = reasons({**settings_of(root), **FIT, **changes}, root)
    assert all(reason.fix for reason in found)
    return [reason.what for reason in found]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"SUPERSET_BEHIND_PROXY": "off"}, id="no proxy and no port for others"),
        pytest.param({}, id="the .env of make up, with pinned images and users"),
        pytest.param(
            {"STACK_IMAGE": DIGEST, "POSTGRES_IMAGE": DIGEST}, id="images of this machine"
        ),
        pytest.param(
            {"AIRFLOW_AUTH_MANAGER": "ours.auth.Manager"}, id="the team's own auth manager"
        ),
        pytest.param({"STACK_URL": "https://analytics.example.com"}, id="a proxy on this machine"),
        pytest.param(
            {"STACK_URL": "https://analytics.example.com", "STACK_ADDRESS": "10.1.2.3"},
            id="a proxy on another machine",
        ),
        pytest.param(ELSEWHERE, id="a database elsewhere, with TLS"),
        pytest.param(
            {**ELSEWHERE, "POSTGRES_IMAGE": "postgres:18"},
            id="an image that is not used may be any",
        ),
    ],
)
def test_what_is_fit_is_accepted(root: Path, changes: dict[str, str]) -> None:
    assert refused(root, **changes) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"AIRFLOW_AUTH_MANAGER": "simple"}, "SimpleAuthManager"),
        ({"AIRFLOW_AUTH_MANAGER": "some.where.SimpleAuthManager"}, "keeps one password in a file"),
        ({**ELSEWHERE, "WAREHOUSE_SSLMODE": "require"}, "WAREHOUSE_SSLMODE is require"),
        ({**ELSEWHERE, "WAREHOUSE_SSLROOTCERT": "/dev/null"}, "WAREHOUSE_SSLROOTCERT is not set"),
        ({**ELSEWHERE, "WAREHOUSE_SSLROOTCERT": "lost.pem"}, "there is no such file"),
        (
            {"WAREHOUSE_HOST": "10.0.0.9", "WAREHOUSE_SSLROOTCERT": "ca.pem"},
            "The database is on 10.0.0.9",
        ),
        ({"STACK_ADDRESS": "0.0.0.0"}, "published to everybody"),
        (
            {"STACK_ADDRESS": "0.0.0.0", "STACK_URL": "https://a.example.com"},
            "published to everybody",
        ),
        (
            {"STACK_ADDRESS": "93.184.216.34", "STACK_URL": "https://a.example.com"},
            "STACK_ADDRESS is 93.184.216.34",
        ),
        ({"STACK_ADDRESS": "::", "STACK_URL": "https://a.example.com"}, "published to everybody"),
        ({"STACK_ADDRESS": "10.1.2.3"}, "without a proxy"),
        ({"STACK_URL": "http://analytics.example.com"}, "plain text"),
        (
            {"STACK_URL": "https://a.example.com", "SUPERSET_BEHIND_PROXY": "off"},
            "SUPERSET_BEHIND_PROXY is off",
        ),
        ({"WAREHOUSE_ADDRESS": "10.1.2.3"}, "speaks no TLS"),
        ({"STACK_IMAGE": "analytics:latest"}, "STACK_IMAGE is analytics:latest"),
        ({"STACK_IMAGE": "analytics@sha256:0123"}, "STACK_IMAGE"),
        ({"POSTGRES_IMAGE": "postgres:18"}, "POSTGRES_IMAGE is postgres:18"),
    ],
)
def test_what_is_not_fit_is_refused(root: Path, changes: dict[str, str], what: str) -> None:
    (found,) = refused(root, **changes)
    assert what in found


@pytest.mark.parametrize("key", GENERATED_SECRETS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "changeme",
        "airflow",
        "p4ss",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "change-me-change-me-change-me-change-me-123456",
        "AirflowPostgresPassword-warehouse-secret-12345",
        "abababababababababababababababababababababab",
        "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",
    ],
)
def test_a_weak_secret_is_refused_and_not_shown(root: Path, key: str, value: str) -> None:
    (found,) = refused(root, **{key: value})
    assert found.startswith(f"{key} ")
    assert not value or value not in found


def test_two_uses_of_one_secret_are_refused(root: Path) -> None:
    once = secrets.token_urlsafe(24)
    (found,) = refused(root, WAREHOUSE_LOADER_PASSWORD=once, AIRFLOW_ADMIN_PASSWORD=once)
    assert found == "AIRFLOW_ADMIN_PASSWORD is the same as WAREHOUSE_LOADER_PASSWORD."


def test_generated_secrets_are_fit(tmp_path: Path) -> None:
    for number in range(20):
        made = tmp_path / str(number)
        made.mkdir()
        ensure_dotenv(made)
        assert refused(made) == []


def test_the_command_reports_all_reasons_at_once_and_starts_nothing(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    done = deploy(project, "prod", STACK_ADDRESS="0.0.0.0", AIRFLOW_ADMIN_PASSWORD="admin")
    assert done.returncode == 1
    images = ("STACK_IMAGE is", "SUPERSET_IMAGE is", "POSTGRES_IMAGE is")
    parts = (
        "AIRFLOW_ADMIN_PASSWORD has 5",
        "SimpleAuthManager",
        "0.0.0.0",
        "SUPERSET_BEHIND_PROXY",
        *images,
    )
    assert f"{len(parts)} things are not fit for production; nothing was started" in done.stderr
    assert all(part in done.stderr for part in parts)
    assert "AIRFLOW_AUTH_MANAGER=fab" in done.stderr  # a fix
    assert (project / ".env").stat().st_mode & 0o777 == 0o600
    assert not (project / ".local/stack").exists()


def test_the_command_accepts_what_is_fit(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    ensure_dotenv(project)
    done = deploy(project, "prod", "--check", **FIT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Every setting is fit for production" in done.stdout


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    done = deploy(project, "prod", "--check", **FIT)
    assert done.returncode == 1 and "AIRFLOW_ADMIN_PASSWORD is not set" in done.stderr
    assert not (project / ".env").exists()
    assert deploy(project, "dev", "--check").returncode == 2


def test_the_command_needs_a_known_target(tmp_path: Path) -> None:
    done = deploy(copy_of_project(tmp_path), "staging")
    assert done.returncode == 2
    assert "dev" in done.stderr and "prod" in done.stderr


def copy_of_project(place: Path) -> Path:
    for name in ("infrastructure", "data_gen", "saas_analytics"):
        shutil.copytree(
            PROJECT_ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", ".venv")
        )
    for name in ("deploy.sh", "uv.lock"):
        shutil.copy2(PROJECT_ROOT / name, place / name)
    (place / ".venv").symlink_to(sys.prefix)
    return place


def deploy(project: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in KEYS}
    return subprocess.run(
        [str(project / "deploy.sh"), *arguments],
        env={**environment, **settings},
        capture_output=True,
        text=True,
    )
