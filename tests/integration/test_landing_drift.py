"""Schema drift: unknown columns are kept, optional ones may be missing; both are reported."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saas_analytics.contracts import load_contract
from saas_analytics.settings import Settings
from tests.integration.landing_help import DAY, command, deliver, land, land_external, put, query

NEXT = date(2026, 1, 6)


def columns_of(
    source: str, *, without: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> list[str]:
    return [*(name for name in load_contract(source).column_names if name not in without), *more]


def csv_of(names: list[str], value: str = "1") -> bytes:
    return f"{','.join(names)}\n{','.join(value for _ in names)}\n".encode()


def drift(settings: Settings) -> list[tuple[Any, ...]]:
    return query(settings, "select * from quality.schema_drift order by source, column_name")


def test_unknown_and_missing_columns_are_recorded_with_their_days(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", csv_of(columns_of("users", more=("plan",))))
    deliver(
        warehouse,
        "users.csv",
        csv_of(columns_of("users", without=("phone",), more=("plan",))),
        NEXT,
    )
    assert land(warehouse, "users", NEXT).drift.missing == ("phone",)
    land(warehouse, "users", DAY)

    assert drift(warehouse) == [
        ("users", "phone", "missing", NEXT, NEXT, 1),
        ("users", "plan", "unknown", DAY, NEXT, 2),
    ]
    assert query(warehouse, "select phone, _extra from raw.users order by _partition") == [
        ("1", {"plan": "1"}),
        (None, {"plan": "1"}),
    ]


def test_drift_goes_with_the_load_that_is_replaced(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", csv_of(columns_of("users", more=("plan",))))
    land(warehouse, "users")
    deliver(warehouse, "users.csv", csv_of(columns_of("users")))
    land(warehouse, "users")

    assert drift(warehouse) == []


def test_drift_of_documents_is_that_of_their_members(warehouse: Settings) -> None:
    names = columns_of("events", without=("country",))
    lines = [
        json.dumps(dict.fromkeys(names, "1")),
        json.dumps({"event_id": "2", "colour": None, "x" * 300: {}}),
    ]
    deliver(warehouse, "events.jsonl", "\n".join(lines).encode())

    outcome = land(warehouse, "events")

    assert outcome.drift.unknown == ("colour", "x" * 200)
    assert drift(warehouse) == [
        ("events", "colour", "unknown", DAY, DAY, 1),
        ("events", "country", "missing", DAY, DAY, 1),
        ("events", "x" * 200, "unknown", DAY, DAY, 1),
    ]
    assert query(warehouse, "select _doc ? 'colour' from raw.events where _line = 2") == [(True,)]


@pytest.mark.parametrize(
    ("name", "content"), [("events.jsonl", b""), ("users.csv", b""), ("events.jsonl", b"{\n")]
)
def test_a_day_without_rows_has_no_drift(warehouse: Settings, name: str, content: bytes) -> None:
    deliver(warehouse, name, content)
    land(warehouse, name.partition(".")[0])

    assert drift(warehouse) == []


def test_every_format_reports_its_columns(warehouse: Settings) -> None:
    names = columns_of("orders", without=("status",), more=("colour",))
    pq.write_table(
        pa.table({name: ["1"] for name in names}), deliver(warehouse, "orders.parquet", b"")
    )
    land(warehouse, "orders")
    names = columns_of("returns", without=("reason",), more=("colour",))
    deliver(warehouse, "returns.json", json.dumps([dict.fromkeys(names, 1)]).encode())
    land(warehouse, "returns")
    deliver(
        warehouse,
        "sessions.csv",
        csv_of(columns_of("sessions", without=("referrer",), more=("colour",))),
    )
    land(warehouse, "sessions")

    assert [row[:3] for row in drift(warehouse)] == [
        ("orders", "colour", "unknown"),
        ("orders", "status", "missing"),
        ("returns", "colour", "unknown"),
        ("returns", "reason", "missing"),
        ("sessions", "colour", "unknown"),
        ("sessions", "referrer", "missing"),
    ]
    assert query(
        warehouse, "select _extra from raw.orders union all select _extra from raw.returns"
    ) == [
        ({"colour": "1"},),
        ({"colour": 1},),
    ]


@pytest.mark.parametrize(
    ("file", "content"), [("a.csv", b"id,when,x\n1,2026-01-05,7\n"), ("a.json", None)]
)
def test_a_mapping_lands_unnamed_columns_only_on_demand(
    warehouse: Settings, tmp_path: Path, file: str, content: bytes | None
) -> None:
    content = content or b'[{"id": 1, "when": "2026-01-05", "x": "7"}]'
    mapping = put(
        tmp_path, "m.yaml", b"source: users\ncolumns: {user_id: id, updated_at: when, phone: tel}\n"
    )
    (plain,) = land_external(warehouse, mapping, put(tmp_path, file, content))
    mapping.write_text(mapping.read_text().replace("{user_id", "{_extra: {rest: true}, user_id"))
    (extra,) = land_external(warehouse, mapping, put(tmp_path, file, content))

    assert plain.drift == extra.drift
    assert extra.status == "replaced"
    assert [row[:3] for row in drift(warehouse)] == [
        ("users", "phone", "missing"),
        ("users", "x", "unknown"),
    ]
    assert query(warehouse, "select user_id, phone, _extra from raw.users") == [
        ("1", None, {"x": "7"})
    ]


def test_the_summary_counts_drift(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", csv_of(columns_of("users", without=("phone",), more=("plan",))))

    done = command(warehouse, "--day", DAY)

    assert "users 2026-01-05: landed, 1 rows" in done.stdout
    assert "not in the contract: plan, missing: phone" in done.stdout
    heading, users = done.stdout.splitlines()[-3:-1]
    assert dict(zip(heading.split(), users.split(), strict=True))["drift"] == "2"
