"""The defects: each class is as frequent as the rules say, and the ground truth lists them all."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from data_gen.company.activity import robot_on
from data_gen.company.company import Company, exact_scale
from data_gen.company.defect_plan import (
    FILE_CLASSES,
    ROW_CLASSES,
    drifted_column,
    fate_of,
    row_classes,
)
from data_gen.company.growth import day_number
from data_gen.company.making import day_tables, write_day
from data_gen.company.rules import load_rules
from data_gen.company.schemas import SOURCES
from data_gen.company.writers import plain
from tests.generator_reading import Records, Row, file_of, read
from tests.generator_rules import changed, file_defects, row_defects, without_defects

FOUNDED = date(2026, 1, 1)
DAYS = [FOUNDED + timedelta(days=n) for n in range(60)]
SCALE = "0.1"
ROW_RATE = Decimal("0.012")
FILE_RATE = Decimal("0.03")
BROKEN = ("invalid_utf8", "nul_byte", "truncated_last_line")


def with_many_defects() -> Company:
    """A small company with so many defects that all classes occur."""
    rules = load_rules().founded_on(FOUNDED)
    defects = changed(
        rules.defects,
        rows=row_defects(ROW_RATE),
        files=file_defects(FILE_RATE),
        redelivered=FILE_RATE,
        skew=Decimal("0.1"),
    )
    return Company(changed(rules, defects=defects), 42, exact_scale(SCALE))


@dataclass(frozen=True)
class Window:
    """The written files, the clean rows, and the defects in the ground truth."""

    zone: Path
    company: Company
    clean: dict[tuple[str, date], list[Row]]
    defects: list[dict[str, Any]]

    def of_file(self, source: str, day: date) -> list[dict[str, Any]]:
        return [d for d in self.defects if d["source"] == source and d["landing_day"] == day]


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Window:
    zone, company = tmp_path_factory.mktemp("zone"), with_many_defects()
    clean: dict[tuple[str, date], list[Row]] = {}
    defects: list[dict[str, Any]] = []
    for day in DAYS:
        write_day(company, day, zone)
        defects += pq.read_table(zone / "_truth" / f"dt={day}" / "defects.parquet").to_pylist()
        for source, table in day_tables(company.rules, company.seed, SCALE, day).items():
            columns = [plain(column.combine_chunks()).to_pylist() for column in table.columns]
            clean[source, day] = [
                dict(zip(table.schema.names, row, strict=True))
                for row in zip(*columns, strict=True)
            ]
    return Window(zone, company, clean, defects)


@pytest.fixture(scope="module")
def records(window: Window) -> dict[tuple[str, date], Records]:
    return {(source, day): read(file_of(window.zone, source, day)) for source, day in window.clean}


def test_every_class_occurs(window: Window) -> None:
    seen = {defect["type"] for defect in window.defects}
    assert seen == {*ROW_CLASSES, *FILE_CLASSES, "late_arrival", "redelivered", "skew"}
    dispositions = {defect["disposition"] for defect in window.defects}
    assert dispositions == {"dedupe", "repair", "reject", "accept", "accept late"}
    lines = [
        (d["source"], d["landing_day"], d["line"]) for d in window.defects if d["line"] is not None
    ]
    compound = [
        (d["source"], d["landing_day"], d["line"])
        for d in window.defects
        if d["type"] == "compound"
    ]
    assert (
        len(lines) - len(set(lines)) == len(compound) - len(set(compound)) > 10
    )  # one class a row


def drifted(window: Window, source: str, day: date) -> str | None:
    return drifted_column(source, fate_of(window.company, source, day_number(day)).kind)


def could_have(window: Window, name: str, source: str, day: date, row: Row) -> bool:
    """Whether a clean row could get a defect of the class."""
    if name in ("exact_duplicate", "withdrawn_row"):
        return True
    columns = [c for c in ROW_CLASSES[name][1][source] if c != drifted(window, source, day)]
    if name == "unreconciled_payment":
        return row["kind"] == "charge" and row["order_id"] is not None
    if name == "missing_required":
        return True
    if name == "compound":
        return len(columns) == 2 and None not in (row[c] for c in columns)
    # One of several columns is drawn. Where it is null there is no defect.
    return any(row[c] is not None for c in columns)


TIMES = {
    "users": "updated_at",
    "customers": "updated_at",
    "subscriptions": "updated_at",
    "orders": "ordered_at",
    "payments": "paid_at",
    "returns": "returned_at",
    "sessions": "started_at",
    "events": "event_timestamp",
}


@pytest.mark.parametrize("name", ROW_CLASSES)
def test_rates_of_rows(window: Window, name: str) -> None:
    possible = 0
    late = {
        (d["source"], d["landing_day"], d["natural_key"])
        for d in window.defects
        if d["type"] == "late_arrival"
    }
    for (source, day), rows in window.clean.items():
        fate = fate_of(window.company, source, day_number(day))
        in_class = source in ROW_CLASSES[name][1]
        text_only = name in ("invalid_utf8", "nul_byte", "embedded_newline")
        if (
            not in_class
            or fate.kind == "empty_file"
            or (text_only and SOURCES[source].format == "parquet")
        ):
            continue
        if (name == "withdrawn_row" and fate.redelivered_on is None) or (
            name == "embedded_newline" and fate.kind == "crlf"
        ):
            continue
        for row in rows:
            key = "|".join(row[c] for c in SOURCES[source].key)
            again = source == "orders" and row["updated_at"] != row["ordered_at"]
            if (
                not again
                and (source, day, key) not in late
                and could_have(window, name, source, day, row)
            ):
                possible += 1
    found = len({d["defect_id"] for d in window.defects if d["type"] == name})
    assert possible > 20
    assert within(found, possible, float(ROW_RATE)), (found, possible)


@pytest.mark.parametrize("name", FILE_CLASSES)
def test_rates_of_files(window: Window, name: str) -> None:
    formats, _, columns = FILE_CLASSES[name]
    sources = [
        s
        for s in SOURCES.values()
        if s.format in formats and (columns is None or s.name in columns)
    ]
    possible = len(sources) * len(DAYS)
    # In a file without a row on time no last line breaks off.
    found = sum(
        fate_of(window.company, s.name, day_number(day)).kind == name
        for s in sources
        for day in DAYS
    )
    assert within(found, possible, float(FILE_RATE))
    listed = len({d["defect_id"] for d in window.defects if d["type"] == name})
    assert listed == found or (name == "truncated_last_line" and 0 < listed <= found)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("redelivered", [False, True])
def test_shares_are_those_of_the_rules(source: str, redelivered: bool) -> None:
    """The draws use the shares of the rules in the repository, unlike those of the window."""
    company = Company(load_rules(), 42, exact_scale("1"))
    names, bounds = row_classes(company, source, redelivered)
    drawn = dict(zip(names, (bounds - [0, *bounds[:-1]]).tolist(), strict=True))
    shares = vars(company.rules.defects.rows)
    assert drawn == {name: int(shares[name] * (1 << 32)) for name in names}
    possible = {name for name, (_, columns) in ROW_CLASSES.items() if source in columns}
    of_text = (
        {"invalid_utf8", "nul_byte", "embedded_newline"}
        if SOURCES[source].format == "parquet"
        else set()
    )
    assert set(names) == possible - of_text - ({"withdrawn_row"} if not redelivered else set())


def test_rates_of_redeliveries_and_robots(window: Window) -> None:
    days = [day_number(day) for day in DAYS]
    fates = [fate_of(window.company, source, day) for source in SOURCES for day in days]
    chance = [fate.redelivered_on is not None for fate in fates if fate.kind != "empty_file"]
    assert within(sum(chance), len(chance), float(FILE_RATE))
    assert all(fate.redelivered_on is not None for fate in fates if fate.kind == "empty_file")
    robots = sum(robot_on(window.company, day) is not None for day in days)
    assert within(robots, len(days), 0.1)
    assert robots == sum(defect["type"] == "skew" for defect in window.defects)


def within(found: int, possible: int, rate: float) -> bool:
    """Three standard deviations."""
    return abs(found - rate * possible) <= 3 * sqrt(rate * (1 - rate) * possible)


def key_of(source: str, row: Row) -> str:
    return "|".join(row[column] for column in SOURCES[source].key)


def test_defects_are_where_the_ground_truth_says(
    window: Window, records: dict[tuple[str, date], Records]
) -> None:
    checked = 0
    entries: dict[tuple[str, date, int], list[dict[str, Any]]] = defaultdict(list)
    for defect in window.defects:
        entries[defect["source"], defect["landing_day"], defect["line"]].append(defect)
    for defect in window.defects:
        if defect["line"] is None:
            continue
        found = records[defect["source"], defect["landing_day"]]
        assert defect["file"] == str(
            file_of(window.zone, defect["source"], defect["landing_day"]).relative_to(window.zone)
        )
        source, line, kind, column = (defect[name] for name in ("source", "line", "type", "column"))
        if kind in BROKEN:
            reason = {"invalid_utf8": "bad_utf8", "nul_byte": "nul_byte"}.get(kind)
            reject = found.rejects[line]
            assert reason is None or reject.reason == reason
            assert (
                reject.original == defect["corrupted"]
                if reason is None
                else defect["corrupted"] in reject.original
            )
        else:
            row = found.rows[line]
            if column is not None:
                wanted, written = defect["corrupted"], row[column]
                assert defect["original"] != wanted
                if column == "properties":  # JSON, whose spaces say nothing
                    wanted, written = wanted.replace(" ", ""), written.replace(" ", "")
                assert written == wanted, defect
            # The key is that of the true row.
            of_line = [
                d for d in entries[source, defect["landing_day"], line] if kind != "withdrawn_row"
            ]
            true = row | {d["column"]: d["original"] for d in of_line if d["column"] is not None}
            assert key_of(source, true) == defect["natural_key"], defect
            if kind == "late_arrival":
                assert 1 <= (defect["landing_day"] - defect["event_day"]).days <= 90
                assert source not in TIMES or row[TIMES[source]].startswith(
                    defect["event_day"].isoformat()
                )
            else:
                assert defect["event_day"] == defect["landing_day"]
        checked += 1
    assert checked > 1000


def test_rows_without_an_entry_are_clean(
    window: Window, records: dict[tuple[str, date], Records]
) -> None:
    """Without the defects of the ground truth the files have the clean rows, in their order."""
    for (source, day), clean in window.clean.items():
        found = records[source, day]
        fate = fate_of(window.company, source, day_number(day))
        if fate.kind == "empty_file":
            assert file_of(window.zone, source, day).read_bytes() == b""
            continue
        lines: dict[int, Row | None] = {**found.rows, **dict.fromkeys(found.rejects)}
        cut = None
        for defect in window.of_file(source, day):
            line, kind = defect["line"], defect["type"]
            if line is None or kind == "late_arrival":
                continue
            if kind in ("exact_duplicate", "conflicting_duplicate", "withdrawn_row"):
                removed = lines.pop(line)
                if kind == "exact_duplicate":
                    assert removed == lines[line - 1]
            elif kind == "truncated_last_line":
                assert line == max(lines)
                lines.pop(line)
                cut = defect["natural_key"]
            elif kind in ("invalid_utf8", "nul_byte"):
                lines[line] = None  # only the clean rows know its value
            else:
                lines[line] = {**(lines[line] or {}), defect["column"]: defect["original"]}
        rows = [row for _, row in sorted(lines.items())]
        wanted = [
            row
            for row in clean
            if cut is None or "|".join(row[c] for c in SOURCES[source].key) != cut
        ]
        assert len(clean) - len(wanted) == (cut is not None)
        assert len(rows) == len(wanted), (source, day)
        drift = drifted(window, source, day)
        for row, want in zip(rows, wanted, strict=True):
            if row is not None:
                assert comparable(row, drift) == comparable(want, drift), (source, day)


def comparable(row: Row, drift: str | None) -> Row:
    skipped = {drift, f"{drift}_v2", "source_system"}
    return {
        n: v.replace(" ", "") if n == "properties" else v
        for n, v in sorted(row.items())
        if n not in skipped
    }


def test_what_is_wrong_with_files(window: Window, records: dict[tuple[str, date], Records]) -> None:
    for (source, day), found in records.items():
        kind = fate_of(window.company, source, day_number(day)).kind
        content = file_of(window.zone, source, day).read_bytes()
        contract = tuple(SOURCES[source].schema.names)
        if SOURCES[source].format != "parquet":
            assert content.startswith(b"\xef\xbb\xbf") == (kind == "byte_order_mark")
            assert (b"\r\n" in content) == (kind == "crlf" and bool(found.columns))
        if not found.columns:
            continue
        column = drifted(window, source, day)
        if kind == "column_added":
            assert set(found.columns) == {*contract, "source_system"}
        elif kind == "column_renamed":
            assert set(found.columns) == ({*contract} - {column}) | {f"{column}_v2"}
        elif kind == "column_dropped":
            assert set(found.columns) == {*contract} - {column}
        elif kind == "columns_reordered":
            assert found.columns == contract[::-1]
        else:
            assert found.columns == contract


def test_a_redelivery_is_the_clean_file(window: Window) -> None:
    """It lies under the day on which it comes, so that no day's files change."""
    listed = [d for d in window.defects if d["type"] == "redelivered"]
    assert len(listed) > 10
    for defect in listed:
        again = date.fromisoformat(defect["corrupted"])
        assert again > defect["landing_day"]
        if again > DAYS[-1]:
            continue
        zone = window.zone / "_redelivered" / f"on={again}"
        found = read(file_of(zone, defect["source"], defect["landing_day"]))
        wanted = window.clean[defect["source"], defect["landing_day"]]
        assert not found.rejects
        assert [comparable(r, None) for r in found.rows.values()] == [
            comparable(r, None) for r in wanted
        ]


def test_rate_zero_switches_defects_off(tmp_path: Path) -> None:
    rules = without_defects(load_rules().founded_on(FOUNDED))
    nothing = Decimal(0)
    delivery = changed(rules.delivery, late_share=nothing, tail_share=nothing)
    company = Company(changed(rules, delivery=delivery), 42, exact_scale("0.2"))
    for day in DAYS[20:24]:
        write_day(company, day, tmp_path)
        assert pq.read_table(tmp_path / "_truth" / f"dt={day}" / "defects.parquet").num_rows == 0
    assert not (tmp_path / "_redelivered").exists()


@pytest.mark.parametrize("kind", FILE_CLASSES)
def test_defective_rows_in_defective_files(tmp_path: Path, kind: str) -> None:
    """Every file has one class of defects and many rows have one: the ground truth fits them."""
    rules = load_rules().founded_on(FOUNDED)
    defects = changed(
        rules.defects,
        rows=row_defects(Decimal("0.03")),
        files=file_defects(Decimal(0), **{kind: Decimal(1)}),
        redelivered=Decimal("0.5"),
    )
    company = Company(changed(rules, defects=defects), 42, exact_scale(SCALE))
    day = DAYS[40]
    write_day(company, day, tmp_path)
    defects = pq.read_table(tmp_path / "_truth" / f"dt={day}" / "defects.parquet").to_pylist()
    for source in SOURCES:
        fate = fate_of(company, source, day_number(day))
        if fate.kind is None:
            continue
        found = read(file_of(tmp_path, source, day))
        mine = [d for d in defects if d["source"] == source and d["line"] is not None]
        assert {d["line"] for d in mine} <= found.rows.keys() | found.rejects.keys()
        assert found.rejects.keys() == {d["line"] for d in mine if d["type"] in BROKEN}
        for defect in mine:
            if defect["type"] not in BROKEN and defect["column"] not in (None, "properties"):
                assert found.rows[defect["line"]][defect["column"]] == defect["corrupted"], defect
    assert len(defects) > 10
