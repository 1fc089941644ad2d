"""Forty days of the company: every record is accounted for, and the rejects are the true ones."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from data_gen.land import main
from saas_analytics.contracts import load_contract
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.integration.landing_help import command, deliver, query, state

FOUNDED, FIRST, DAYS = date(2023, 1, 1), date(2023, 3, 1), 40
# The defects of the ground truth that landing rejects, with its possible reasons.
OF_LANDING = {
    "invalid_utf8": {"bad_utf8"},
    "nul_byte": {"nul_byte"},
    "truncated_last_line": {"wrong_field_count", "broken_json", "unterminated_quote"},
}
MORE_DEFECTS = {
    "rows": {"invalid_utf8": 0.003, "nul_byte": 0.003, "embedded_newline": 0.003},
    "files": {
        "truncated_last_line": 0.1,
        "byte_order_mark": 0.05,
        "crlf": 0.05,
        "column_added": 0.05,
    },
}
Reject = tuple[str, str, int, str]  # source, day, line, class


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The window, with every defect that concerns landing many times."""
    place = tmp_path_factory.mktemp("window")
    zone = place / "raw"
    rules = yaml.safe_load((PROJECT_ROOT / "data_gen/rules.yaml").read_text())
    for group, rates in MORE_DEFECTS.items():
        rules["dirt"][group].update(rates)
    rules["dirt"]["redelivered"] = 0.1
    path = place / "rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    days = ("--day", str(FIRST), "--days", str(DAYS), "--scale", "0.05", "--seed", "7")
    subprocess.run(
        [sys.executable, "data_gen/generate.py", *days, "--out", str(zone), "--rules", str(path)],
        cwd=PROJECT_ROOT,
        # Explicit, because the checkout may have an .env: `make demo` writes COMPANY_FOUNDED there.
        env={**os.environ, "SYNTHETIC_COMPANY": "on", "COMPANY_FOUNDED": str(FOUNDED)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return zone


def ground_truth(zone: Path) -> set[Reject]:
    """The records that landing has to reject; none where the company is clean."""
    defects = [
        row
        for path in sorted(zone.glob("_truth/*/defects.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    return {
        (row["source"], str(row["landing_day"]), row["line"], row["type"])
        for row in defects
        if row["type"] in OF_LANDING
    }


def rejects(settings: Settings, loads: str) -> set[tuple[str, str, int, str]]:
    """The rejects of the loads that fulfil the condition `loads`."""
    return {
        (source, str(day), line, reason)
        for source, day, line, reason in query(
            settings,
            "select rejects.source, rejects.landed_on, line, reason"
            f" from raw.rejects join raw.loads using (load_id) where {loads}",
        )
    }


FIRST_DELIVERIES, LIVE = "loads.landed_on = delivered_on", "superseded_by is null"


def last_deliveries(zone: Path) -> dict[tuple[str, date], Path]:
    """The last delivery of each source and day, by the names of its directories."""
    last = FIRST + timedelta(days=DAYS - 1)
    found = {
        (path.parents[1].name, date.fromisoformat(path.parent.name.removeprefix("dt="))): path
        for path in zone.glob("[!_]*/dt=*/[!_]*")
    }
    # In the order of their arrival.
    for path in sorted(zone.glob("_redelivered/on=*/*/dt=*/[!_]*")):
        assert date.fromisoformat(path.parents[2].name.removeprefix("on=")) <= last
        found[(path.parents[1].name, date.fromisoformat(path.parent.name.removeprefix("dt=")))] = (
            path
        )
    return found


def records(path: Path, source: str) -> Iterator[Any]:
    """The records of a file, by readers that landing does not use; None for each reject."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        columns = [column.cast(pa.string()).to_pylist() for column in table.columns]
        for cells in zip(*columns, strict=True):
            yield dict(zip(table.column_names, cells, strict=True))
    elif path.suffix == ".json":
        yield from json.loads(content) if content else []
    elif path.suffix == ".jsonl":
        for line in filter(None, content.splitlines()):
            try:
                document = json.loads(line.decode())
                yield document if b"\x00" not in line and isinstance(document, dict) else None
            except ValueError:
                yield None
    else:
        rows = csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""))
        header = next(rows, [])
        for row in filter(None, rows):
            text = "".join(row)
            is_text = "\x00" not in text and not any("\udc80" <= char <= "\udcff" for char in text)
            yield (
                dict(zip(header, row, strict=True)) if is_text and len(row) == len(header) else None
            )


def canonical(record: dict[str, Any]) -> str:
    """Python's CSV reader does not distinguish empty text from NULL, so both are dropped."""
    return json.dumps(
        {name: value for name, value in record.items() if value not in (None, "")}, sort_keys=True
    )


def landed(connection: psycopg.Connection, source: str, day: date) -> Iterator[dict[str, Any]]:
    contract = load_contract(source)
    where = f"from raw.{source} where _partition = '{day}'"
    if contract.payload == "document":
        yield from (document for (document,) in connection.execute(f"select _doc {where}"))
        return
    names = ", ".join(contract.column_names)
    for *values, extra in connection.execute(f"select {names}, _extra {where}"):
        yield {**dict(zip(contract.column_names, values, strict=True)), **(extra or {})}


def test_every_record_of_a_generated_window(warehouse: Settings, zone: Path) -> None:
    done = command(warehouse, "--from", zone, "--day", FIRST, "--days", DAYS, "--json")

    assert done.returncode == 0, done.stderr[-2000:]
    totals: Counter[str] = Counter()
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        load_log = {
            (source, day): (read, landed_rows, rejected)
            for source, day, read, landed_rows, rejected in connection.execute(
                "select source, landed_on, rows_read, rows_landed, rows_rejected"
                f" from raw.loads where {LIVE}"
            )
        }
        for (source, day), path in sorted(last_deliveries(zone).items()):
            found = list(records(path, source))
            good = Counter(canonical(record) for record in found if record is not None)
            assert Counter(map(canonical, landed(connection, source, day))) == good, path
            expected = (len(found), good.total(), found.count(None))
            assert load_log.pop((source, day)) == expected, path
            totals += Counter(read=len(found), rejected=found.count(None))
    assert not load_log
    assert totals["read"] > 5_000


def test_rejects_are_those_of_the_ground_truth(warehouse: Settings, zone: Path) -> None:
    """For first deliveries, which have the defects, and for the live loads after corrections."""
    assert command(warehouse, "--from", zone, "--day", FIRST, "--days", DAYS).returncode == 0

    expected = ground_truth(zone)
    assert {entry[3] for entry in expected} == set(OF_LANDING)
    corrected = {
        (path.parent.name, path.name.removeprefix("dt="))
        for path in zone.glob("_redelivered/*/*/dt=*")
    }
    assert len(corrected) > 20
    left = {entry for entry in expected if entry[:2] not in corrected}
    for loads, right in ((FIRST_DELIVERIES, expected), (LIVE, left)):
        found = rejects(warehouse, loads)
        for kind, reasons in OF_LANDING.items():
            rejected = {entry[:3] for entry in found if entry[3] in reasons}
            true = {entry[:3] for entry in right if entry[3] == kind}
            hits = len(rejected & true)
            precision, recall = hits / len(rejected), hits / len(true)
            assert (precision, recall) == (1.0, 1.0), (loads, kind)
        assert len(found) == len(right)
    # Corrected deliveries are clean.
    assert rejects(warehouse, "loads.landed_on <> delivered_on") == set()


def test_days_landed_in_any_order_and_twice_leave_the_same(
    new_warehouse: Callable[[], Settings], zone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, and shuffled with each day twice: some corrections land first."""
    in_order, shuffled = new_warehouse(), new_warehouse()
    assert command(in_order, "--from", zone, "--day", FIRST, "--days", DAYS).returncode == 0
    days = [FIRST + timedelta(days=number) for number in range(DAYS)] * 2
    random.Random(3).shuffle(days)
    for name, value in shuffled.environment().items():
        monkeypatch.setenv(name, value)

    for day in days:
        assert main(["--from", str(zone), "--day", str(day)]) == 0

    assert state(shuffled) == state(in_order)


def _at(change: Callable[[bytes], bytes]) -> Callable[[list[bytes], int], None]:
    def apply(lines: list[bytes], place: int) -> None:
        lines[place] = change(lines[place])

    return apply


BREAK_CSV = {
    "bad_utf8": _at(lambda line: line[:5] + b"\xc3\x28" + line[5:]),
    "nul_byte": _at(lambda line: line[:5] + b"\x00" + line[5:]),
    "wrong_field_count": _at(lambda line: line + b",more"),
    "unterminated_quote": _at(lambda line: line.rpartition(b",")[0] + b',"never closed'),
}
BREAK_JSONL = {
    "bad_utf8": _at(lambda line: line.replace(b'":"', b'":"\xff', 1)),
    "nul_byte": _at(lambda line: line.replace(b'":"', b'":"\\u0000', 1)),
    "broken_json": _at(lambda line: line[: len(line) // 2]),
    "not_an_object": _at(lambda line: b"[" + line + b"]"),
}


def test_known_defects_are_found_each_with_its_reason(warehouse: Settings) -> None:
    """Every reason, many times, at known lines, among good rows."""
    expected: set[Reject] = set()
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        users = [b"user_id,updated_at,email,full_name"]
        users += [b'u%d,2023-03-01T10:00:00Z,"a@b.c","x ""%d"""' % (one, one) for one in range(40)]
        events = [
            b'{"event_id":"e%d","user_id":"u","event_timestamp":"2023-03-01"}' % one
            for one in range(40)
        ]
        for source, lines, ways in (("users", users, BREAK_CSV), ("events", events, BREAK_JSONL)):
            for position, (reason, way) in enumerate(ways.items()):
                place = 3 + 9 * position + number % 7
                way(lines, place)
                expected.add((source, str(day), place + 1, reason))
        deliver(warehouse, "users.csv", b"\n".join(users) + b"\n", day)
        deliver(warehouse, "events.jsonl", b"\n".join(events) + b"\n", day)

    done = command(warehouse, "--day", FIRST, "--days", DAYS, "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total"] == {
        "read": 80 * DAYS,
        "landed": 72 * DAYS,
        "rejected": 8 * DAYS,
        "filtered": 0,
    }
    found = rejects(warehouse, LIVE)
    for reason in {*BREAK_CSV, *BREAK_JSONL}:
        right = {entry for entry in expected if entry[3] == reason}
        rejected = {entry for entry in found if entry[3] == reason}
        hits = len(right & rejected)
        assert (hits / len(rejected), hits / len(right)) == (1.0, 1.0), reason
    assert found == expected
