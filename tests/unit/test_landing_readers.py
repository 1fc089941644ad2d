"""The readers of CSV and JSON: every record has its line, and every reject its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saas_analytics.landing import distinct, json_reader, json_window, lines, parquet_reader
from saas_analytics.landing.csv_reader import CsvReader, fields
from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.files import describe
from saas_analytics.landing.json_reader import JsonLines, depth, dump, json_documents, parse
from saas_analytics.landing.records import Reject

BLOCK_SIZES = (1, 3, 7, 10_000)


def cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def read_csv(content: bytes) -> list[Any]:
    """The results of the reader, which are the same for every block size."""
    results = [[_short(item) for item in CsvReader(cut(content, size))] for size in BLOCK_SIZES]
    assert all(result == results[0] for result in results)
    return results[0]


def read_json(content: bytes) -> list[Any]:
    results = [
        [_short(item) for item in json_documents(cut(content, size))] for size in BLOCK_SIZES
    ]
    assert all(result == results[0] for result in results)
    return results[0]


def _short(item: Any) -> Any:
    return (item.line, item.reason, item.original) if isinstance(item, Reject) else item


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("a,b", ["a", "b"]),
        ("a,,", ["a", None, None]),
        ('a,"",b', ["a", "", "b"]),
        ('"a,b","c""d"', ["a,b", 'c"d']),
        ('ab"c,d"e,f', ["abc,de", "f"]),
        ('"a" "b",', ["a b", None]),
        ('"x\r\ny",z', ["x\r\ny", "z"]),
    ],
)
def test_fields_follow_the_rules_of_copy(record: str, expected: list[str | None]) -> None:
    assert fields(record) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_and_a_missing_last_one(end: bytes) -> None:
    content = end.join([b"a,b", b"1,2", b"", b"3,4"])

    assert read_csv(content) == read_csv(content + end) == [(2, ["1", "2"]), (4, ["3", "4"])]


def test_csv_rejects_have_their_line_reason_and_text() -> None:
    content = b'a,b\n1,2\n3\n4,\xff\n5,\x00\n6,7,8\n"x\ny",9\n'

    assert read_csv(content) == [
        (2, ["1", "2"]),
        (3, "wrong_field_count", "3"),
        (4, "bad_utf8", "4,\\xff"),
        (5, "nul_byte", "5,\\x00"),
        (6, "wrong_field_count", "6,7,8"),
        (7, ["x\ny", "9"]),
    ]


def test_a_stray_quote_does_not_reject_the_records_after_it() -> None:
    assert read_csv(b'a,b\n1,"2\n3,4\n5,6\n') == [
        (2, "unterminated_quote", '1,"2'),
        (3, ["3", "4"]),
        (4, ["5", "6"]),
    ]
    assert read_csv(b'a,b\n1,"2\n3,4\n5,6",7\n8,9\n') == [
        (2, "unterminated_quote", '1,"2'),
        (3, ["3", "4"]),
        (4, "unterminated_quote", '5,6",7'),
        (5, ["8", "9"]),
    ]


def test_two_columns_of_one_name_refuse_the_file() -> None:
    with pytest.raises(FileRefused, match="two columns 'a'"):
        CsvReader(iter([b"a,b,a\n"]))


def test_empty_csv_has_no_columns_and_no_records() -> None:
    assert CsvReader(iter([])).columns == ()
    assert read_csv(b"a,b") == []


def test_json_array_gives_the_text_of_its_elements() -> None:
    content = '[{"a": 1.10,\n "b": "é€😀"} ,\r\n {"a": 2}]'.encode()

    assert read_json(content) == [(1, '{"a": 1.10,  "b": "é€😀"}'.encode()), (2, b'{"a": 2}')]


def test_json_single_object_lines_and_nothing() -> None:
    assert read_json(b' {"a": 1}') == [(1, b'{"a": 1}')]
    assert read_json(b'{"a": 1}\n{"a": 2}\n') == [(1, b'{"a": 1}'), (2, b'{"a": 2}')]
    assert read_json(b"") == read_json(b" [ ] ") == []


def test_broken_elements_do_not_reject_the_others() -> None:
    assert read_json(b'[{"a":1},{"a":,},{"b":2}]') == [
        (1, b'{"a":1}'),
        (2, "broken_json", '{"a":,}'),
        (3, b'{"b":2}'),
    ]
    assert read_json(b'[NaN,{"a":1}]') == [(1, "broken_json", "NaN"), (2, b'{"a":1}')]
    assert read_json(b'[{"a":"\xff"},{"a":1}]') == [
        (1, "bad_utf8", '{"a":"\\xff"}'),
        (2, b'{"a":1}'),
    ]


def test_an_object_inside_a_broken_element_is_not_an_element() -> None:
    assert read_json(b'[{"a":[{"x":1}, {"y":2}], "b":}, {"c":3}]') == [
        (1, "broken_json", '{"a":[{"x":1}, {"y":2}], "b":}'),
        (2, b'{"c":3}'),
    ]


@pytest.fixture
def small_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the longest record had 1,000 bytes, so that tests are quick."""
    monkeypatch.setattr(lines, "MAX_RECORD", 1000)
    monkeypatch.setattr(json_reader, "MAX_RECORD", 1000)
    monkeypatch.setattr(json_window, "MAX_RECORD", 1000)


@pytest.mark.usefixtures("small_records")
@pytest.mark.parametrize("size", [1, 7, 400])
@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_a_line_that_is_too_long_is_one_reject(size: int, end: bytes) -> None:
    long = b"x" * 2_500
    jsonl = [_short(item) for item in JsonLines(cut(end.join([b"{}", long, b"[]", long]), size))]
    csv = [_short(item) for item in CsvReader(cut(end.join([b"a", b"1", long, b"2", long]), size))]

    assert [item[:2] for item in jsonl] == [
        (1, b"{}"),
        (2, "too_long"),
        (3, b"[]"),
        (4, "too_long"),
    ]
    assert [item[:2] for item in csv] == [(2, ["1"]), (3, "too_long"), (4, ["2"]), (5, "too_long")]


@pytest.mark.usefixtures("small_records")
@pytest.mark.parametrize("size", [1, 7, 400, 10_000])
def test_an_element_that_is_too_long_is_one_reject(size: int) -> None:
    inner = [{"n": number, "text": 'a"]},{\\'} for number in range(80)]
    content = json.dumps([{"a": 1}, {"long": inner}, {"b": 2}, inner]).encode()

    items = [_short(item) for item in json_documents(cut(content, size))]

    assert [item[:2] for item in items] == [
        (1, b'{"a": 1}'),
        (2, "too_long"),
        (3, b'{"b": 2}'),
        (4, "too_long"),
    ]


def test_a_truncated_array_is_reported() -> None:
    assert read_json(b'[{"a":1},{"a":') == [
        (1, b'{"a":1}'),
        (2, "broken_json", '{"a":'),
        (3, "broken_json", "(the file ends inside the array)"),
    ]


def test_json_lines_are_counted_with_the_empty_ones() -> None:
    assert [_short(item) for item in JsonLines(iter([b'{"a":1}\n\n{"b"\n\x00\n']))] == [
        (1, b'{"a":1}'),
        (3, b'{"b"'),
        (4, "nul_byte", "\\x00"),
    ]


def test_numbers_are_written_as_they_were_read() -> None:
    text = b'{"a":1.10,"b":[1e5,{"c":12345678901234567890123}],"d":"x","e":null,"f":true}'

    assert dump(parse(text)) == text


def test_depth_does_not_count_brackets_in_strings() -> None:
    assert depth(b"[" * 300 + b"]" * 300) == 300
    assert depth(b'["' + b"[" * 300 + b'"]') == 1


def test_distinct_keys_are_the_same_in_memory_and_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "_MOST_IN_MEMORY", 7)
    keys, known = distinct.DistinctKeys(), set()
    for number in range(300):
        key = bytes([number * 31 % 101])
        assert keys.add(key) == (key not in known)
        known.add(key)
    keys.close()


def test_parquet_decoded_by_column_gives_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(5_000)
    columns = {
        "a": [f"text {number}" for number in numbers],
        # Dots separate members in names, and may be in the names of columns too.
        "a.b": [None if number % 3 else number for number in numbers],
        "": [b"\xff" if number == 2_500 else b"bytes" for number in numbers],
        "s": [{"x": number, "y": [number]} for number in numbers],
    }
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=3_000)

    def rows() -> list[Any]:
        with parquet_reader.ParquetReader(describe(path)) as reader:
            return [_short(row) for row in reader]

    whole = rows()
    monkeypatch.setattr(parquet_reader, "_DECODED_AT_ONCE", 0)

    assert rows() == whole
    assert len(whole) == len(numbers) and whole[2_500][:2] == (2_501, "bad_utf8")
    assert whole[-1] == (5_000, ["text 4999", None, "bytes", '{"x":4999,"y":[4999]}'])


_ID = "5e68d753-c58e-4b0b-b8bb-5a8bc728392e"


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([UUID(_ID).bytes, None], pa.uuid()), [_ID, None]),
        (pa.array([b"ok", None], pa.large_binary()), ["ok", None]),
        (pa.array([b"abcd"], pa.binary(4)), ["abcd"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["b", "a", "b"]),
        (
            pa.array([Decimal(0), Decimal("1.5"), None], pa.decimal128(38, 18)),
            ["0.000000000000000000", "1.500000000000000000", None],
        ),
        (pa.array([{"net": Decimal("1.10"), "raw": b"\xff"}]), ['{"net":1.10,"raw":"\\\\xff"}']),
        (
            pa.array([[("net", Decimal("1.10"))]], pa.map_(pa.string(), pa.decimal128(5, 2))),
            ['{"net":1.10}'],
        ),
        (pa.array([[(7, [1])]], pa.map_(pa.int32(), pa.list_(pa.int8()))), ['{"7":[1]}']),
        # JSON of one object would lose a pair.
        (pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8())), ['[["k",1],["k",2]]']),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_types_of_parquet_as_text(tmp_path: Path, array: pa.Array, texts: list[str | None]) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": array}), path)
    with parquet_reader.ParquetReader(describe(path)) as reader:
        assert [row[1][0] for row in reader] == texts  # type: ignore[index]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)], ids=str)
def test_a_bad_byte_in_parquet_rejects_its_row_alone(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": pa.array([b"ab", b"\xff\xfe", b"cd"], kind)}), path)
    with parquet_reader.ParquetReader(describe(path)) as reader:
        assert [_short(row) for row in reader] == [
            (1, ["ab"]),
            (2, "bad_utf8", "\\xff\\xfe"),
            (3, ["cd"]),
        ]


def test_damaged_parquet_is_refused_by_column_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [f"text {number}" for number in range(5_000)]}), path)
    content = bytearray(path.read_bytes())
    content[8 : len(content) // 2] = b"\xff" * (len(content) // 2 - 8)
    path.write_bytes(content)
    monkeypatch.setattr(parquet_reader, "_DECODED_AT_ONCE", 0)

    with (
        parquet_reader.ParquetReader(describe(path)) as reader,
        pytest.raises(FileRefused, match="damaged"),
    ):
        list(reader)
