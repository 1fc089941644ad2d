"""External files land by a mapping: each once, corrections replace, real data to the row."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from saas_analytics.landing.errors import LandingError
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.integration.landing_help import DATA, DAY, MAPPINGS, command, put, query, statuses
from tests.integration.landing_help import land_external as land
from tests.server import drop_database
from tests.waiting import patience

ORDERS = """
source: orders
format: csv
columns: {order_id: id, customer_id: who, ordered_at: at}
where: {id: "not like 'C%'"}
distinct: [order_id]
"""
FILE = b"""id,who,at
1,c1,2026-01-01 10:00:00
1,c1,2026-01-01 10:00:00
2,c2,2026-01-02
C3,c3,2026-01-03
"""


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(ORDERS)
    return path


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def test_a_file_lands_and_is_moved(warehouse: Settings, mapping: Path, inbox: Path) -> None:
    path = put(inbox, "a.csv", FILE)

    (outcome,) = land(warehouse, mapping, path)

    assert (outcome.counts.read, outcome.counts.landed, outcome.counts.filtered) == (4, 2, 2)
    assert query(
        warehouse,
        "select order_id, ordered_at, _file, _line, _load_id, _partition from raw.orders"
        " order by 1",
    ) == [
        ("1", "2026-01-01T10:00:00+00:00", "a.csv", 2, outcome.load_id, "2026-01-05/files"),
        ("2", "2026-01-02T00:00:00+00:00", "a.csv", 4, outcome.load_id, "2026-01-05/files"),
    ]
    assert query(warehouse, "select origin, name, landed_on, mapping from raw.loads") == [
        ("file", "a.csv", DAY, "shop")
    ]
    assert query(warehouse, "select event_day, rows_brought from raw.touched_days order by 1") == [
        (date(2026, 1, 1), 1),
        (date(2026, 1, 2), 1),
    ]
    assert not path.exists()
    assert (inbox / "processed" / "a.csv").read_bytes() == FILE


def test_the_same_bytes_under_any_name_are_the_same_file(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    land(warehouse, mapping, put(inbox, "a.csv", FILE))

    (same_name,) = land(warehouse, mapping, put(inbox, "a.csv", FILE), date(2026, 1, 9))
    (other_name,) = land(warehouse, mapping, put(inbox, "b.csv", FILE), date(2026, 1, 9))

    assert (same_name.status, other_name.status) == ("unchanged", "unchanged")
    assert "as a.csv" in other_name.message
    assert query(warehouse, "select count(*) from raw.orders") == [(2,)]
    assert sorted(path.name for path in (inbox / "processed").iterdir()) == ["a.csv", "b.csv"]


def test_the_same_name_with_other_bytes_is_a_correction(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    (first,) = land(warehouse, mapping, put(inbox, "a.csv", FILE))
    land(warehouse, mapping, put(inbox, "b.csv", b"id,who,at\n9,c9,2026-01-01\n"))

    (second,) = land(
        warehouse, mapping, put(inbox, "a.csv", b"id,who,at\n1,c1,2026-01-04\n"), date(2026, 1, 9)
    )

    assert second.status == "replaced"
    assert query(warehouse, "select order_id, _partition from raw.orders order by 1") == [
        ("1", "2026-01-09/files"),
        ("9", "2026-01-05/files"),
    ]
    assert query(
        warehouse, "select load_id, superseded_by from raw.loads where name = 'a.csv' order by 1"
    ) == [
        (first.load_id, second.load_id),
        (second.load_id, None),
    ]
    assert query(
        warehouse,
        "select event_day, rows_brought, rows_taken_away from raw.touched_days"
        f" where load_id = {second.load_id} order by 1",
    ) == [(date(2026, 1, 1), 0, 1), (date(2026, 1, 2), 0, 1), (date(2026, 1, 4), 1, 0)]
    kept = sorted(path.name for path in (inbox / "processed").iterdir())
    assert len(kept) == 3 and kept[0].startswith("a.") and kept[1:] == ["a.csv", "b.csv"]


def test_back_to_the_first_bytes_is_a_correction_too(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    other = b"id,who,at\n7,c1,2026-01-04\n"
    results = [
        land(warehouse, mapping, put(inbox, "a.csv", content))[0].status
        for content in (FILE, other, FILE)
    ]

    assert results == ["landed", "replaced", "replaced"]
    assert query(warehouse, "select order_id from raw.orders order by 1") == [("1",), ("2",)]


def test_new_lands_another_file_of_the_same_name(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    land(warehouse, mapping, put(inbox, "a.csv", FILE))

    (second,) = land(
        warehouse, mapping, put(inbox, "a.csv", b"id,who,at\n7,c1,2026-01-04\n"), new=True
    )

    assert second.status == "landed"
    assert query(warehouse, "select count(*) from raw.loads where superseded_by is null") == [(2,)]
    assert query(warehouse, "select order_id from raw.orders order by 1") == [
        ("1",),
        ("2",),
        ("7",),
    ]


def test_a_changed_mapping_lands_the_same_file_again(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    path = put(inbox, "a.csv", FILE)
    land(warehouse, mapping, path, keep=True)
    mapping.write_text("# only a comment\n" + ORDERS)
    (commented,) = land(warehouse, mapping, path, keep=True)
    mapping.write_text(ORDERS.replace("distinct: [order_id]", ""))
    (changed,) = land(warehouse, mapping, path, keep=True)

    assert (commented.status, changed.status) == ("unchanged", "replaced")
    assert query(warehouse, "select count(*) from raw.orders") == [(3,)]
    assert path.exists()


def test_zone_and_files_of_one_day_stand_next_to_each_other(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    land(warehouse, mapping, put(inbox, "a.csv", FILE))
    directory = warehouse.landing_zone / "orders" / f"dt={DAY}"
    directory.mkdir(parents=True)
    (directory / "orders.csv").write_bytes(b"order_id,customer_id,ordered_at\nz,c,2026-01-05\n")

    assert command(warehouse, "--day", DAY).returncode == 0
    (directory / "orders.csv").write_bytes(b"order_id,customer_id,ordered_at\ny,c,2026-01-05\n")
    assert command(warehouse, "--day", DAY).returncode == 0

    assert query(warehouse, "select order_id from raw.orders order by 1") == [
        ("1",),
        ("2",),
        ("y",),
    ]


def test_rejects_of_a_file_are_in_the_load_log_and_next_to_it(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    path = put(
        inbox, "a.csv.gz", gzip.compress(b"id,who,at\n1,c1,2026-01-01\n2,c2\n3,\xff,2026-01-01\n")
    )

    (outcome,) = land(warehouse, mapping, path)

    assert (outcome.counts.read, outcome.counts.landed, outcome.counts.rejected) == (3, 1, 2)
    assert query(
        warehouse, "select file, line, reason, original from raw.rejects order by line"
    ) == [
        ("a.csv.gz", 3, "wrong_field_count", "2,c2"),
        ("a.csv.gz", 4, "bad_utf8", "3,\\xff,2026-01-01"),
    ]
    records = json.loads((inbox / "processed" / "error_records.json").read_text())
    assert [(entry["file"], entry["line"], entry["reason"]) for entry in records] == [
        ("a.csv.gz", 3, "wrong_field_count"),
        ("a.csv.gz", 4, "bad_utf8"),
    ]


def test_short_rows_are_padded_where_the_mapping_says_so(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    mapping.write_text(
        ORDERS.replace("ordered_at: at", "ordered_at: at, status: state") + "ragged: pad\n"
    )
    path = put(inbox, "a.csv", b"id,who,at,state\n1,c1,2026-01-01,done\n2,c2,2026-01-01\n3,c3\n")

    (outcome,) = land(warehouse, mapping, path)

    assert query(warehouse, "select order_id, status from raw.orders order by 1") == [
        ("1", "done"),
        ("2", None),
    ]
    assert outcome.counts.rejected == 1


def test_a_dialect_of_csv(warehouse: Settings, mapping: Path, inbox: Path) -> None:
    mapping.write_text(ORDERS + 'delimiter: ";"\nencoding: windows-1252\n')
    rows = [
        "id;who;at",
        'ä;"a;b";2026-01-01',
        "€;c,d;2026-01-02",
        "?;e;2026-01-03",
        "4;f,2026-01-04",
    ]
    path = put(inbox, "a.csv", "\r\n".join(rows).encode("cp1252").replace(b"?", b"\x81"))

    (outcome,) = land(warehouse, mapping, path)

    assert query(warehouse, "select order_id, customer_id from raw.orders order by _line") == [
        ("ä", "a;b"),
        ("€", "c,d"),
    ]
    assert query(warehouse, "select line, reason, original from raw.rejects order by line") == [
        (4, "bad_utf8", "\\x81;e;2026-01-03"),
        (5, "wrong_field_count", "4;f,2026-01-04"),
    ]
    assert outcome.counts.read == 4


def test_rejects_of_the_last_landing_are_next_to_a_file_that_is_kept(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    records = inbox / "error_records.json"
    land(warehouse, mapping, put(inbox, "good.csv", FILE), keep=True)
    assert not records.exists()  # there are no rejects
    land(warehouse, mapping, put(inbox, "a.csv", FILE + b"5\n"), keep=True)
    land(warehouse, mapping, put(inbox, "b.csv", FILE + b"6\n7\n"), keep=True)
    assert [entry["original"] for entry in json.loads(records.read_text())] == ["5", "6", "7"]
    records.unlink()

    land(
        warehouse, mapping, inbox / "b.csv", keep=True
    )  # unchanged: written again from the load log
    assert [entry["original"] for entry in json.loads(records.read_text())] == ["6", "7"]
    land(warehouse, mapping, put(inbox, "b.csv", FILE + b"8,c,2026-01-01\n"), keep=True)
    assert json.loads(records.read_text()) == []
    assert sorted(path.name for path in inbox.iterdir()) == [
        "a.csv",
        "b.csv",
        "error_records.json",
        "good.csv",
    ]


def test_a_file_that_cannot_be_archived_is_reported_and_does_not_land_twice(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    obstacle = put(inbox, "processed", b"a file, and not a directory")
    path = put(inbox, "a.csv", FILE)

    done = command(warehouse, "--mapping", mapping, path)

    assert done.returncode == 1
    assert "a.csv has landed, but" in done.stdout and "nothing lands twice" in done.stdout
    obstacle.unlink()
    assert command(warehouse, "--mapping", mapping, path).returncode == 0
    assert query(warehouse, "select count(*) from raw.orders") == [(2,)]
    assert not path.exists()


def test_activity_log_as_json_array(warehouse: Settings, inbox: Path) -> None:
    log = [
        {
            "user_id": "u1",
            "action_type": "login",
            "timestamp": "2026-01-05T10:00:00Z",
            "device": "mobile",
            "location": "DE",
        },
        {
            "user_id": "u1",
            "action_type": "click",
            "timestamp": "2026-01-05 11:00:00",
            "device": "web",
            "location": "FR",
            "n": 1.50,
        },
        {"user_id": "\ud800", "action_type": "x", "timestamp": "y"},
        5,
    ]
    path = put(inbox, "activity.json", json.dumps(log).replace("1.5}", "1.50}").encode())

    (outcome,) = land(warehouse, MAPPINGS / "user_activity.yaml", path)

    assert query(
        warehouse,
        "select _doc ->> 'event_type', _doc ->> 'event_timestamp',"
        " _doc -> 'properties' ->> 'n', _line from raw.events order by 4",
    ) == [
        ("login", "2026-01-05T10:00:00Z", None, 1),
        ("click", "2026-01-05T11:00:00+00:00", "1.50", 2),
    ]
    assert query(warehouse, "select line, reason from raw.rejects order by 1") == [
        (3, "bad_utf8"),
        (4, "not_an_object"),
    ]
    assert outcome.counts.read == 4


def test_nothing_of_a_file_lands_where_one_of_its_mappings_fails(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    mapping.write_text(
        ORDERS + "---\nsource: customers\ncolumns: {customer_id: who, updated_at: when}\n"
    )
    path = put(inbox, "a.csv", FILE)

    with pytest.raises(
        LandingError, match=r"shop\.yaml: columns\.updated_at: a\.csv has no column 'when'"
    ):
        land(warehouse, mapping, path)

    assert query(
        warehouse, "select (select count(*) from raw.orders), (select count(*) from raw.loads)"
    ) == [(0, 0)]
    assert path.exists()


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from saas_analytics.landing.external import land_file
from saas_analytics.landing.mapping import load_mappings
from saas_analytics.settings import load_settings
from saas_analytics.warehouse import connect

def observe(step, size):
    if step == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

with connect(load_settings(), "loader", autocommit=True) as connection:
    mappings = load_mappings(Path(sys.argv[2]))
    land_file(connection, mappings, Path(sys.argv[3]), date(2026, 1, 9), observe=observe)
"""


@pytest.mark.parametrize("step", ["before copy", "copying", "before commit", "committed"])
def test_killed_at_any_point_and_run_again_ends_as_if_undisturbed(
    warehouse: Settings, mapping: Path, inbox: Path, step: str
) -> None:
    land(warehouse, mapping, put(inbox, "a.csv", FILE))
    path = put(inbox, "a.csv", b"id,who,at\n7,c1,2026-01-04\n")

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, step, str(mapping), str(path)],
        cwd=PROJECT_ROOT,
        env={**os.environ, **warehouse.environment()},
        timeout=patience(60),
    )

    assert killed.returncode == -signal.SIGKILL
    assert path.exists()
    after = query(warehouse, "select order_id from raw.orders order by 1")
    assert after == ([("7",)] if step == "committed" else [("1",), ("2",)])
    assert statuses(land(warehouse, mapping, path)) == [
        "unchanged" if step == "committed" else "replaced"
    ]
    assert query(warehouse, "select order_id from raw.orders") == [("7",)]
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mapping", "no.yaml", "a.csv"], "no.yaml: No such file"),
        (["a.csv"], "a FILE needs --mapping"),
        (["--mapping", "no.yaml"], "needs at least one FILE"),
        (["--day", "2026-13-01"], "is not a day like"),
        (["--day", "2026-01-01", "--days", "0"], "0 is not in the range 1<=x"),
    ],
)
def test_wrong_arguments_are_reported(
    warehouse: Settings, arguments: list[str], message: str
) -> None:
    done = command(warehouse, *arguments)

    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_is_not_utf8_is_refused_and_the_other_files_land(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    bad, good = put(inbox, os.fsdecode(b"b\xe4d.csv"), FILE), put(inbox, "good.csv", FILE)

    done = command(warehouse, "--mapping", mapping, bad, good)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "b\\xe4d.csv is not UTF-8. Rename it." in done.stdout
    assert query(warehouse, "select name from raw.loads") == [("good.csv",)]


def test_two_files_of_one_name_in_one_command_are_refused(
    warehouse: Settings, mapping: Path, inbox: Path
) -> None:
    (inbox / "other").mkdir()
    files = [put(inbox, "a.csv", FILE), put(inbox / "other", "a.csv", FILE + b"8,c,2026-01-01\n")]

    done = command(warehouse, "--mapping", mapping, *files)

    assert done.returncode == 1
    assert "have the same name" in done.stderr
    assert query(warehouse, "select count(*) from raw.loads") == [(0,)]


def test_jaffle_shop(warehouse: Settings) -> None:
    for name, rows in (("customers", 100), ("orders", 99), ("payments", 113)):
        done = command(
            warehouse,
            "--keep",
            "--json",
            "--mapping",
            MAPPINGS / f"jaffle_shop_{name}.yaml",
            DATA / f"jaffle_shop/raw_{name}.csv",
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["total"] == {
            "read": rows,
            "landed": rows,
            "rejected": 0,
            "filtered": 0,
        }
    assert query(warehouse, "select sum(amount::numeric) from raw.payments")[0][0] * 100 == sum(
        int(line.split(",")[3])
        for line in (DATA / "jaffle_shop/raw_payments.csv").read_text().splitlines()[1:]
    )


@pytest.mark.parametrize(
    ("fixture", "mapping", "rows", "people", "first", "last"),
    [
        (
            "lifecycle",
            "product_events_activity",
            10,
            4,
            "2020-01-09T12:00:00Z",
            "2020-01-19T12:00:00Z",
        ),
        (
            "retention_first_time",
            "product_events",
            26,
            5,
            "2020-06-05T05:00:00Z",
            "2020-06-16T05:00:00Z",
        ),
        (
            "retention_recurring",
            "product_events",
            10,
            2,
            "2020-06-10T05:00:00Z",
            "2020-06-16T05:00:00Z",
        ),
        (
            "retention_timezone",
            "product_events_utc",
            5,
            2,
            "2020-06-09T01:00:00Z",
            "2020-06-16T09:00:00Z",
        ),
        (
            "funnel_ordered_repeat",
            "product_events_sequence",
            25,
            6,
            "2020-01-01T00:00:00+00:00",
            None,
        ),
        ("funnel_strict", "product_events_sequence", 27, 8, "2020-01-01T00:00:00+00:00", None),
    ],
)
def test_product_events(
    warehouse: Settings,
    fixture: str,
    mapping: str,
    rows: int,
    people: int,
    first: str,
    last: str | None,
) -> None:
    file = DATA / f"posthog_semantics/{fixture}_events.csv"

    (outcome,) = land(warehouse, MAPPINGS / f"{mapping}.yaml", file, keep=True)

    assert (outcome.counts.read, outcome.counts.landed) == (rows, rows)
    assert outcome.drift.missing == outcome.drift.unknown == ()
    ((ids, users, earliest, latest),) = query(
        warehouse,
        "select count(distinct _doc ->> 'event_id'), count(distinct _doc ->> 'user_id'),"
        " min(_doc ->> 'event_timestamp'), max(_doc ->> 'event_timestamp') from raw.events",
    )
    assert (ids, users, earliest) == (rows, people, first)
    assert last in (latest, None)


@pytest.mark.long
def test_online_retail_every_row_is_accounted_for(postgres: Settings) -> None:
    """541,909 real rows, into a warehouse that the command itself creates."""
    settings = replace(postgres, database="test_online_retail")
    try:
        file = DATA / "online_retail.csv.gz"
        first = command(
            settings, "--keep", "--json", "--mapping", MAPPINGS / "online_retail.yaml", file
        )
        again = command(settings, "--keep", "--mapping", MAPPINGS / "online_retail.yaml", file)

        assert first.returncode == again.returncode == 0, first.stderr + again.stderr
        assert query(
            settings,
            "select source, rows_read, rows_landed, rows_rejected, rows_left_out"
            " from raw.loads order by load_id",
        ) == [
            ("orders", 541_909, 22_064, 0, 519_845),
            ("order_items", 541_909, 532_621, 0, 9_288),
            ("products", 541_909, 3_938, 0, 537_971),
            ("customers", 541_909, 4_372, 0, 537_537),
            ("returns", 541_909, 9_288, 0, 532_621),
        ]
        ((lines, orders, customers, net),) = query(
            settings,
            "select count(*), count(distinct order_id), count(distinct customer_id),"
            " sum(quantity::numeric * order_items.unit_price::numeric)"
            " from raw.order_items join raw.orders using (order_id)"
            " where customer_id is not null and quantity::numeric > 0"
            " and order_items.unit_price::numeric > 0",
        )
        assert (lines, orders, customers, str(net)) == (397_884, 18_532, 4_338, "8911407.9040")
        assert query(
            settings,
            "select count(*) from raw.order_items left join raw.products using (product_id)"
            " where products.product_id is null"
            " and quantity::numeric > 0 and order_items.unit_price::numeric > 0",
        ) == [(0,)]
        # The cancellations are 9,288 lines of 3,836 invoices; no return claims an order line.
        assert query(
            settings,
            "select count(*), sum(quantity::numeric),"
            " sum(quantity::numeric * (_extra ->> 'UnitPrice')::numeric) from raw.returns",
        ) == [(9_288, Decimal(277_574), Decimal("896812.490"))]
        assert query(
            settings, "select count(*) from raw.returns join raw.order_items using (order_item_id)"
        ) == [(0,)]
        assert query(settings, "select count(*) from quality.schema_drift") == [(0,)]
        assert "Nothing to do" in again.stdout
    finally:
        drop_database(postgres, settings.database)
