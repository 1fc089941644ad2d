"""Random damage: no traceback, no row lost or doubled, and both ways of reading agree."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from saas_analytics.contracts import load_contract
from saas_analytics.landing import copying
from saas_analytics.landing.errors import LandingError
from saas_analytics.landing.execution import prepare
from saas_analytics.landing.external import land_file
from saas_analytics.landing.mapping import load_mappings
from saas_analytics.landing.zone import land_day
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect
from tests.integration.landing_help import DAY, LONG, MAPPINGS, deliver, put

EXAMPLES = 2_000 if LONG else 200  # for the landing zone; a quarter of them for external files
OTHER = date(2026, 1, 6)


def _parquet() -> bytes:
    rows = {
        "order_id": ["o1", "o2", None],
        "customer_id": ["é", "", "c"],
        "ordered_at": ["2026-01-05", None, "x"],
    }
    stream = io.BytesIO()
    pq.write_table(pa.table({**rows, "tax_amount": [1, -2, 2**62]}), stream)
    return stream.getvalue()


SEEDS = {
    "users.csv": [
        b"user_id,updated_at,email\nu1,2026-01-05T08:00:00Z,a@x.org\nu2,2026-01-04T23:30:00-05:00,\n",
        b'user_id,updated_at,email\r\nu1,"2026-01-05",ab"c,d"e\r\n'
        b'"u ""2""",,"x\r\ny"\r\n\\.,\\N,"\\"\r\n',
        b"user_id,updated_at,new,email\rx,1,2,3\r",
    ],
    "events.jsonl": [
        b'{"event_id": 1.10, "event_timestamp": "2026-01-05T10:00:00Z"}\n'
        b' {"b": "\xc3\xa9", "n": {"d": [1, 2]}}\t\n',
        b'{"event_id": 1}\r\n{"event_id": "\\u00e9\\ud83d\\ude00"}',
        b'{"event_id": 1, "event_timestamp": "0001-01-01T00:00:00+01:00"}\n'
        b'{"event_id": 2, "event_timestamp": "9999-12-31T23:00:00-05:00"}\n'
        b'{"event_id": 3, "event_timestamp": "2016-12-31T24:00:60+14:00"}\n'
        b'{"event_id": 4, "event_timestamp": "-infinity"}\n',
    ],
    "subscriptions.json": [
        b'[{"a": 1.10,\n"b": [1, {"c": null}]}, {"a": "\\u00e9"}, {"x": 12345678901234567890}]'
    ],
    "returns.json": [
        b'[{"return_id": 1, "order_item_id": "x", "returned_at": "2026-01-05",'
        b' "quantity": 1e3, "y": []}]'
    ],
    "orders.parquet": [_parquet()],
}
MAPPED = {
    "events.json": (
        "user_activity.yaml",
        b'[{"user_id": "u", "action_type": "x", "timestamp": "2026-01-05", "n": {}}]',
    ),
    "events.csv": (
        "product_events.yaml",
        b"person,event,timestamp\np1,x,2020-06-05T05:00:00Z\np2,y z,2020-06-05\n",
    ),
    "retail.csv": (
        "online_retail.yaml",
        b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        b"536365,85123A,WHITE HEART,6.0,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"
        b"C536379,D,Discount,-1.0,2010-12-01 09:41:00,27.5,14527.0,United Kingdom\n",
    ),
}
INSERTS = [
    b'"',
    b"\r",
    b"\n",
    b"\x00",
    b"\x01",
    b"\x02",
    b"\xff",
    b",",
    b"{",
    b"]",
    b"\\",
    b"\xef\xbb\xbf",
    b"\\u0000",
    b"0001-01-01T00:00:00+01:00",
    b"9999-12-31T23:59:60-15:59",
    b"2026-01-05T24:00:00Z",
    b"infinity",
]
NUMBERS = [
    b"1e999999",
    b"-99999999999999999999999999",
    b"NaN",
    b"0x1F",
    b"1.",
    b"1e-400",
    b"9" * 1500,
]


@st.composite
def mutated(draw: st.DrawFn, seed: bytes) -> bytes:
    """The seed, one to three times over, with some mutations."""
    content = bytearray(seed * draw(st.integers(1, 3)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        edit = draw(
            st.sampled_from(
                ["flip", "cut", "end", "repeat", "insert", "recode", "shuffle", "number"]
            )
        )
        if edit == "flip" and place < len(content):
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif edit == "cut":
            del content[place : place + draw(st.integers(1, 20))]
        elif edit == "end":
            del content[place:]
        elif edit == "repeat":
            content[place:place] = content[place : place + draw(st.sampled_from([1, 15, 80]))]
        elif edit == "insert":
            content[place:place] = draw(st.sampled_from(INSERTS))
        elif edit == "recode":
            codec = draw(st.sampled_from(["utf-16", "utf-16-le", "latin-1", "utf-8-sig", "utf-7"]))
            content = bytearray(content.decode("utf-8", "replace").encode(codec, "replace"))
        elif edit == "shuffle":
            content = bytearray(
                b"\n".join(_shuffled(draw, line) for line in bytes(content).split(b"\n"))
            )
        elif edit == "number" and (numbers := list(re.finditer(rb"\d+", content))):
            start, end = draw(st.sampled_from(numbers)).span()
            content[start:end] = draw(st.sampled_from(NUMBERS))
    return bytes(content)


def _shuffled(draw: st.DrawFn, line: bytes) -> bytes:
    return b",".join(draw(st.permutations(line.split(b","))))


@pytest.fixture
def owner(warehouse: Settings) -> Iterator[psycopg.Connection]:
    """A connection of the owner, who can read everything."""
    prepare(warehouse)
    with closing(psycopg.connect(warehouse.dsn("owner"), autocommit=True)) as connection:
        yield connection


@pytest.fixture
def loader(warehouse: Settings) -> Iterator[psycopg.Connection]:
    with closing(connect(warehouse, "loader", autocommit=True)) as connection:
        yield connection


def check_load(
    owner: psycopg.Connection, load_id: int | None, table: str
) -> tuple[list[Any], list[Any]]:
    """Check Law 2 for one load. Returns its rows and its rejects."""
    counts = "select rows_read, rows_landed, rows_rejected, rows_left_out"
    row = owner.execute(f"{counts} from raw.loads where load_id = %s", [load_id]).fetchone()
    assert row is not None
    read, landed, rejected, filtered = row
    rows = owner.execute(
        f"select _line, to_jsonb(t) - '_load_id' - '_partition' from raw.{table} as t"
        " where _load_id = %s order by 1",
        [load_id],
    ).fetchall()
    rejects = owner.execute(
        "select line, reason, original from raw.rejects where load_id = %s order by 1, 2, 3",
        [load_id],
    ).fetchall()
    assert (len(rows), len(rejects)) == (landed, rejected)
    assert read == landed + rejected + filtered
    lines = [line for line, *_ in (*rows, *rejects)]
    assert len(set(lines)) == len(lines), "a record became a row or a reject twice"
    return rows, rejects


relaxed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(data=st.data())
@hypothesis_settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=relaxed)
def test_damaged_files_in_the_zone(
    warehouse: Settings, owner: psycopg.Connection, loader: psycopg.Connection, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(SEEDS)))
    content = data.draw(mutated(data.draw(st.sampled_from(SEEDS[name]))))
    source, zone = name.partition(".")[0], warehouse.landing_zone
    file_name = name
    if packed := data.draw(st.sampled_from([False, False, True])):
        file_name = f"{name}.gz"
    for day in (DAY, OTHER):
        path = deliver(warehouse, file_name, gzip.compress(content) if packed else content, day)
        path.with_name(name if packed else f"{name}.gz").unlink(missing_ok=True)
    contract = load_contract(source)

    try:
        with pytest.MonkeyPatch.context() as patch:
            # Segments of a few bytes, so that small files have many: COPY refuses some of them.
            segment = data.draw(st.sampled_from([copying.SEGMENT, 300, 60, 17]))
            patch.setattr(copying, "SEGMENT", segment)
            patch.setattr(copying, "SMALLEST", segment // 7)
            patch.setattr(copying, "_BATCH", segment)
            outcome = land_day(loader, contract, DAY, zone)
    except LandingError as error:
        assert str(error)
        return  # the file is refused as a whole, with a message
    if outcome.status == "failed":
        assert outcome.message
        return
    load_ids = (
        "select load_id from raw.loads"
        " where source = %s and landed_on = %s and superseded_by is null"
    )
    ((load_id,),) = owner.execute(load_ids, [source, DAY]).fetchall()
    rows, rejects = check_load(owner, load_id, source)
    if file_name == "events.jsonl":
        assert sorted(line for line, *_ in (*rows, *rejects)) == _lines_with_something(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "copy_fast", _refuse)
        try:
            land_day(loader, contract, OTHER, zone)
        except LandingError as error:
            pytest.fail(f"only the careful way refuses the file: {error}")
    ((load_id,),) = owner.execute(load_ids, [source, OTHER]).fetchall()
    assert check_load(owner, load_id, source) == (rows, rejects)


def _lines_with_something(content: bytes) -> list[int]:
    content = content.removeprefix(b"\xef\xbb\xbf")
    first = re.search(rb"\r\n|\n|\r", content)
    if first and first[0] == b"\r" and first.end() < len(content):
        lines = content.splitlines()
    else:
        lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    return [number for number, line in enumerate(lines, start=1) if line]


def _refuse(*_: object) -> None:
    """As if COPY refused everything."""


@given(data=st.data())
@hypothesis_settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=relaxed)
def test_damaged_external_files(
    warehouse: Settings,
    owner: psycopg.Connection,
    loader: psycopg.Connection,
    tmp_path: Path,
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from(sorted(MAPPED)))
    mapping, seed = MAPPED[name]
    path = put(tmp_path, name, data.draw(mutated(seed)))
    mappings = load_mappings(MAPPINGS / mapping)

    try:
        outcomes = land_file(loader, mappings, path, DAY)
    except LandingError as error:
        assert str(error)
        assert path.exists()
        return
    assert not path.exists()
    for outcome in outcomes:
        check_load(owner, outcome.load_id, outcome.source)
    rejected = owner.execute(
        "select count(*) from raw.rejects where load_id = any(%s)",
        [[outcome.load_id for outcome in outcomes]],
    ).fetchone()
    records = tmp_path / "processed/error_records.json"
    entries = json.loads(records.read_text()) if records.exists() else []
    assert rejected == (sum(entry["file"] == name for entry in entries),)
