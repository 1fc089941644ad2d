"""The dbt package exact by itself: its example, in a database without anything of this project.

The tests show that another team can use the package, and how a build handles a changed definition.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from saas_analytics.pipeline import dbt_process
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.server import drop_database
from tests.warehouse.conftest import copy_of

PACKAGE = PROJECT_ROOT / "dbt" / "packages" / "exact"
MODELS = ("base_orders", "base_prices", "orders", "prices", "sales", "weekly_sales")
TABLES = tuple(name for name in MODELS if name != "orders")
# The messages of models that had nothing to write.
NOTHING = {"nothing changed", "nothing landed", "nothing affected"}
Row = tuple[Any, ...]
Landed = tuple[str, ...]  # the columns of a raw table, without those of landing


@dataclass
class Shop:
    """The example in a copy of the package, and its database."""

    package: Path
    dsn: str
    patch: pytest.MonkeyPatch

    @property
    def project(self) -> Path:
        return self.package / "example"

    def build(self, *arguments: str) -> dict[str, str]:
        """One `dbt run`, which must succeed. Returns its message for each model."""
        from dbt.cli.main import dbtRunner

        self.patch.chdir(self.project)
        result = dbtRunner().invoke(["--quiet", "run", *arguments])
        nodes = getattr(result.result, "results", [])
        said = {node.node.name: node.message for node in nodes}
        assert result.success, result.exception or said
        return {name: said[name] for name in said if name in MODELS}

    def query(self, query: str) -> list[Row]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def land(self, source: str, day: date, *rows: Landed, replaces: int | None = None) -> int:
        """Land a file of the day. It supersedes the load `replaces`."""
        table = sql.Identifier("example_raw", source)
        with psycopg.connect(self.dsn) as connection:
            insert = "insert into example_raw.loads (source, landed_on) values (%s, %s) returning *"
            load = connection.execute(insert, [source, day]).fetchall()[0][0]
            if replaces:
                superseded = "update example_raw.loads set superseded_by = %s where load_id = %s"
                connection.execute(superseded, [load, replaces])
                gone = sql.SQL("delete from {} where _load_id = %s")
                connection.execute(gone.format(table), [replaces])
            for line, row in enumerate(rows, 1):
                values = [*row, f"{source}.csv", line, load, day.isoformat()]
                literals = sql.SQL(", ").join(map(sql.Literal, values))
                connection.execute(sql.SQL("insert into {} values ({})").format(table, literals))
        return int(load)

    def expire(self, load: int, source: str) -> None:
        """Delete the raw rows of a load that the models have read."""
        table = sql.Identifier("example_raw", source)
        with psycopg.connect(self.dsn) as connection:
            expired = "update example_raw.loads set retired_at = now() where load_id = %s"
            connection.execute(expired, [load])
            gone = sql.SQL("delete from {} where _load_id = %s")
            connection.execute(gone.format(table), [load])

    def change(self, file: str, text: str, instead: str) -> None:
        path = self.project / "models" / file
        assert text in path.read_text(), f"{file} does not say {text!r}"
        path.write_text(path.read_text().replace(text, instead))

    def contents(self) -> dict[str, list[Row]]:
        """The rows of every model, as sorted text."""
        query = "select t::text from example.{} as t order by 1"
        return {name: self.query(query.format(name)) for name in MODELS}

    def places(self) -> dict[str, list[Row]]:
        """The position of each row, and the transaction that wrote it."""
        query = "select tableoid, ctid::text, xmin::text from example.{} order by 1, 2"
        return {name: self.query(query.format(name)) for name in TABLES}

    def built(self, column: str) -> dict[str, Any]:
        """A column of change_feed.models, by model."""
        rows = self.query(f"select model, {column} from change_feed.models")
        return {row[0]: row[1] for row in rows}

    def rename_database(self, name: str) -> None:
        old = psycopg.conninfo.conninfo_to_dict(self.dsn)["dbname"]
        with psycopg.connect(self.dsn, dbname="postgres", autocommit=True) as server:
            rename = sql.SQL("alter database {} rename to {}")
            server.execute(rename.format(sql.Identifier(str(old)), sql.Identifier(name)))
        self.dsn = psycopg.conninfo.make_conninfo(self.dsn, dbname=name)
        self.patch.setenv("PGDATABASE", name)

    def keep_change_logs(self) -> None:
        """Register a model that never reads the change logs, so that they are not pruned."""
        for model in TABLES:
            self.query(f"insert into change_feed.consumed values ('base_prices', '{model}', 0)")

    def changes(self, model: str, columns: str) -> list[Row]:
        """The rows that the last change of a model added to its change log."""
        last = f"select last_seq from change_feed.models where model = '{model}'"
        query = f"select distinct {columns} from change_feed.{model} where _seq = ({last})"
        return sorted(self.query(query))

    def positions(self, model: str) -> list[Row]:
        """How far a model has followed each of its upstreams."""
        query = f"select upstream, seq from change_feed.consumed where model = '{model}'"
        return sorted(self.query(query))

    def last_changes(self, *models: str) -> list[Row]:
        last = self.built("last_seq")
        return [(model, last[model]) for model in models]

    def assert_exact(self) -> None:
        """Every model equals, row for row, a full refresh of the same raw data."""
        before = self.contents()
        assert all(before.values())
        self.build("--full-refresh")
        assert self.contents() == before


@pytest.fixture
def shop(
    postgres: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    worker_id: str,
) -> Iterator[Shop]:
    """The example as another team starts it: `psql --file raw.sql`, `dbt deps`, no network."""
    dbt_process.load()
    from dbt.cli.main import dbtRunner

    # dbt takes modules called dbt_... for its plugins; those of Airflow need settings.
    paths = [path for path in sys.path if not path.endswith("airflow/plugins")]
    monkeypatch.setattr(sys, "path", paths)
    database = f"example_{worker_id}"
    with psycopg.connect(postgres.admin_dsn(), autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
    try:
        dsn = postgres.admin_dsn(database)
        package = copy_of(PACKAGE, tmp_path / "exact")
        address = psycopg.conninfo.conninfo_to_dict(dsn)
        for key in ("host", "port", "user", "password"):
            monkeypatch.setenv(f"PG{key.upper()}", str(address[key]))
        monkeypatch.setenv("PGDATABASE", database)
        for name in ("PROJECT_DIR", "PROFILES_DIR"):
            monkeypatch.setenv(f"DBT_{name}", str(package / "example"))
        monkeypatch.setenv("DBT_TARGET_PATH", str(package / "example" / "target"))
        monkeypatch.setenv("DBT_LOG_PATH", str(package / "example" / "logs"))
        shop = Shop(package, dsn, monkeypatch)
        shop.query((package / "example" / "raw.sql").read_text())
        monkeypatch.chdir(shop.project)
        installed = dbtRunner().invoke(["--quiet", "deps"])
        assert installed.success, installed.exception
        yield shop
    finally:
        for name in (database, f"{database}_renamed"):
            drop_database(postgres, name)


def test_the_example_is_exact(shop: Shop) -> None:
    """Orders and prices land in any order and are corrected. A full refresh gives the same rows."""
    shop.build()
    amounts = "select order_id, amount from example.sales order by 1"
    assert shop.query(amounts) == [("o1", 8), ("o2", 9)]
    verdicts = "select order_id, _row_status, _reject_rule from example.base_orders order by 1"
    assert shop.query(verdicts)[-1] == ("o3", "rejected", "quantity_unreadable")
    shop.keep_change_logs()
    oid = "select 'example.orders'::regclass::oid"
    view, rebuilt = shop.query(oid), shop.built("rebuilt_seq")

    january, february = date(2026, 1, 9), date(2026, 2, 3)
    early, late = ("o4", "cup", "2026-01-08", "3"), ("o5", "cup", "2026-02-02", "1")
    first = shop.land("orders", january, early, late)
    shop.build()
    # A version 2026-01-01..open becomes 2026-01-01..2026-02-01, and another begins: see README.md.
    shop.land("prices", february, ("cup", "2026-02-01", "10.00"))
    shop.build()
    windows = shop.changes("prices", "product_id, valid_from, valid_to")
    assert windows == [("cup", date(2026, 2, 1), None)]
    assert shop.changes("sales", "order_id") == [("o5",)]
    # A corrected file: one order is withdrawn, one has another quantity, one is new.
    corrected = [("o5", "cup", "2026-02-02", "2"), ("o6", "tea", "2026-01-07", "1")]
    shop.land("orders", january, *corrected, replaces=first)
    # A late order, a new version of a known order, and a late price.
    again = [("o7", "tea", "2026-01-03", "4"), ("o1", "tea", "2026-01-02", "5")]
    shop.land("orders", february, *again)
    shop.land("prices", february, ("tea", "2026-01-03", "4.50"))
    shop.build()
    assert shop.query(amounts) == [("o1", 20), ("o2", 9), ("o5", 20), ("o6", 4.5), ("o7", 18)]
    weeks = "select ordered_on::text, amount_of_week from example.weekly_sales order by 1"
    assert shop.query(weeks) == [
        ("2026-01-02", 20),
        ("2026-01-03", 38),
        ("2026-01-05", 47),
        ("2026-01-07", 51.5),
        ("2026-02-02", 20),
    ]
    assert (shop.query(oid), shop.built("rebuilt_seq")) == (view, rebuilt)
    assert set(shop.build().values()) == NOTHING
    shop.assert_exact()


# Renames that change no rows, made in every file: a pattern and its replacement.
RENAMES = {
    "a marker": (r"\baffected_when\b", "affects_keys"),
    "another": (r"\bwhen_affected\b", "only_affected"),
    "the condition on keys": (r"\baffected\((?=['\"])", "in_keys_of("),
    "the package": (r"\bexact(?=\.\w+\()|(?<=name: )exact\b", "precise"),
}


def test_a_rename_or_a_comment_changes_no_definition(shop: Shop) -> None:
    shop.build()
    definitions, places = shop.built("definition"), shop.places()
    begin = "with versions as ("
    shop.change("prices.sql", begin, f"-- it's the 'versions'\n{begin} /* each */")
    shop.change("base_orders.sql", "    where {{", "    -- the new ones\n    where\n        {{")
    shop.change("orders.sql", "select\n", "/* all that count */\nselect\n")
    sales = shop.project / "models" / "sales.sql"
    text = sales.read_text()
    (clause,) = re.findall(r"\{\{ exact.affected_by.*\n", text)
    end = "{% endcall %}\n"
    sales.write_text(text.replace(clause, "").replace(end, end + clause))
    view = shop.query("select 'example.orders'::regclass::oid")
    messages = shop.build()
    assert (shop.built("definition"), shop.places()) == (definitions, places)
    assert shop.query("select 'example.orders'::regclass::oid") == view
    assert set(messages.values()) == NOTHING

    for pattern, instead in RENAMES.values():
        for path in [*shop.package.glob("macros/*.sql"), *shop.project.glob("*/*.sql")]:
            path.write_text(re.sub(pattern, instead, path.read_text()))
        for path in (shop.package / "dbt_project.yml", shop.project / "dbt_project.yml"):
            path.write_text(re.sub(pattern, instead, path.read_text()))
    # The macro itself, which takes its columns as varargs.
    markers = shop.package / "macros" / "markers.sql"
    markers.write_text(markers.read_text().replace("macro affected()", "macro in_keys_of()"))
    shutil.rmtree(shop.project / "dbt_packages")
    (shop.project / "dbt_packages").mkdir()
    (shop.project / "dbt_packages" / "precise").symlink_to(shop.package)
    (shop.project / "package-lock.yml").unlink()
    shop.rename_database(f"{os.environ['PGDATABASE']}_renamed")
    text = sales.read_text()
    assert "precise.affects_keys()" in text and "precise.in_keys_of(" in text
    shop.build()
    assert (shop.built("definition"), shop.places()) == (definitions, places)
    # The renamed package still builds the affected keys.
    shop.keep_change_logs()
    shop.land("orders", date(2026, 1, 9), ("o4", "cup", "2026-01-08", "3"))
    shop.build()
    assert shop.changes("sales", "order_id") == [("o4",)]
    shop.assert_exact()


def test_a_changed_definition_with_the_same_rows_writes_none(shop: Shop) -> None:
    rows = [("o4", "cup", "2026-01-08", "3"), ("o1", "tea", "2026-01-02", "2")]
    shop.land("orders", date(2026, 1, 9), *rows)
    shop.build()
    shop.query("create view public.of_a_reader as select * from example.sales")
    before = {name: shop.built(name) for name in ("rebuilt_seq", "last_seq", "definition")}
    places, view = shop.places(), shop.query("select 'example.orders'::regclass::oid")
    shop.change("base_orders.sql", "'^\\d{1,6}$'", "'^[0-9]{1,6}$'")
    shop.change("orders.sql", "_row_status = 'accepted'", "not _row_status <> 'accepted'")
    shop.change("prices.sql", "valid_to is null as", "not valid_to is not null as")
    shop.change("sales.sql", "orders.quantity * prices.price", "prices.price * orders.quantity")
    recomputed = {"base_orders", "prices", "sales"}
    messages = shop.build()
    assert {messages[name] for name in recomputed} == {"nothing changed"}
    assert messages["base_prices"] == "nothing landed"
    assert messages["weekly_sales"] == "nothing affected"
    assert shop.places() == places
    assert shop.query("select 'example.orders'::regclass::oid") != view
    assert shop.built("rebuilt_seq") == before["rebuilt_seq"]
    assert shop.built("last_seq") == before["last_seq"]
    old, new = before["definition"], shop.built("definition")
    assert {name for name in TABLES if new[name] != old[name]} == recomputed
    assert shop.query("select count(*) from public.of_a_reader") == [(3,)]
    # The next build knows the new definitions.
    assert shop.build()["sales"] == "nothing affected"
    shop.assert_exact()


def test_a_changed_definition_writes_the_rows_that_differ(shop: Shop) -> None:
    """Downstream models follow these rows, also if others land before the same build."""
    rows = [("o4", "cup", "2026-01-08", "3"), ("o6", "tea", "2026-02-08", "3")]
    shop.land("orders", date(2026, 1, 9), *rows)
    shop.build()
    shop.keep_change_logs()
    shop.query("create role reader")
    shop.query("grant select on example.sales to reader")
    shop.query("create view public.of_a_reader as select * from example.sales")
    shop.query("create index of_somebody on example.sales (amount)")
    rebuilt, oid = shop.built("rebuilt_seq"), shop.query("select 'example.sales'::regclass::oid")
    places, position = shop.places(), shop.built("last_seq")["sales"]
    one_more = "prices.price + case orders.order_id when 'o4' then 1 else 0 end"
    shop.change("sales.sql", "prices.price as", f"{one_more} as")
    shop.build()
    assert shop.built("rebuilt_seq") == rebuilt
    news = f"select distinct order_id from change_feed.sales where _seq > {position}"
    assert shop.query(news) == [("o4",)]
    assert shop.changes("weekly_sales", "ordered_on") == [(date(2026, 1, 8),)]
    assert len(set(shop.places()["sales"]) - set(places["sales"])) == 1
    assert shop.query("select 'example.sales'::regclass::oid") == oid
    may_read = "select has_table_privilege('reader', 'example.sales', 'select')"
    assert shop.query(may_read) == [(True,)]
    assert shop.query("select amount from public.of_a_reader where order_id = 'o4'") == [(28,)]
    assert shop.query("select to_regclass('example.of_somebody') is not null") == [(True,)]
    # Changed definitions of a model of versions and of one that reads loads, after a landing.
    shop.change("base_orders.sql", "cast(quantity as integer)", "cast(quantity as integer) * 2")
    shop.change("prices.sql", "        price,\n", "        price + 1 as price,\n")
    shop.land("prices", date(2026, 1, 10), ("cup", "2026-01-06", "12.00"))
    rows = [("o7", "cup", "2026-01-07", "1"), ("o2", "cup", "2026-01-04", "1")]
    shop.land("orders", date(2026, 1, 10), *rows)
    shop.build()
    assert shop.built("rebuilt_seq") == rebuilt
    ids = [(order_id,) for order_id in ("o1", "o2", "o4", "o6", "o7")]
    assert shop.changes("base_orders", "order_id") == ids
    assert shop.positions("sales") == shop.last_changes("base_orders", "prices")
    amounts = "select order_id, amount from example.sales order by 1"
    assert shop.query(amounts) == [("o1", 20), ("o2", 20), ("o4", 79), ("o6", 30), ("o7", 26)]
    shop.query("drop owned by reader")
    shop.query("drop role reader")
    shop.assert_exact()


def test_a_model_with_a_new_upstream_follows_it_from_then_on(shop: Shop) -> None:
    """It is computed from its upstreams as they are, and has a position only in those."""
    shop.land("orders", date(2026, 1, 9), ("o4", "cup", "2026-02-08", "3"))
    shop.build()
    rebuilt = shop.built("rebuilt_seq")
    model = shop.project / "models" / "weekly_sales.sql"
    original = model.read_text()
    marker = "{{ exact.affected_by('orders', [\"cast('2026-01-01' as date)\"]) }}"
    shop.change("weekly_sales.sql", "{% call", f"{marker}\n{{% call")
    shop.build()
    assert shop.positions("weekly_sales") == shop.last_changes("base_orders", "sales")
    shop.land("orders", date(2026, 1, 9), ("o5", "cup", "2026-01-08", "1"))
    shop.build()
    assert shop.positions("weekly_sales") == shop.last_changes("base_orders", "sales")
    model.write_text(original)
    shop.build()
    assert shop.positions("weekly_sales") == shop.last_changes("sales")
    # No model still has to read what weekly_sales followed: the change log of orders is pruned.
    assert shop.query("select count(*) from change_feed.base_orders") == [(0,)]
    assert shop.built("rebuilt_seq") == rebuilt
    shop.assert_exact()


def test_a_changed_shape_rebuilds_the_model_and_those_that_follow_it(shop: Shop) -> None:
    shop.build()
    following = {"sales", "weekly_sales"}

    def rebuilt_by(file: str, text: str, instead: str) -> set[str]:
        before = shop.built("rebuilt_seq")
        shop.change(file, text, instead)
        shop.build()
        return {name for name, seq in shop.built("rebuilt_seq").items() if seq != before[name]}

    amount = "prices.price as amount"
    assert rebuilt_by("sales.sql", amount, f"{amount},\n    1 as one") == following
    log = "change_log=['order_id', 'ordered_on'"
    assert rebuilt_by("sales.sql", f"{log}]", f"{log}, 'product_id']") == following
    assert rebuilt_by("prices.sql", "'derived': ['is_current']", "'derived': []") == set()
    # Without a window the change log has the rows before and after a change, and the database has
    # no exclusion constraint.
    key, log = "rebuild_key=['product_id']", "change_log=['product_id', 'valid_from', 'valid_to']"
    shop.change("prices.sql", key, f"{key}, {log}")
    constraint = "select count(*) from pg_constraint where conname = 'prices_do_not_overlap'"
    assert shop.query(constraint) == [(1,)]
    window = "window={'from': 'valid_from', 'to': 'valid_to', 'derived': []},"
    assert rebuilt_by("prices.sql", window, "") == {"prices", *following}
    assert shop.query(constraint) == [(0,)]
    shop.assert_exact()


def test_rows_are_compared_in_the_types_of_the_contract(shop: Shop) -> None:
    """The query may return more decimals than the contract, and its columns in another order."""
    columns = {"ordered_on": "date", "amount_of_week": "numeric(12, 1)", "amount": "numeric"}
    line = "      - {{name: {}, data_type: '{}'}}\n"
    lines = [line.format(*column) for column in columns.items()]
    contract = "    config: {contract: {enforced: true}}\n    columns:\n"
    (shop.project / "models" / "weekly_sales.yml").write_text(
        "version: 2\nmodels:\n  - name: weekly_sales\n" + contract + "".join(lines)
    )
    shop.land("prices", date(2026, 1, 1), ("tea", "2026-01-01", "4.44"))
    shop.build()
    rebuilt, places = shop.built("rebuilt_seq"), shop.places()
    shop.change("weekly_sales.sql", "from summed", "from (select * from summed) as summed")
    assert shop.build()["weekly_sales"] == "nothing changed"
    assert (shop.built("rebuilt_seq"), shop.places()) == (rebuilt, places)
    shop.assert_exact()


def test_a_changed_definition_keeps_rows_that_have_expired_from_raw(shop: Shop) -> None:
    """Their verdicts still change: a landed or withdrawn row decides which row of a key is last."""
    days = [date(2026, 1, day) for day in (6, 7, 8)]
    accepted, older, rejected = (
        ("o4", "cup", "2026-01-05", "3"),
        ("o5", "tea", "2026-01-05", "1"),
        ("o8", "tea", "x", "1"),
    )
    old = shop.land("orders", days[0], accepted, older, rejected)
    second = shop.land("orders", days[1], ("o5", "tea", "2026-01-06", "2"))
    shop.build()
    shop.expire(old, "orders")
    statuses = "select order_id, _row_status from example.base_orders"
    statuses += f" where _load_id = {old} order by 1"
    assert shop.query(statuses) == [("o4", "accepted"), ("o5", "duplicate"), ("o8", "rejected")]
    rebuilt, before = shop.built("rebuilt_seq"), shop.contents()
    shop.change("base_orders.sql", "'^\\d{1,6}$'", "'^[0-9]{1,6}$'")
    shop.build()
    assert (shop.contents(), shop.built("rebuilt_seq")) == (before, rebuilt)
    # Another quantity for the rows that raw still has; and the load of the last row is superseded.
    shop.change("base_orders.sql", "cast(quantity as integer)", "10 * cast(quantity as integer)")
    shop.land("orders", days[1], ("o6", "cup", "2026-01-06", "1"), replaces=second)
    shop.build()
    assert shop.query(statuses) == [("o4", "accepted"), ("o5", "accepted"), ("o8", "rejected")]
    quantities = "select order_id, quantity from example.orders order by 1"
    assert shop.query(quantities) == [("o1", 20), ("o2", 10), ("o4", 3), ("o5", 1), ("o6", 10)]
    amounts = "select order_id, amount from example.sales where order_id > 'o3' order by 1"
    assert shop.query(amounts) == [("o4", 27), ("o5", 4), ("o6", 90)]
    assert shop.built("rebuilt_seq") == rebuilt
    # The rows of a superseded load go, expired or not.
    shop.land("orders", days[0], accepted, older, replaces=old)
    shop.change("base_orders.sql", "10 * cast", "100 * cast")
    shop.build()
    assert shop.query(statuses) == []
    shop.assert_exact()
