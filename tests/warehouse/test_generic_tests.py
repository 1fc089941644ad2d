"""The project's generic data tests, each on rows that must pass and on rows that must fail."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from saas_analytics.pipeline.dbt_project import dbt_environment
from saas_analytics.settings import PROJECT_ROOT, Settings

PROJECT = PROJECT_ROOT / "dbt"
TODAY = "2026-03-10"


@dataclass(frozen=True)
class Case:
    """A generic test with its arguments, and queries with rows that pass and rows that fail."""

    test: str
    good: str
    bad: str
    arguments: dict[str, Any] = field(default_factory=dict)
    column: str | None = None
    broken: tuple[str, ...] = ()  # for every_row: the broken rule of each failing row, sorted


def rows(columns: str, *values: str) -> str:
    return (
        f"select * from (values {', '.join(f'({value})' for value in values)}) as given ({columns})"
    )


def texts(*names: str) -> dict[str, None]:
    """A set, as YAML has it: {a, b}."""
    return dict.fromkeys(names)


CASES = {
    "arithmetic": Case(
        "every_row",
        rows("a, b", "1, 2", "1, null"),
        rows("a, b", "2, 2"),
        {"satisfies": {"b is a's double": "b = 2 * a"}},
        broken=("b is a's double",),
    ),
    "missing": Case(
        "every_row",
        rows("a, b", "1, null"),
        rows("a, b", "null::int, 1"),
        {"not_null": texts("a")},
        broken=("a is not null",),
    ),
    "least": Case(
        "every_row",
        rows("n", "0", "null"),
        rows("n", "1", "-0.01"),
        {"at_least": {"n": 0}},
        broken=("n >= 0",),
    ),
    "greatest": Case(
        "every_row",
        rows("n", "1", "3", "null"),
        rows("n", "4"),
        {"between": {"n": [1, 3]}},
        broken=("n between 1 and 3",),
    ),
    "one_of": Case(
        "every_row",
        rows("a", "'x'", "'it''s'", "null"),
        rows("a", "'z'"),
        {"one_of": {"a": texts("x", "it's")}},
        broken=("a is one of x, it's",),
    ),
    "several": Case(
        "every_row",
        rows("n, a", "1, 'x'"),
        rows("n, a", "1, 'x'", "0, 'z'", "2, 'z'"),
        {"not_null": texts("n", "a"), "at_least": {"n": 1}, "one_of": {"a": texts("x", "y")}},
        broken=("a is one of x, y", "a is one of x, y", "n >= 1"),
    ),
    "key": Case(
        "every_row",
        rows("a, b", "1, 1", "1, 2", "2, 1"),
        rows("a, b", "1, 1", "1, 2", "1, 2"),
        {"key": texts("a", "b"), "not_null": texts("a")},
        broken=("a, b comes once", "a, b comes once"),
    ),
    "key_with_null": Case(
        "every_row",
        rows("a, b", "1, null", "1, 1"),
        rows("a, b", "1, null", "1, cast(null as integer)"),
        {"key": texts("a", "b")},
        broken=("a, b comes once",),
    ),
    "enforced_key": Case(
        "every_row",
        "{{ config(materialized='table', indexes=[{'columns': ['k'], 'unique': true}],"
        " post_hook='alter table {{ this }} alter column k set not null') }} select 1 as k",
        "{{ config(materialized='table',"
        " indexes=[{'columns': ['k']}, {'columns': ['k', 'n'], 'unique': true}],"
        " post_hook='create unique index on {{ this }} (n) include (k)') }} select 1 as k, 1 as n",
        {"enforced_key": texts("k")},
        broken=("k cannot be NULL", "k has a unique index"),
    ),
    "index_of_some_rows": Case(
        "every_row",
        "{{ config(materialized='table',"
        " post_hook='alter table {{ this }} add primary key (k, n)') }} select 1 as k, 2 as n",
        "{{ config(materialized='table',"
        " post_hook='alter table {{ this }} alter column k set not null;"
        " alter table {{ this }} alter column n set not null;"
        " create unique index on {{ this }} (n, k) where n > 0') }} select 1 as k, 2 as n",
        {"enforced_key": texts("n", "k")},
        broken=("n, k has a unique index",),
    ),
    "count": Case("row_count", rows("a", "1"), rows("a", "1", "2"), {"rows": 1}),
    "windows": Case(
        "scd2_windows",
        rows(
            "k, valid_from, valid_to, is_current",
            "1, 1, 3, false",
            "1, 3, 5, false",
            "1, 7, null, true",
        ),
        rows("k, valid_from, valid_to, is_current", "1, 1, 4, false", "1, 3, null, true"),
        {"key": "k", "deletions": "ref('history')"},
    ),
    "windows_with_a_gap": Case(
        "scd2_windows",
        rows("k, valid_from, valid_to, is_current", "1, 1, 3, false", "1, 3, null, true"),
        rows("k, valid_from, valid_to, is_current", "1, 1, 3, false", "1, 4, null, true"),
        {"key": "k", "deletions": "ref('history')"},
    ),
    "windows_without_an_end": Case(
        "scd2_windows",
        rows("k, valid_from, valid_to, is_current", "1, 1, cast(null as integer), true"),
        rows("k, valid_from, valid_to, is_current", "1, 1, 5, false"),
        {"key": "k"},
    ),
    "two_current_windows": Case(
        "scd2_windows",
        rows(
            "k, valid_from, valid_to, is_current",
            "1, 1, cast(null as integer), true",
            "2, 3, null, true",
        ),
        rows(
            "k, valid_from, valid_to, is_current",
            "1, 1, null, true",
            "1, 3, cast(null as integer), true",
        ),
        {"key": "k"},
    ),
    "share": Case(
        "share_below",
        rows("is_late", "true", "false", "false", "false"),
        rows("is_late", "true", "false", "false"),
        {"condition": "is_late", "maximum": 0.25},
    ),
    "share_of_enough_rows": Case(
        "share_below",
        rows("is_late", "true", "true"),
        rows("is_late", "true", "true", "true"),
        {"condition": "is_late", "maximum": 0.5, "minimum_rows": 3},
    ),
    "share_of_the_last_days": Case(
        "share_below",
        rows("is_late, day", "true, date '2026-03-08'", "false, date '2026-03-09'"),
        rows("is_late, day", "true, date '2026-03-09'", "false, date '2026-03-08'"),
        {"condition": "is_late", "maximum": 0.5, "date_column": "day", "days": 2},
    ),
    "parents": Case(
        "relationships_where",
        rows("parent, kind", "1, 'child'", "null, 'child'", "9, 'orphan'"),
        rows("parent, kind", "2, 'child'"),
        {
            "to": "ref('parents')",
            "field": "id",
            "from_condition": "kind = 'child'",
            "to_condition": "is_alive",
        },
        "parent",
    ),
    "newest": Case(
        "recency",
        rows("day", "date '2026-03-08'", "date '2020-01-01'"),
        rows("day", "date '2026-03-07'"),
        {"days": 2},
        "day",
    ),
    "email": Case(
        "no_personal_data",
        rows("doc", """cast('{"at": 1767225600000, "page": "/a@b", "v": "+1.2"}' as jsonb)"""),
        rows("doc", """cast('{"note": "jane.roe7@example.com wrote"}' as jsonb)"""),
        {},
        "doc",
    ),
    "phone": Case(
        "no_personal_data",
        rows("doc", """'2026-03-08 10:11:12.123456'""", "'order 4111-22'"),
        rows("doc", "'call +49 (30) 901820'"),
        {},
        "doc",
    ),
    "card": Case(
        "no_personal_data",
        rows("doc", """cast('{"n": 4111111111111111, "id": "evt4111111111111111"}' as jsonb)"""),
        rows("doc", """cast('{"memo": "card 4111 1111 1111 1111, please"}' as jsonb)"""),
        {},
        "doc",
    ),
    "card_without_spaces": Case(
        "no_personal_data",
        rows("doc", "'4111'"),
        rows("doc", """cast('["378282246310005"]' as jsonb)"""),
        {},
        "doc",
    ),
    "card_in_a_list": Case(
        "no_personal_data",
        rows(
            "doc",
            """cast('{"a": [5105105105105100, {"b": 4111111111111111}], "c": "0.4111 22"}'"""
            " as jsonb)",
        ),
        rows("doc", """cast('{"a": [1, {"b": "cards [5105105105105100]"}]}' as jsonb)"""),
        {},
        "doc",
    ),
    "card_with_dots_before_a_number": Case(
        "no_personal_data",
        rows("doc", """cast('{"version": "4111.11.11"}' as jsonb)"""),
        rows("doc", """cast('{"note": "4111.1111.1111.1111, 2 pieces"}' as jsonb)"""),
        {},
        "doc",
    ),
    "card_in_a_name": Case(
        "no_personal_data",
        rows("doc", """cast('{"2220 0000 0000 0000": 1, "2721 0000 0000 0000": 2}' as jsonb)"""),
        rows("doc", """cast('{"paid": {"2720 9999 9999 9999": true}}' as jsonb)"""),
        {},
        "doc",
    ),
    "phone_without_a_country": Case(
        "no_personal_data",
        rows(
            "doc", "'order 415-55-0132, 4155550132, item x-415-555-0132'", "'2026-03-08 10:11:12'"
        ),
        rows("doc", "'(415) 555-0132'"),
        {},
        "doc",
    ),
    "phone_with_hyphens": Case(
        "no_personal_data",
        rows("doc", "'115-555-0132'"),
        rows("doc", "'call 415-555-0132 today'"),
        {},
        "doc",
    ),
    "totals": Case(
        "same_totals",
        rows("day, revenue", "1, 10", "1, 0.01", "2, 5", "4, 0"),
        rows("day, revenue", "1, 10", "2, 5.01"),
        {
            "other": "ref('ledger')",
            "columns": ["revenue"],
            "other_columns": ["amount"],
            "by": ["day"],
            "other_where": "counts",
        },
    ),
    "grand_totals": Case(
        "same_totals",
        rows("amount", "15.01"),
        rows("amount", "15"),
        {"other": "ref('ledger')", "columns": ["amount"], "other_where": "counts"},
    ),
}
HELPERS = {
    "history": rows("k, updated_at, is_deleted", "1, 1, false", "1, 3, false", "1, 5, true"),
    "as_of": f"select date '{TODAY}' as as_of",
    "parents": rows("id, is_alive", "1, true", "2, false"),
    "ledger": rows(
        "day, amount, counts", "1, 10.01, true", "2, 2.5, true", "2, 2.5, true", "2, 99, false"
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dbt project with the real macros and generic tests, and two models for each case.

    It uses dbt's own view materialization: that of the package needs tables which a hook creates.
    """
    folder = tmp_path_factory.mktemp("generic_tests")
    without_views = shutil.ignore_patterns("view.sql")
    shutil.copytree(PROJECT / "macros", folder / "macros", ignore=without_views)
    shutil.copytree(PROJECT / "tests" / "generic", folder / "tests" / "generic")
    shutil.copy(PROJECT / "profiles.yml", folder)
    ours = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())
    settings = {key: ours[key] for key in ("name", "version", "config-version", "profile", "vars")}
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(settings))
    models = folder / "models"
    models.mkdir()
    for name, sql in HELPERS.items():
        (models / f"{name}.sql").write_text(sql)
    described = []
    for name, case in CASES.items():
        for kind, sql in (("good", case.good), ("bad", case.bad)):
            (models / f"{kind}_{name}.sql").write_text(sql)
            tests = [{case.test: {"name": f"{kind}_{name}_test", "arguments": case.arguments}}]
            columns = [{"name": case.column, "data_tests": tests}] if case.column else []
            described.append(
                {
                    "name": f"{kind}_{name}",
                    "columns": columns,
                    "data_tests": [] if case.column else tests,
                }
            )
    (models / "models.yml").write_text(
        yaml.safe_dump({"version": 2, "models": described}, sort_keys=False)
    )
    return folder


def test_each_generic_test_passes_good_rows_and_fails_bad_ones(
    project: Path, warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.cli.main import dbtRunner

    for key, value in dbt_environment(warehouse).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("DBT_PROJECT_DIR", str(project))
    monkeypatch.setenv("DBT_PROFILES_DIR", str(project))
    monkeypatch.setenv("DBT_TARGET_PATH", str(project / "target"))
    monkeypatch.setenv("DBT_LOG_PATH", str(project / "logs"))
    monkeypatch.chdir(project)
    result = dbtRunner().invoke(["--quiet", "build"])
    assert result.result is not None, result.exception
    status = {node.node.name: node.status for node in result.result.results}
    message = {node.node.name: node.message for node in result.result.results}
    expected = {
        f"{kind}_{name}_test": outcome
        for name in CASES
        for kind, outcome in (("good", "pass"), ("bad", "fail"))
    }
    wrong = {
        name: (status[name], message[name])
        for name, outcome in expected.items()
        if status[name] != outcome
    }
    assert not wrong
    queries = {node.node.name: node.node.compiled_code for node in result.result.results}
    with psycopg.connect(warehouse.dsn("transformer")) as server:
        for name, case in CASES.items():
            if case.test == "every_row":
                query = f"select _rule from ({queries[f'bad_{name}_test']}) as failing order by 1"
                assert [rule for (rule,) in server.execute(query.encode())] == list(case.broken), (
                    name
                )


def test_every_generic_test_has_a_case() -> None:
    assert {path.stem for path in (PROJECT / "tests" / "generic").glob("*.sql")} == {
        case.test for case in CASES.values()
    }
