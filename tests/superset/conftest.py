"""A real Superset on a real PostgreSQL with a small company's marts, shared by all tests here.

The tests take minutes, so only `make test-dashboards` runs them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from saas_analytics.settings import PROJECT_ROOT, Settings
from saas_analytics.stack.superset import DIRECTORY, answers, superset_environment, superset_url
from saas_analytics.warehouse import ensure_warehouse
from tests.superset.assets import ASSETS, Document

DAYS = 75  # more than two months, so that monthly charts have several points
STATEMENT_TIMEOUT_MS = 3_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.dashboards)
            if "DASHBOARDS" not in os.environ:
                item.add_marker(
                    pytest.mark.skip(
                        reason="starts Superset, which takes minutes: make test-dashboards"
                    )
                )


@dataclass(frozen=True)
class Superset:
    """A running Superset and its settings."""

    settings: Settings

    @property
    def url(self) -> str:
        return superset_url(self.settings)

    def password(self, user: str) -> str:
        return self.settings.secret(f"SUPERSET_{user.upper()}_PASSWORD")

    def client(self, user: str) -> httpx.Client:
        """A client of the API, logged in as admin or viewer."""
        client = httpx.Client(
            base_url=self.url, timeout=60, trust_env=False, headers={"Referer": self.url}
        )
        login = {"username": user, "password": self.password(user), "provider": "db"}
        client.headers["Authorization"] = (
            "Bearer " + answer(client.post("/api/v1/security/login", json=login))["access_token"]
        )
        client.headers["X-CSRFToken"] = answer(client.get("/api/v1/security/csrf_token/"))["result"]
        return client

    def browser_client(self, user: str) -> httpx.Client:
        """A client with the session of a browser, which the older part of Superset needs."""
        client = httpx.Client(
            base_url=self.url, timeout=60, trust_env=False, headers={"Referer": self.url}
        )
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get("/login/").text)
        assert token is not None, "the login page has no csrf_token"
        form = {"username": user, "password": self.password(user), "csrf_token": token[1]}
        assert client.post("/login/", data=form).status_code == 302
        client.headers["X-CSRFToken"] = answer(client.get("/api/v1/security/csrf_token/"))["result"]
        return client

    def run(self, *command: str) -> str:
        """Run a program of Superset's environment, which must succeed. Returns its stdout."""
        users = {f"SUPERSET_{user}_PASSWORD": self.password(user) for user in ("ADMIN", "VIEWER")}
        done = subprocess.run(
            [str(DIRECTORY / ".venv/bin" / command[0]), *command[1:]],
            cwd=DIRECTORY,
            env={**superset_environment(self.settings), **users},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, (
            f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    def inside(self, script: str) -> Any:
        """Run Python in Superset's application after `import bootstrap`. Returns its `result`."""
        lines = (
            "import json, os, bootstrap",
            "config = bootstrap.ASSETS.parent / 'superset_config.py'",
            "os.environ['SUPERSET_CONFIG_PATH'] = str(config)",
            "from superset.app import create_app",
            "with create_app().app_context():",
            "    exec(compile(os.environ['SCRIPT'], 'test', 'exec'))",
            "    print('RESULT' + json.dumps(result))",
        )
        program = "\n".join(lines).replace("os.environ['SCRIPT']", repr(script))
        return json.loads(self.run("python", "-c", program).rpartition("RESULT")[2])


def answer(response: httpx.Response) -> Any:
    """The JSON of a response, which must be a success."""
    assert response.status_code == 200, (
        f"{response.request.url}: {response.status_code} {response.text[:500]}"
    )
    return response.json()


def ask(client: httpx.Client, source: int, query: Document, form: Document) -> list[Document]:
    """The rows of a query on the data set with the id `source`, asked by the chart in `form`."""
    body = {"datasource": {"id": source, "type": "table"}, "form_data": form, "queries": [query]}
    result = answer(client.post("/api/v1/chart/data", json=body))["result"][0]
    assert result["error"] is None
    answered: list[Document] = result["data"]
    return answered


@pytest.fixture(scope="session")
def marts(postgres: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with its models up to yesterday, and results of data tests for their charts."""
    place = tmp_path_factory.mktemp("superset")
    first = datetime.now(UTC).date() - timedelta(days=DAYS)
    settings = replace(
        postgres,
        root=place,  # not the project: Superset's files must not mix with the developer's
        database="dashboards",
        landing_zone=place / "raw",
        company_scale=0.05,
        company_founded=first,
    )
    ensure_warehouse(settings)
    build_history(settings, DAYS)
    return settings


def build_history(settings: Settings, days: int) -> None:
    """Land the first `days` days of the synthetic company, and build every model."""
    days_of = ["--day", str(settings.company_founded), "--days", str(days)]
    models = ["--quiet", "build", "--resource-type", "model", "--resource-type", "seed"]
    tests = ["--quiet", "test", "--select", "marts.growth,test_type:data"]
    for command in (
        ["data_gen/generate.py", *days_of],
        ["data_gen/land.py", *days_of],
        ["-m", "saas_analytics", "dbt", *models],
        ["-m", "saas_analytics", "dbt", *tests],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=PROJECT_ROOT,
            env={**os.environ, **settings.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (
            f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )


@pytest.fixture(scope="session")
def superset(marts: Settings) -> Iterator[Superset]:
    with running_superset(marts) as running:
        yield running


@contextmanager
def running_superset(settings: Settings) -> Iterator[Superset]:
    """A Superset with the dashboards of this checkout on the warehouse of `settings`."""
    (settings.root / ".local/superset").mkdir(parents=True, exist_ok=True)
    superset = Superset(settings)
    superset.run("python", "bootstrap.py")
    log = settings.root / "gunicorn.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [str(DIRECTORY / ".venv/bin/gunicorn"), "--config", "gunicorn_conf.py"],
            cwd=DIRECTORY,
            env={
                **superset_environment(settings),
                "SUPERSET_STATEMENT_TIMEOUT_MS": str(STATEMENT_TIMEOUT_MS),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = datetime.now(UTC) + timedelta(seconds=120)
        while not answers(settings):
            assert server.poll() is None and datetime.now(UTC) < deadline, log.read_text()[-3000:]
            try:
                server.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
        yield superset
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def admin(superset: Superset) -> httpx.Client:
    return superset.client("admin")


@pytest.fixture(scope="session")
def viewer(superset: Superset) -> httpx.Client:
    return superset.browser_client("viewer")


@pytest.fixture
def owner(marts: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(marts.dsn("owner")) as connection:
        yield connection


@dataclass(frozen=True)
class Numbers:
    """Superset's ids: of charts and data sets by uuid, of dashboards by slug."""

    charts: dict[str, int]
    datasets: dict[str, int]
    dashboards: dict[str, int]


@pytest.fixture(scope="session")
def numbers(admin: httpx.Client) -> Numbers:
    def listed(kind: str, key: str) -> dict[str, int]:
        found = answer(admin.get(f"/api/v1/{kind}/?q=(columns:!(id,{key}),page_size:100)"))[
            "result"
        ]
        return {one[key]: one["id"] for one in found}

    numbers = Numbers(
        listed("chart", "uuid"), listed("dataset", "uuid"), listed("dashboard", "slug")
    )
    assert set(numbers.charts) == {chart["uuid"] for chart in ASSETS.charts.values()}
    assert set(numbers.datasets) == {dataset["uuid"] for dataset in ASSETS.datasets.values()}
    assert set(numbers.dashboards) == set(ASSETS.dashboards)
    return numbers
