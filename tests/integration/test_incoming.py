"""Files in incoming/: complete ones land and move, others wait, helper files are not data."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from saas_analytics.landing.errors import LandingError
from saas_analytics.landing.execution import prepare
from saas_analytics.landing.external import land_file
from saas_analytics.landing.mapping import load_mappings
from saas_analytics.pipeline import incoming
from saas_analytics.pipeline.incoming import arrived, land_waiting
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect
from tests.integration.landing_help import DAY, put, query

ORDERS = b"id,cust,ts\n%s,c1,2026-01-05T10:00:00Z\n"
MAPPING = b"source: orders\ncolumns: {order_id: id, customer_id: cust, ordered_at: ts}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(incoming, "INCOMING", tmp_path / "incoming")
    folder = tmp_path / "incoming/shop"
    folder.mkdir(parents=True)
    put(folder, "mapping.yaml", MAPPING)
    return folder


def age(path: Path, seconds: float) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_only_complete_files_are_taken(folder: Path) -> None:
    complete = [
        age(put(folder, "a.csv", ORDERS % b"a"), 31),
        put(folder, "b.csv", ORDERS % b"b"),
        age(put(folder, "c.csv.gz", b""), 31),
    ]
    put(folder, "b.csv.done", b"")
    writing = [put(folder, "d.csv", ORDERS % b"d"), age(put(folder, "e.csv", b""), -3600)]
    for name in (".f.csv", "g.csv.part", "h.tmp", "_SUCCESS", "._SUCCESS.crc", ".a.csv.crc"):
        age(put(folder, name, b"x"), 31)
    (folder / "processed").mkdir()

    waiting = arrived(folder.parent, 30)
    assert waiting.complete == {folder / "mapping.yaml": complete}
    assert waiting.unfinished == writing


def test_a_file_that_is_written_lands_when_it_has_settled(
    warehouse: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(warehouse, incoming_settle_seconds=30)
    file = put(folder, "a.csv", ORDERS % b"a")
    assert land_waiting(settings) == 0
    assert f"{file} waits" in capsys.readouterr().out
    put(folder, "a.csv", file.read_bytes() + b"b,c1,2026-01-05\n")
    age(file, 31)
    assert land_waiting(settings) == 0
    assert query(warehouse, "select order_id from raw.orders order by 1") == [("a",), ("b",)]
    assert [path.name for path in (folder / "processed").iterdir()] == ["a.csv"]


def test_a_marker_says_that_a_file_is_complete_and_leaves_with_it(
    warehouse: Settings, folder: Path
) -> None:
    file = put(folder, "a.csv", ORDERS % b"a")
    marker = put(folder, "a.csv.done", b"")
    assert land_waiting(replace(warehouse, incoming_settle_seconds=3600)) == 0
    assert not file.exists() and not marker.exists()
    assert query(warehouse, "select order_id from raw.orders") == [("a",)]


def test_a_file_that_grows_after_it_was_read_stays_and_lands_again(
    warehouse: Settings, folder: Path
) -> None:
    prepare(warehouse)
    file = put(folder, "a.csv", ORDERS % b"a")

    def append(step: str, size: int) -> None:
        if step == "committed":
            with file.open("ab") as stream:
                stream.write(b"b,c1,2026-01-05\n")

    mappings = load_mappings(folder / "mapping.yaml")
    with connect(warehouse, "loader", autocommit=True) as connection:
        with pytest.raises(LandingError, match="was written to since, so it stays"):
            land_file(connection, mappings, file, DAY, observe=append)
        assert file.exists() and orders(warehouse) == ["a"]
        (outcome,) = land_file(connection, mappings, file, DAY)
    assert outcome.status == "replaced" and orders(warehouse) == ["a", "b"]
    assert not file.exists()


def orders(settings: Settings) -> list[str]:
    with psycopg.connect(settings.dsn("owner")) as connection:
        rows = connection.execute("select order_id from raw.orders order by 1").fetchall()
    return [name for (name,) in rows]
