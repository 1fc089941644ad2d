"""Shared by the tests of the models: landing and dbt in this process, because dbt starts slowly."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from data_gen import land as land_command
from saas_analytics.pipeline import dbt_process
from saas_analytics.pipeline.dbt_project import dbt_environment
from saas_analytics.settings import PROJECT_ROOT, Settings

Build = Callable[..., None]


# PostgreSQL's messages for rows that violate a key or another constraint.
REFUSED_ROWS = re.compile(
    r"violates (unique|exclusion|check|not-null) constraint|could not create unique index"
)


class BuildFailed(AssertionError):
    """dbt failed. The message has the failed nodes and their errors."""

    def __init__(self, command: str, nodes: list[str], exception: BaseException | None) -> None:
        super().__init__("\n".join([f"dbt {command} failed", *nodes, str(exception or "")]))
        self.nodes = nodes

    @property
    def is_caused_by_refused_rows(self) -> bool:
        """Whether the database refused the rows of every failed model, and nothing else failed."""
        return bool(self.nodes) and all(map(REFUSED_ROWS.search, self.nodes))


BUILT_SCHEMAS = ("staging", "core", "marts")
MODELS_AND_SEEDS = ("build", "--resource-type", "model", "--resource-type", "seed")


@pytest.fixture(scope="session")
def dbt_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that dbt writes to, shared by all tests so that dbt parses the project once."""
    return tmp_path_factory.mktemp("dbt")


class Parsed:
    """dbt's manifests of the projects that tests build.

    Each is parsed once, because parsing takes as long as a small build. For a copy of the project,
    dbt starts from the partial_parse.msgpack of the original, and reads only the changed files.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._manifests: dict[tuple[str, ...], tuple[list[tuple[str, int, int]], Any]] = {}

    def target(self, settings: Settings, project: Path, variables: str) -> Path:
        """The target folder for this project, warehouse and variables.

        A new one gets the original project's partial_parse.msgpack, if there is one.
        """
        name = (
            f"{project}|{variables}".strip("/").replace("/", "_")
            if variables
            else str(project).strip("/")
        )
        target = self._output / settings.database / hashlib.sha256(name.encode()).hexdigest()[:16]
        ours = PROJECT_ROOT / "dbt"
        if project != ours and not target.exists():
            known = self.target(settings, ours, variables) / "partial_parse.msgpack"
            if known.exists():
                target.mkdir(parents=True)
                shutil.copy2(known, target)
        return target

    def manifest(self, settings: Settings, project: Path, options: Sequence[str]) -> Any:
        """The manifest of the project as it is now. dbt's environment variables must be set."""
        from dbt.cli.main import dbtRunner

        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for part in ("models", "macros", "packages", "seeds", "tests", "dbt_project.yml")
            for path in sorted([project / part, *(project / part).rglob("*")])
        ]
        key = (settings.database, str(project), *options)
        known = self._manifests.get(key)
        if known is None or known[0] != files:
            result = dbtRunner().invoke(["--quiet", "parse", *options])
            if not result.success:
                raise BuildFailed("parse", [], result.exception)
            known = self._manifests[key] = (files, result.result)
        return known[1]


@pytest.fixture(scope="session")
def parsed(dbt_output: Path) -> Parsed:
    return Parsed(dbt_output)


@pytest.fixture
def build(dbt_output: Path, parsed: Parsed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """build(settings, "run", "--full-refresh"): run a dbt command, which must succeed.

    It runs in the project or a copy of it. "run" builds all models and the seeds that they read.
    """
    dbt_process.load()
    from dbt.cli.main import dbtRunner

    def run(settings: Settings, *arguments: str, project: Path = PROJECT_ROOT / "dbt") -> None:
        variables = arguments[arguments.index("--vars") + 1] if "--vars" in arguments else ""
        for key, value in dbt_environment(settings).items():
            monkeypatch.setenv(key, value)
        monkeypatch.setenv("DBT_PROJECT_DIR", str(project))
        monkeypatch.setenv("DBT_PROFILES_DIR", str(project))
        monkeypatch.setenv("DBT_TARGET_PATH", str(parsed.target(settings, project, variables)))
        monkeypatch.setenv("DBT_LOG_PATH", str(dbt_output / "logs"))
        # Few tests read dbt's JSON files (`--write-json`), which take an eighth of its time.
        monkeypatch.setenv("DBT_WRITE_JSON", "false")
        monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "none")
        monkeypatch.chdir(project)
        command = [*MODELS_AND_SEEDS, *arguments[1:]] if arguments[0] == "run" else list(arguments)
        manifest = None
        if "--write-json" not in arguments:
            manifest = parsed.manifest(
                settings, project, ["--vars", variables] if variables else []
            )
        result = dbtRunner(manifest=manifest).invoke(["--quiet", *command])
        nodes = getattr(result.result, "results", [])
        failed = [
            f"{node.node.name}: {node.message}"
            for node in nodes
            if node.status in ("error", "fail")
        ]
        if not result.success:
            raise BuildFailed(" ".join(arguments), failed, result.exception)

    yield run


def land_days(settings: Settings, *days: date) -> None:
    """Land the files of these days from the landing zone, in the given order, like `make land`."""
    for day in days:
        land(settings, "--day", day.isoformat(), "--from", str(settings.landing_zone))


def land(settings: Settings, *arguments: str) -> None:
    """Run one landing, which must succeed."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in settings.environment().items():
            patch.setenv(key, value)
        code = land_command.main([*arguments, "--json"])
    assert code == 0, f"land.py {' '.join(arguments)} ended with exit code {code}"


def built_tables(settings: Settings) -> list[str]:
    """Every table and view that dbt has built, as schema.name; not the views of reporting.sql."""
    with psycopg.connect(settings.dsn("owner")) as connection:
        rows = connection.execute(
            "select relnamespace::regnamespace || '.' || relname from pg_class"
            " where relnamespace::regnamespace::text = any(%s)"
            " and relkind in ('r', 'p', 'v') and not relispartition"
            " and relowner = 'transformer'::regrole order by 1",
            [list(BUILT_SCHEMAS)],
        ).fetchall()
    return [row[0] for row in rows]


def last_rebuilt(settings: Settings) -> dict[str, int]:
    """For each model that follows its upstreams, the number of the change of its last rebuild."""
    with psycopg.connect(settings.dsn("owner")) as connection:
        return dict(
            connection.execute("select model, rebuilt_seq from change_feed.models").fetchall()
        )


def copy_of(project: Path, copy: Path) -> Path:
    """A copy of the dbt project. The link to its own package stays a link."""
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("target", "logs"), symlinks=True)
    return copy


def mutant(project: Path, place: Path, file: str, text: str, instead: str) -> Path:
    """A copy of the dbt project under `place`, in which one file has `instead` for `text`."""
    copy = copy_of(project, place / "dbt")
    source = (copy / file).read_text()
    assert text in source, f"{file} does not say {text!r}"
    (copy / file).write_text(source.replace(text, instead))
    return copy


def keep_copies(settings: Settings) -> list[str]:
    """Copy every built table into the schema `kept`. Returns their names."""
    tables = built_tables(settings)
    with psycopg.connect(settings.dsn("owner")) as connection:
        connection.execute("drop schema if exists kept cascade")
        connection.execute("create schema kept")
        for table in tables:
            connection.execute(
                sql.SQL("create table kept.{} as select * from {}").format(
                    sql.Identifier(table), sql.Identifier(*table.split("."))
                )
            )
    return tables


def differences(settings: Settings, tables: list[str]) -> dict[str, list[str]]:
    """For each table that differs from its copy, the first rows that only one of them has."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(settings.dsn("owner")) as connection:
        for table in tables:
            names = {
                "now": sql.Identifier(*table.split(".")),
                "kept": sql.Identifier("kept", table),
            }
            lines = []
            for only, one, other in (
                ("only in the copy", "kept", "now"),
                ("only now", "now", "kept"),
            ):
                query = sql.SQL(
                    "select difference::text"
                    " from (table {} except all table {}) as difference limit 3"
                )
                rows = connection.execute(query.format(names[one], names[other])).fetchall()
                lines += [f"{only}: {row[0]}" for row in rows]
            if lines:
                found[table] = lines
    return found


def rows_of(settings: Settings, table: str, without: frozenset[str] = frozenset()) -> list[str]:
    """The rows of a table as sorted text. `without` names columns that may differ."""
    schema, name = table.split(".")
    with psycopg.connect(settings.dsn("owner")) as connection:
        columns = [
            row[0]
            for row in connection.execute(
                "select column_name from information_schema.columns"
                " where table_schema = %s and table_name = %s order by 1",
                [schema, name],
            )
            if row[0] not in without
        ]
        query = sql.SQL("select row({})::text from {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, name)
        )
        return sorted(row[0] for row in connection.execute(query))
