"""The rights of each role in a warehouse; creating a warehouse is safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from psycopg import errors

from saas_analytics.cli import main
from saas_analytics.settings import Role, Settings
from saas_analytics.warehouse import WarehouseError, connect, ensure_cluster, ensure_warehouse
from tests.server import drop_database


@pytest.fixture
def filled(warehouse: Settings) -> Settings:
    """A warehouse with a table of the loader in raw, and the transformer's in core and marts."""
    with connect(warehouse, "loader") as loader:
        loader.execute(
            "create table raw.things (id text, _partition text) partition by list (_partition)"
        )
        loader.execute("create table raw.things_1 partition of raw.things for values in ('1')")
        loader.execute("insert into raw.things values ('a', '1')")
    with connect(warehouse, "transformer") as transformer:
        transformer.execute("create table core.facts as select * from raw.things")
        transformer.execute("create table marts.figures as select count(*) as n from core.facts")
    return warehouse


def run(settings: Settings, role: Role, statement: str) -> list[tuple[object, ...]]:
    with connect(settings, role) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload,unused-ignore]
        return cursor.fetchall() if cursor.description else []


def test_each_role_can_do_its_work(filled: Settings) -> None:
    assert run(filled, "transformer", "select id from raw.things") == [("a",)]
    assert run(filled, "reporter", "select n from marts.figures") == [(1,)]
    run(filled, "transformer", "create temporary table scratch as select 1 as n")
    run(
        filled,
        "transformer",
        "insert into quality.pipeline_runs (day, summary) values ('2026-01-01', '{}')",
    )
    assert run(filled, "owner", "select id from raw.things") == [("a",)]
    for table in ("marts.figures", "core.facts", "raw.things"):
        run(filled, "owner", f"drop table {table}")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("loader", "select * from core.facts"),
        ("loader", "create table staging.mine (n int)"),
        ("loader", "create table public.mine (n int)"),
        ("loader", "create schema mine"),
        ("transformer", "delete from raw.things"),
        ("transformer", "create table raw.mine (n int)"),
        ("transformer", "delete from quality.pipeline_runs"),
        ("transformer", "create schema mine"),
        ("reporter", "select * from raw.things"),
        ("reporter", "select * from core.facts"),
        ("reporter", "create temporary table scratch (n int)"),
    ],
)
def test_no_role_can_do_more(filled: Settings, role: Role, statement: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
        run(filled, role, statement)


def test_the_reporter_is_read_only_even_with_rights(filled: Settings) -> None:
    run(filled, "transformer", "grant insert on marts.figures to reporter")
    with pytest.raises(errors.ReadOnlySqlTransaction):
        run(filled, "reporter", "insert into marts.figures values (2)")
    assert run(filled, "reporter", "show statement_timeout") == [("30s",)]


@pytest.mark.parametrize("database", ["airflow", "postgres", "template1"])
@pytest.mark.parametrize("role", ["loader", "transformer", "reporter"])
def test_roles_stay_out_of_other_databases(warehouse: Settings, role: Role, database: str) -> None:
    with pytest.raises(WarehouseError, match="The server runs, and refused this"):
        connect(warehouse, role, database)


def test_airflow_stays_out_of_the_warehouse(warehouse: Settings) -> None:
    dsn = psycopg.conninfo.make_conninfo(
        warehouse.dsn("owner"), user="airflow", password=warehouse.secret("AIRFLOW_DB_PASSWORD")
    )
    with pytest.raises(psycopg.OperationalError, match="CONNECT"):
        psycopg.connect(dsn)


def test_every_session_is_in_utc(warehouse: Settings) -> None:
    with psycopg.connect(
        psycopg.conninfo.make_conninfo(warehouse.dsn("transformer"), options="")
    ) as connection:
        assert connection.execute("show timezone").fetchone() == ("UTC",)


def test_passwords_are_stored_hashed_and_follow_the_settings(postgres: Settings) -> None:
    ensure_cluster(postgres)
    with psycopg.connect(postgres.admin_dsn()) as server:
        stored = server.execute("select rolpassword from pg_authid where rolcanlogin").fetchall()
    assert len(stored) == 7
    assert all(password.startswith("SCRAM-SHA-256$") for (password,) in stored)

    wrong = replace(
        postgres, _secrets={**postgres._secrets, "WAREHOUSE_LOADER_PASSWORD": "another"}
    )
    with pytest.raises(WarehouseError, match=r"as loader: .*password authentication failed"):
        connect(wrong, "loader", "postgres")


def test_creating_a_warehouse_again_keeps_its_data(filled: Settings) -> None:
    ensure_cluster(filled)
    ensure_warehouse(filled)
    # Without its comment the warehouse looks older than the SQL files.
    with connect(filled, "owner", autocommit=True) as owner:
        owner.execute(f"comment on database {filled.database} is null".encode())
    ensure_warehouse(filled)
    assert run(filled, "reporter", "select n from marts.figures") == [(1,)]


def test_several_at_once_create_one_warehouse(postgres: Settings) -> None:
    settings = replace(postgres, database="made_at_once")
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ensure_warehouse(settings), range(4)))
        assert run(settings, "reporter", "select 1") == [(1,)]
    finally:
        drop_database(postgres, "made_at_once")


def test_warehouses_on_one_server_do_not_see_each_other(
    new_warehouse: Callable[[], Settings],
) -> None:
    one, two = new_warehouse(), new_warehouse()
    run(one, "transformer", "create table marts.figures as select 1 as n")
    with pytest.raises(errors.UndefinedTable):
        run(two, "reporter", "select * from marts.figures")


def test_a_server_that_is_down_says_what_to_do(postgres: Settings) -> None:
    with pytest.raises(
        WarehouseError,
        match=r"(?s)127.0.0.1:1, database analytics, as loader: .*refused.*`make up`",
    ):
        connect(replace(postgres, port=1), "loader")


def test_a_reserved_name_is_refused(postgres: Settings) -> None:
    with pytest.raises(WarehouseError, match="'airflow' cannot be the name of a warehouse"):
        ensure_warehouse(postgres, "airflow")


def test_the_command_creates_a_warehouse(
    postgres: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, value in postgres.environment().items():
        monkeypatch.setenv(key, value)
    try:
        assert main(["create-warehouse", "--cluster", "--warehouse", "by_command"]) == 0
        assert "by_command is up to date" in capsys.readouterr().out
        assert run(replace(postgres, database="by_command"), "owner", "select 1") == [(1,)]
    finally:
        drop_database(postgres, "by_command")
    assert main(["create-warehouse", "--warehouse", "No"]) == 1
    assert "is not a name for a warehouse" in capsys.readouterr().err
