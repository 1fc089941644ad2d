"""Landing the landing zone: exactly once, replaced whole, every row accounted for."""

from __future__ import annotations

import gzip
import json
import os
import pty
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saas_analytics.contracts import load_contract
from saas_analytics.landing import copying
from saas_analytics.landing import zone as zone_module
from saas_analytics.landing.display import Display
from saas_analytics.landing.execution import Task, prepare, run
from saas_analytics.landing.load_log import Counts
from saas_analytics.landing.outcome import Outcome
from saas_analytics.landing.zone import land_day
from saas_analytics.settings import PROJECT_ROOT, Settings
from saas_analytics.warehouse import connect
from tests.integration.landing_help import DAY, MAPPINGS, command, deliver, land, put, query
from tests.waiting import patience

USERS = (
    b"user_id,updated_at,email\nu1,2026-01-05T08:00:00Z,a@x.org\nu2,2026-01-04T23:30:00-05:00,\n"
)


def test_a_day_lands_with_its_load_log(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)

    outcome = land(warehouse, "users")

    assert (outcome.status, outcome.counts.landed, outcome.counts.rejected) == ("landed", 2, 0)
    assert query(
        warehouse, "select user_id, email, role, _file, _line, _load_id, _partition from raw.users"
    ) == [
        ("u1", "a@x.org", None, "users.csv", 2, outcome.load_id, "2026-01-05"),
        ("u2", None, None, "users.csv", 3, outcome.load_id, "2026-01-05"),
    ]
    assert query(
        warehouse, "select event_day, rows_brought, rows_taken_away from raw.touched_days"
    ) == [(date(2026, 1, 5), 2, 0)]
    ((files, read, ended),) = query(
        warehouse, "select files, rows_read, ended_at >= started_at from raw.loads"
    )
    assert [(file["name"], file["bytes"]) for file in files] == [("users.csv", len(USERS))]
    assert (read, ended) == (2, True)


def test_the_same_bytes_again_change_nothing(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    rows = "select xmin::text, * from raw.users"
    before = query(warehouse, rows)

    assert land(warehouse, "users").status == "unchanged"

    assert query(warehouse, rows) == before
    assert query(warehouse, "select count(*) from raw.loads") == [(1,)]


def test_other_bytes_replace_the_day_whole(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    first = land(warehouse, "users")
    deliver(warehouse, "users.csv", b"user_id,updated_at\nu3,2026-01-06T00:00:00Z\n")

    second = land(warehouse, "users")

    assert second.status == "replaced"
    assert query(warehouse, "select user_id, _load_id from raw.users") == [("u3", second.load_id)]
    assert query(warehouse, "select load_id, superseded_by from raw.loads order by 1") == [
        (first.load_id, second.load_id),
        (second.load_id, None),
    ]
    assert query(
        warehouse,
        "select event_day, rows_brought, rows_taken_away from raw.touched_days"
        f" where load_id = {second.load_id} order by 1",
    ) == [(date(2026, 1, 5), 0, 2), (date(2026, 1, 6), 1, 0)]
    assert query(
        warehouse, "select count(*) from pg_inherits where inhparent = 'raw.users'::regclass"
    ) == [(1,)]


def test_days_stand_next_to_each_other(warehouse: Settings) -> None:
    other = date(2026, 1, 6)
    deliver(warehouse, "users.csv", USERS)
    deliver(warehouse, "users.csv", b"user_id,updated_at\nu9,2026-01-06\n", other)
    land(warehouse, "users")
    land(warehouse, "users", other)

    assert query(warehouse, "select _partition, count(*) from raw.users group by 1 order by 1") == [
        ("2026-01-05", 2),
        ("2026-01-06", 1),
    ]


def test_several_files_of_a_day_are_one_load(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    deliver(
        warehouse,
        "users.more.csv.gz",
        gzip.compress(b"user_id,updated_at\nu7,2026-01-05\nbroken\n"),
    )

    outcome = land(warehouse, "users")

    assert (outcome.files, outcome.counts.landed, outcome.counts.rejected) == (2, 3, 1)
    assert query(warehouse, "select user_id, _file, _line from raw.users order by 1") == [
        ("u1", "users.csv", 2),
        ("u2", "users.csv", 3),
        ("u7", "users.more.csv.gz", 2),
    ]
    assert query(warehouse, "select file, line, reason from raw.rejects") == [
        ("users.more.csv.gz", 3, "wrong_field_count")
    ]


def test_csv_rejects_leave_the_good_rows_with_their_lines(warehouse: Settings) -> None:
    rows = [
        b'u1,2026-01-05,"a\nb"',
        b"u2,2026-01-05",
        b"u3,2026-01-05,\xff",
        b"u4,\x00,",
        b'u5,2026-01-05,""',
    ]
    content = b"\n".join([b"user_id,updated_at,email", *rows, b""])
    deliver(warehouse, "users.csv", content)

    outcome = land(warehouse, "users")

    assert (outcome.counts.read, outcome.counts.landed, outcome.counts.rejected) == (5, 2, 3)
    assert query(warehouse, "select user_id, email, _line from raw.users") == [
        ("u1", "a\nb", 2),
        ("u5", "", 6),
    ]
    assert query(
        warehouse, "select load_id, file, line, reason, original from raw.rejects order by line"
    ) == [
        (outcome.load_id, "users.csv", 3, "wrong_field_count", "u2,2026-01-05"),
        (outcome.load_id, "users.csv", 4, "bad_utf8", "u3,2026-01-05,\\xff"),
        (outcome.load_id, "users.csv", 5, "nul_byte", "u4,\\x00,"),
    ]


def test_json_lines_rejects(warehouse: Settings) -> None:
    lines = [
        b'{"event_id": "e1", "event_timestamp": "2026-01-05T10:00:00Z"}',
        b'{"event_id": "e2"',
        b"[1, 2]",
        b'{"event_id": "\xff"}',
        b'{"event_id": "\\u0000"}',
        b'{"event_id": "\\ud800"}',
        b"",
        b'\x02{"event_id": "e8"}\x02',
        b'{"event_id": "e9", "n": 1e999999}',
        b"[" * 100_000,
        b'{"event_id": "e11", "deep": ' + b"[" * 600 + b"]" * 600 + b"}",
        b'{"event_id": "e12", "event_timestamp": "yesterday"}',
    ]
    deliver(warehouse, "events.jsonl", b"\n".join(lines))

    outcome = land(warehouse, "events")

    assert query(warehouse, "select _doc ->> 'event_id', _line from raw.events order by 2") == [
        ("e1", 1),
        ("e11", 11),
        ("e12", 12),
    ]
    assert query(warehouse, "select line, reason from raw.rejects order by line") == [
        (2, "broken_json"),
        (3, "not_an_object"),
        (4, "bad_utf8"),
        (5, "nul_byte"),
        (6, "bad_utf8"),
        (8, "broken_json"),
        (9, "broken_json"),
        (10, "broken_json"),
    ]
    assert (outcome.counts.read, outcome.counts.landed) == (11, 3)
    assert query(warehouse, "select event_day, rows_brought from raw.touched_days") == [(DAY, 1)]


def test_json_array_keeps_digits_and_rejects_broken_elements(warehouse: Settings) -> None:
    deliver(
        warehouse,
        "subscriptions.json",
        b'[{"subscription_id": "s1", "monthly_amount": 1.10},\n'
        b' {"a": }, {"subscription_id": "s3"}]',
    )

    outcome = land(warehouse, "subscriptions")

    assert query(
        warehouse,
        "select _doc ->> 'subscription_id', _doc ->> 'monthly_amount', _line"
        " from raw.subscriptions",
    ) == [
        ("s1", "1.10", 1),
        ("s3", None, 3),
    ]
    assert (outcome.counts.landed, outcome.counts.rejected) == (2, 1)


def test_parquet_lands_as_text(warehouse: Settings) -> None:
    path = deliver(warehouse, "orders.parquet", b"")
    table = pa.table(
        {
            "order_id": ["o1", "o2"],
            "customer_id": ["", None],
            "ordered_at": pa.array([1_767_571_200_000_001, None], pa.timestamp("us", "UTC")),
            "discount_amount": pa.array([Decimal("1.00"), None]),
        }
    )
    pq.write_table(table, path)

    land(warehouse, "orders")

    assert query(
        warehouse,
        "select order_id, customer_id, ordered_at, discount_amount, _line from raw.orders",
    ) == [
        ("o1", "", "2026-01-05 00:00:00.000001Z", "1.00", 1),
        ("o2", None, None, None, 2),
    ]


def test_unknown_columns_go_to_extra_and_missing_ones_are_null(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", b"updated_at,new,user_id\n2026-01-05,7,u1\n2026-01-05,,u2\n")

    outcome = land(warehouse, "users")

    assert query(warehouse, "select user_id, email, _extra, _line from raw.users") == [
        ("u1", None, {"new": "7"}, 2),
        ("u2", None, None, 3),
    ]
    assert outcome.drift.unknown == ("new",)
    assert "email" in outcome.drift.missing


def test_missing_required_column_refuses_the_file_and_the_rest_lands(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", b"user_id,email\nu1,a@x.org\n")
    deliver(warehouse, "customers.csv", b"customer_id,updated_at\nc1,2026-01-05\n")

    done = command(warehouse, "--day", "2026-01-05")

    assert done.returncode == 1
    assert "users.csv: the required column updated_at is missing" in done.stdout
    assert query(warehouse, "select count(*) from raw.customers") == [(1,)]
    assert query(warehouse, "select count(*) from raw.users") == [(0,)]


@pytest.mark.parametrize("content", [b"", b"user_id,updated_at\n", b"user_id,updated_at"])
def test_a_day_without_rows_still_has_its_load(warehouse: Settings, content: bytes) -> None:
    deliver(warehouse, "users.csv", content)

    assert land(warehouse, "users").status == "landed"
    assert land(warehouse, "users").status == "unchanged"

    assert query(warehouse, "select rows_read, superseded_by from raw.loads") == [(0, None)]


def test_damaged_container_is_refused_and_changes_nothing(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    path = deliver(warehouse, "users.csv", USERS)
    path.rename(path.with_name("users.csv.gz")).write_bytes(gzip.compress(USERS)[:-20])
    deliver(warehouse, "orders.parquet", b"PAR1 not really")

    done = command(warehouse, "--day", "2026-01-05")

    assert done.returncode == 1
    assert "gzip" in done.stdout
    assert "orders.parquet: not a Parquet file" in done.stdout
    assert "Traceback" not in done.stderr
    assert query(warehouse, "select count(*) from raw.users") == [(2,)]


def test_time_at_the_end_of_a_day_affects_the_day_of_its_parsed_value(
    warehouse: Settings,
) -> None:
    times = [
        "2026-01-05T23:59:60Z",
        "2026-01-05T23:59:59.9999999Z",
        "2026-01-05T22:00:00Z",
        "2026-01-05 22:00:00-03:00",
        "2026-01-05T24:00:00Z",
    ]
    deliver(
        warehouse,
        "events.jsonl",
        "".join(json.dumps({"event_timestamp": time}) + "\n" for time in times).encode(),
    )

    land(warehouse, "events")

    assert query(warehouse, "select event_day, rows_brought from raw.touched_days order by 1") == [
        (date(2026, 1, 5), 1),
        (date(2026, 1, 6), 4),
    ]


def test_sentinel_times_land_with_their_days(warehouse: Settings) -> None:
    """Years that Python's dates do not have, and words that PostgreSQL reads as times."""
    times = {
        "0001-01-01T00:00:00+01:00": "0001-12-31 BC",
        "0001-01-01T00:00:00Z": "0001-01-01",
        "9999-12-31T23:00:00-05:00": "10000-01-01",
        "9999-12-31T24:00:00Z": "10000-01-01",
        "infinity": None,
        "-infinity": None,
        "10000-01-01T00:00:00Z": None,
        "2016-12-31T23:59:60Z": "2017-01-01",
        "2026-01-05T24:00:00-05:00": "2026-01-06",
    }
    lines = [json.dumps({"event_id": time, "event_timestamp": time}) for time in times]
    deliver(warehouse, "events.jsonl", "\n".join(lines).encode())

    assert land(warehouse, "events").counts == Counts(landed=len(times))
    assert land(warehouse, "events").status == "unchanged"

    days = sorted({day for day in times.values() if day})
    found = "select event_day::text, rows_taken_away from raw.touched_days order by 1"
    assert query(warehouse, found) == [(day, 0) for day in days]
    # A correction takes them away again.
    deliver(warehouse, "events.jsonl", b"")
    land(warehouse, "events")
    taken = "select event_day::text from raw.touched_days where rows_taken_away > 0 order by 1"
    assert query(warehouse, taken) == [(day,) for day in days]


def test_days_are_those_of_utc_wherever_the_command_runs(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(
        warehouse,
        "users.csv",
        b"user_id,updated_at\nu1,2026-01-05T10:00:00Z\nu2,2026-01-05 01:00\n",
    )
    for name in ("TZ", "PGTZ"):
        monkeypatch.setenv(name, "Asia/Tokyo")

    assert command(warehouse, "--day", DAY).returncode == 0

    assert query(warehouse, "select event_day, rows_brought from raw.touched_days") == [(DAY, 2)]


def test_a_path_that_is_not_a_file_is_reported_and_the_rest_lands(warehouse: Settings) -> None:
    directory = deliver(warehouse, "users.csv", USERS).parent
    deliver(warehouse, 'users.of a "strange" name;\n\'%s{}.csv', USERS)
    (directory / "dangling.csv").symlink_to(directory / "nothing")
    (directory / "folder.csv").mkdir()
    os.mkfifo(directory / "pipe.csv")

    done = command(warehouse, "--day", DAY)

    assert done.returncode == 1
    for name in ("dangling.csv", "folder.csv", "pipe.csv"):
        assert f"{directory / name} is not a file" in done.stdout
    assert query(warehouse, "select count(*), count(distinct _file) from raw.users") == [(4, 2)]


def test_a_name_that_is_only_an_ending_fails_alone(warehouse: Settings, tmp_path: Path) -> None:
    deliver(warehouse, "orders.csv", b"order_id,customer_id,ordered_at\no1,c1,2026-01-05\n")
    refused = put(deliver(warehouse, "users.csv", USERS).parent, "000.gz", gzip.compress(USERS))

    done = command(warehouse, "--day", DAY)

    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert f"{refused}: the name does not end in a known format" in done.stdout
    assert query(warehouse, "select count(*) from raw.users, raw.orders") == [(2,)]
    # An external file has the format of its mapping.
    mapping = put(
        tmp_path,
        "map.yaml",
        b"source: users\nformat: csv\ncolumns: {user_id: user_id, updated_at: updated_at}\n",
    )
    done = command(warehouse, "--mapping", mapping, "--day", DAY, refused)
    assert done.returncode == 0, done.stdout
    assert query(warehouse, "select count(*) from raw.users") == [(4,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--day", "9999-12-31", "--days", "2"), "go beyond the last day"),
        (("--mapping", MAPPINGS / "user_activity.yaml", "/dev/null"), "/dev/null is not a file"),
        (("--mapping", MAPPINGS / "user_activity.yaml", "-"), "- does not exist"),
        (("--mapping", MAPPINGS / "user_activity.yaml", MAPPINGS), "mappings is not a file"),
    ],
)
def test_a_landing_that_cannot_be_done_is_one_message(
    warehouse: Settings, arguments: tuple[object, ...], message: str
) -> None:
    done = command(warehouse, *arguments)

    assert done.returncode == 1
    assert message in done.stdout + done.stderr and "Traceback" not in done.stderr


FILES = {
    "users.csv": [
        USERS,
        USERS.replace(b"\n", b"\r\n"),
        USERS.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + USERS.rstrip(b"\n"),
        b'user_id,updated_at,email\nu1,"2026-01-05",ab"c,d"e\n"u ""2""",,"x\r\ny"\n\\.,\\N,"\\"\n',
    ],
    "events.jsonl": [
        b'{"event_id": 1.10}\n {"b": "\xc3\xa9"}\t\n',
        b'{"event_id": 1}\r\n{"event_id": 2}',
        b'{"event_id": 1}\r{"event_id": 2}\r',
        b'\xef\xbb\xbf{"event_id": "a\\nb", "event_id": "twice"}\n',
    ],
    "subscriptions.json": [b'[{"a": 1.10,\n"b": [1, {"c": null}]}, {"a": "\\u00e9"}]', b'{"a": 1}'],
}


@pytest.mark.parametrize(
    ("name", "content"),
    [(name, content) for name, contents in FILES.items() for content in contents],
)
def test_both_ways_of_reading_give_the_same_rows(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    source = name.partition(".")[0]
    deliver(warehouse, name, content)
    with monkeypatch.context() as patch:
        patch.setattr(copying, "_copy_tabular", None)  # the fast way copies it
        patch.setattr(copying, "_copy_judged", None)
        land(warehouse, source)
    fast = query(
        warehouse,
        f"select to_jsonb(t) - '_load_id' - '_partition' from raw.{source} as t order by _line",
    )
    other = date(2026, 1, 6)
    deliver(warehouse, name, content, other)
    monkeypatch.setattr(copying, "copy_fast", _refuse)
    land(warehouse, source, other)

    slow = query(
        warehouse,
        f"select to_jsonb(t) - '_load_id' - '_partition' from raw.{source} as t"
        " where _partition = '2026-01-06' order by _line",
    )
    assert fast == slow != []


def _refuse(*_: object) -> None:
    """As if COPY refused everything."""


def test_two_landings_at_once_land_it_once(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    prepare(warehouse)
    copying, go_on = threading.Event(), threading.Event()
    outcomes: dict[str, Outcome] = {}

    def first_step(step: str, size: int) -> None:
        if step == "before attach":
            copying.set()
            assert go_on.wait(30)

    def work(name: str, observe: zone_module.Observer) -> None:
        with connect(warehouse, "loader", autocommit=True) as connection:
            outcomes[name] = land_day(
                connection, load_contract("users"), DAY, warehouse.landing_zone, observe
            )

    first = threading.Thread(target=work, args=("first", first_step))
    second = threading.Thread(target=work, args=("second", zone_module.ignore))
    first.start()
    assert copying.wait(30)
    second.start()
    _wait_for(
        warehouse,
        "select from pg_stat_activity"
        " where wait_event_type = 'Lock' and datname = current_database()",
    )
    go_on.set()
    first.join(30)
    second.join(30)

    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        "first": "landed",
        "second": "unchanged",
    }
    assert query(warehouse, "select count(*) from raw.users") == [(2,)]


def _wait_for(settings: Settings, statement: str) -> None:
    pause = threading.Event()
    for _ in range(300):
        if query(settings, statement):
            return
        pause.wait(0.1)
    pytest.fail(f"never came true: {statement}")


KILLED = """
import os, signal, sys
from datetime import date
from saas_analytics.contracts import load_contract
from saas_analytics.landing.zone import land_day
from saas_analytics.settings import load_settings
from saas_analytics.warehouse import connect

def observe(step, size):
    if step == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

settings = load_settings()
with connect(settings, "loader", autocommit=True) as connection:
    land_day(connection, load_contract("users"), date(2026, 1, 5), settings.landing_zone, observe)
"""


@pytest.mark.parametrize(
    "step", ["before copy", "copying", "before attach", "before commit", "committed"]
)
def test_killed_at_any_point_leaves_the_old_day_or_the_new_one(
    warehouse: Settings, step: str
) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    deliver(warehouse, "users.csv", b"user_id,updated_at\nu3,2026-01-06T00:00:00Z\n")

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, step],
        cwd=PROJECT_ROOT,
        env={**os.environ, **warehouse.environment()},
        timeout=patience(60),
    )

    assert killed.returncode == -signal.SIGKILL
    assert query(warehouse, "select user_id from raw.users order by 1") == (
        [("u3",)] if step == "committed" else [("u1",), ("u2",)]
    )
    assert land(warehouse, "users").status == ("unchanged" if step == "committed" else "replaced")
    assert query(warehouse, "select user_id from raw.users") == [("u3",)]
    assert query(warehouse, "select count(*) from raw.loads where superseded_by is null") == [(1,)]
    assert query(warehouse, "select count(*) from pg_class where relname like 'users\\_d%'") == [
        (1,)
    ]


def test_command_lands_days_and_says_what_it_did(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    deliver(warehouse, "users.csv", USERS, date(2026, 1, 6))
    lines = [
        json.dumps({"event_id": f"e{number}", "event_timestamp": "2026-01-05T10:00:00Z"})
        for number in range(500)
    ]
    deliver(warehouse, "events.jsonl", "\n".join(lines).encode())

    first = command(warehouse, "--day", "2026-01-05", "--days", "3", "--json")
    again = command(warehouse, "--day", "2026-01-05", "--days", "3")

    assert first.returncode == again.returncode == 0
    summary = json.loads(first.stdout)
    assert summary["ok"] and summary["total"] == {
        "read": 504,
        "landed": 504,
        "rejected": 0,
        "filtered": 0,
    }
    assert "Nothing to do" in again.stdout


def test_a_bar_on_a_terminal(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "data_gen/land.py", "--day", str(DAY)],
        cwd=PROJECT_ROOT,
        env={**os.environ, **warehouse.environment(), "TERM": "xterm", "COLUMNS": "120"},
        stdout=end,
        stderr=end,
    )
    os.close(end)
    shown = b""
    with suppress(OSError):  # the end of the terminal's output
        while some := os.read(terminal, 1 << 16):
            shown += some
    os.close(terminal)

    assert process.wait(60) == 0
    assert f"{len(USERS)}/{len(USERS)} bytes".encode() in shown
    assert b"users 2026-01-05" in shown and b"Traceback" not in shown


def test_a_source_without_contract_is_reported(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    deliver(warehouse, "usres.csv", USERS)

    done = command(warehouse, "--day", "2026-01-05")

    assert done.returncode == 1
    assert "usres 2026-01-05: FAILED: there is no contract for it" in done.stdout


def test_a_server_that_is_down_is_named_and_no_secret_is_shown(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    environment = {**os.environ, **warehouse.environment(), "WAREHOUSE_PORT": "1"}

    done = subprocess.run(
        [sys.executable, "-m", "data_gen.land", "--day", "2026-01-05"],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert (
        "127.0.0.1:1" in done.stderr and "make up" in done.stderr and "Traceback" not in done.stderr
    )
    assert not any(
        value in done.stderr for key, value in environment.items() if key.endswith("_PASSWORD")
    )


def test_lost_connection_is_reported_and_the_next_task_gets_another(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    prepare(warehouse)

    def lose(connection: psycopg.Connection, observe: zone_module.Observer) -> list[Outcome]:
        def cut(step: str, size: int) -> None:
            if step == "before attach":
                connection.execute("select pg_terminate_backend(pg_backend_pid())")

        return [land_day(connection, load_contract("users"), DAY, warehouse.landing_zone, cut)]

    def again(connection: psycopg.Connection, observe: zone_module.Observer) -> list[Outcome]:
        return [land_day(connection, load_contract("users"), DAY, warehouse.landing_zone, observe)]

    display = Display(sys.stderr)
    (lost,) = run(warehouse, [Task(Outcome("users", DAY, "failed"), 0, lose)], display)
    (landed,) = run(warehouse, [Task(Outcome("users", DAY, "failed"), 0, again)], display)

    assert lost.status == "failed"
    assert f"connection to PostgreSQL at {warehouse.host}:{warehouse.port} was lost" in lost.message
    assert landed.status == "landed"
    assert query(warehouse, "select count(*) from raw.users") == [(2,)]


def test_loader_fills_raw_and_does_nothing_else(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    with psycopg.connect(warehouse.dsn("transformer")) as connection:
        connection.execute("create table marts.kpi (n int)")
        assert connection.execute("select count(*) from raw.users").fetchall() == [(2,)]

    for statement in (
        "select * from marts.kpi",
        "create table marts.other (n int)",
        "create schema other",
        "drop table raw.loads",
        "drop table marts.kpi",
        "delete from raw.loads",
        "update raw.loads set source = 'x'",
        "delete from raw.touched_days",
        "delete from raw.drift",
        "select * from quality.schema_drift",
        "create table quality.other (n int)",
        "create table public.other (n int)",
        "alter role loader createdb",
        "update raw.rejects set reason = 'x'",
    ):
        with (
            psycopg.connect(warehouse.dsn("loader")) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)
    with (
        psycopg.connect(warehouse.dsn("transformer")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("insert into raw.users (user_id) values ('x')")


def test_random_days_in_random_order_leave_exactly_the_files_of_the_zone(
    warehouse: Settings,
) -> None:
    """Deliveries, corrections, repetitions: raw is what the zone has, and the load log adds up."""
    chance = random.Random(7)
    days = [date(2026, 1, day) for day in range(1, 5)]
    for _ in range(25):
        day = chance.choice(days)
        rows = "".join(
            f"u{chance.randrange(9)},2026-01-0{chance.randrange(1, 9)}\n"
            for _ in range(chance.randrange(4))
        )
        deliver(warehouse, "users.csv", f"user_id,updated_at\n{rows}".encode(), day)
        land(warehouse, "users", day)

    for day in days:
        path = warehouse.landing_zone / "users" / f"dt={day}" / "users.csv"
        expected = (
            [tuple(line.split(",")) for line in path.read_text().splitlines()[1:]]
            if path.exists()
            else []
        )
        assert (
            query(
                warehouse,
                f"select user_id, updated_at from raw.users where _partition = '{day}'"
                " order by _line",
            )
            == expected
        )
    balance = query(
        warehouse,
        "select event_day, sum(rows_brought - rows_taken_away) from raw.touched_days"
        " group by 1 having sum(rows_brought - rows_taken_away) <> 0 order by 1",
    )
    assert balance == query(
        warehouse,
        "select updated_at::date, count(*)::numeric from raw.users group by 1 order by 1",
    )
