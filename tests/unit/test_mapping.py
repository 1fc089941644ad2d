"""The grammar of mappings: the result of each form, and the message of each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest
import yaml

from saas_analytics.landing.binding import Binding, with_offset
from saas_analytics.landing.conditions import condition
from saas_analytics.landing.errors import MappingError
from saas_analytics.landing.grammar import SCHEMA, schema_text
from saas_analytics.landing.json_reader import parse
from saas_analytics.landing.mapping import load_mappings
from saas_analytics.settings import PROJECT_ROOT

MAPPINGS = PROJECT_ROOT / "saas_analytics/landing/mappings"
EVENTS = """
source: events
format: csv
timezone: Europe/Berlin
columns:
  user_id: user_id
  event_type: {const: page_view}
  event_timestamp: event_time
  event_id: {hash: [user_id, event_time, event_type, _line]}
  properties: {rest: true}
"""
FX_RATES = "source: fx_rates\ncolumns: {rate_date: d, currency: c, usd_rate: r}\n"


def binding(tmp_path: Path, text: str, columns: list[str] | None) -> Binding:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    (mapping,) = load_mappings(path)
    return Binding(mapping, columns, "f.csv")


def document(row: Any) -> dict[str, Any]:
    value = json.loads(row[0])
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_mappings_can_be_read(path: Path) -> None:
    assert load_mappings(path)


def test_example_of_the_design(tmp_path: Path) -> None:
    bound = binding(tmp_path, EVENTS, ["user_id", "event_time", "page", "empty"])

    first = document(bound.row(["u1", "2026-07-01 10:00:00", "/home", None], 2))
    again = document(bound.row(["u1", "2026-07-01 10:00:00", "/home", None], 2))
    other_line = document(bound.row(["u1", "2026-07-01 10:00:00", "/home", None], 3))

    assert first["event_timestamp"] == "2026-07-01T10:00:00+02:00"
    assert first["event_type"] == "page_view"
    assert first["properties"] == {"page": "/home"}
    assert first["event_id"] == again["event_id"] != other_line["event_id"]


def test_dots_reach_into_json_and_numbers_keep_their_digits(tmp_path: Path) -> None:
    text = """
source: orders
format: json
columns:
  order_id: id
  customer_id: who.id
  ordered_at: at
  discount_amount: sum.off
  status: who.kind
"""
    bound = binding(tmp_path, text, None)

    record = parse(
        b'{"id": 12345678901234567890123, "who": {"id": 7}, "at": "2026-01-01T00:00:00Z",'
        b' "sum": {"off": 1.10}}'
    )
    row = dict(zip(bound.filled, bound.row(record, 1) or (), strict=True))

    assert row["order_id"] == "12345678901234567890123"
    assert row["customer_id"] == "7"
    assert row["discount_amount"] == "1.10"
    assert row["status"] is None
    assert bound.finish(1) == ("status",)


def test_rest_of_json_keeps_the_other_part_of_an_object(tmp_path: Path) -> None:
    text = EVENTS.replace("csv", "json").replace("user_id: user_id", "user_id: user.id")
    bound = binding(tmp_path, text, None)

    record = parse(b'{"user": {"id": "u1", "age": 30}, "event_time": "x", "more": [1.50]}')

    row = bound.row(record, 1)

    assert row is not None and row[0].endswith('"properties":{"user":{"age":30},"more":[1.50]}}')


def test_required_member_that_no_record_has_is_an_error(tmp_path: Path) -> None:
    bound = binding(tmp_path, EVENTS.replace("csv", "json"), None)
    bound.row({"user_id": "u1"}, 1)

    with pytest.raises(MappingError, match=r"columns\.event_timestamp.*'event_time'"):
        bound.finish(1)


def test_where_and_distinct_filter_rows(tmp_path: Path) -> None:
    text = """
source: orders
columns: {order_id: no, customer_id: who, ordered_at: at}
where: {no: "not like 'C%'", n: ["> 0", "< 100"]}
distinct: [order_id]
"""
    bound = binding(tmp_path, text, ["no", "who", "at", "n"])

    kept = [
        bound.row([no, "c", "t", n], 2) is not None
        for no, n in [("1", "5"), ("1", "5"), ("C2", "5"), ("3", "0"), ("3", "7")]
    ]

    assert kept == [True, False, False, False, True]


def test_several_mappings_in_one_file_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(f"{EVENTS}---{EVENTS}")
    assert [mapping.name for mapping in load_mappings(path)] == ["two", "two#2"]

    path.write_text(
        "mappings:\n- {source: fx_rates, columns: {rate_date: d, currency: c, usd_rate: r}}\n"
    )
    assert [mapping.contract.source for mapping in load_mappings(path)] == ["fx_rates"]


def test_multiplied_amount_is_exact(tmp_path: Path) -> None:
    text = FX_RATES.replace("usd_rate: r", "usd_rate: {column: r, times: 0.01}")
    bound = binding(tmp_path, text, ["d", "c", "r"])

    assert bound.row(["d", "c", "1999"], 2) == ("d", "c", "19.99")
    assert bound.row(["d", "c", "a lot"], 3) == ("d", "c", "a lot")


@pytest.mark.parametrize(
    ("clock", "value", "expected"),
    [
        ('seconds_since: "1970-01-01T00:00:00Z"', "1767571200", "2026-01-05T00:00:00+00:00"),
        (
            'milliseconds_since: "1970-01-01T00:00:00Z"',
            "1767571200123",
            "2026-01-05T00:00:00.123000+00:00",
        ),
        ('seconds_since: "2020-01-01"', "1.5", "2020-01-01T00:00:01.500000+00:00"),
        ('seconds_since: "2020-01-01"', "1e300", "1e300"),
        ('seconds_since: "2020-01-01"', "soon", "soon"),
        ('seconds_since: "2020-01-01"', None, None),
    ],
)
def test_elapsed_time(tmp_path: Path, clock: str, value: str | None, expected: str | None) -> None:
    ordered_at = f"{{column: t, {clock}}}"
    text = f"source: orders\ncolumns: {{order_id: i, customer_id: c, ordered_at: {ordered_at}}}\n"
    bound = binding(tmp_path, text, ["i", "c", "t"])

    assert bound.row(["i", "c", value], 2) == ("i", "c", expected)


def test_comments_and_order_do_not_change_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(FX_RATES)
    digest = load_mappings(path)[0].digest
    path.write_text(
        "# a comment\ncolumns: {currency: c, usd_rate: r, rate_date: d}\nsource: fx_rates\n"
    )
    assert load_mappings(path)[0].digest == digest
    path.write_text(FX_RATES.replace("usd_rate: r", "usd_rate: {const: 1}"))
    assert load_mappings(path)[0].digest != digest


def test_the_digest_of_a_mapping_never_changes(tmp_path: Path) -> None:
    """Warehouses keep it with their loads: by another digest each file would land again."""
    path = tmp_path / "m.yaml"
    path.write_text(EVENTS)

    (mapping,) = load_mappings(path)

    assert mapping.digest == "f48c48e2c14b9c3b5909f91801ba0c0ff6ddf56e445f55f3f5097c1b94ee739d"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("source: events", "source: evnts"), "source: There is no contract"),
        (("source: events", ""), "source: is missing"),
        (("format: csv", "format: xml"), "format: 'xml' is not one of"),
        (("timezone: Europe/Berlin", "timezone: Berlin"), "timezone: 'Berlin' is not a time zone"),
        (
            ("user_id: user_id", "user: user_id"),
            r"columns\.user: the contract 'events' has no such column",
        ),
        (("  user_id: user_id\n", ""), "columns: the contract 'events' requires user_id"),
        (("{const: page_view}", "{cnst: page_view}"), r"columns\.event_type: 'cnst' is not known"),
        (
            ("event_time\n", "{column: t, seconds_since: x}\n"),
            r"event_timestamp\.seconds_since: 'x' is not a time",
        ),
        (
            ("{const: page_view}", "{column: t, since: x}"),
            r"columns\.event_type: .* is not understood",
        ),
        (("{const: page_view}", "[1]"), r"columns\.event_type: \[1\] is not understood"),
        (("{const: page_view}", "{const: null}"), r"columns\.event_type: .* is not understood"),
        (("{const: page_view}", "{hash: [a, 1]}"), r"columns\.event_type: .* is not understood"),
        (("{rest: true}", "{rest: 1}"), r"columns\.properties: .* is not understood"),
        (("{const: page_view}", "{rest: true}"), "columns: only one column can take the rest"),
        (
            ("{const: page_view}", "{column: t, times: 1, by: 2}"),
            r"columns\.event_type: .* is not understood",
        ),
        (
            ("{const: page_view}", "{column: t, times: many}"),
            r"columns\.event_type\.times: 'many' is not a number",
        ),
        (("format: csv", "where: []"), "where: must give a condition for each file column"),
        (("format: csv", "where: {1: x, a: x}"), "write the names of all columns as text"),
        (("format: csv", "where: {a: '>'}"), r"where\.a: '>' is not a condition"),
        (("format: csv", "distinct: order_id"), "distinct: must be a list"),
        (("format: csv", "distinct: [1]"), "distinct: must be a list"),
        (("format: csv", "colums: {}"), "colums: is not a key of a mapping"),
        (("format: csv", "ragged: maybe"), "ragged: 'maybe' is not one of"),
        (("format: csv", "delimiter: ';;'"), "delimiter: ';;' is not one character"),
        (("format: csv", "encoding: utf-16"), "encoding: 'utf-16' is not an encoding like"),
        (("format: csv", "encoding: rot13"), "encoding: 'rot13' is not an encoding like"),
        (("format: csv", "encoding: klingon"), "encoding: 'klingon' is not an encoding like"),
        (("format: csv", "x: ["), "is not YAML"),
    ],
)
def test_mistakes_name_the_file_and_the_key(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "bad.yaml"
    assert change[0] in EVENTS
    path.write_text(EVENTS.replace(*change))

    with pytest.raises(MappingError, match=rf"bad\.yaml.*{message}"):
        load_mappings(path)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"{EVENTS}fromat: csv\nragged: maybe\n---{EVENTS}delimiter: ';;'\n---\n- a\n")

    with pytest.raises(MappingError) as caught:
        load_mappings(path)

    first, second, third, fourth = str(caught.value).splitlines()
    assert first.startswith(f"{path}, mapping 1: ragged: 'maybe' is not one of")
    assert second.startswith(f"{path}, mapping 1: fromat: is not a key of a mapping. Keys: source")
    assert third.startswith(f"{path}, mapping 2: delimiter: ';;' is not one character")
    assert fourth == f"{path}, mapping 3: expected keys and values, found list"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("mappings: []", "is empty"),
        ("mappings: 5", "mappings: must be a list, and the only key at its level"),
        ("mappings: []\nsource: events", "mappings: must be a list, and the only key"),
        ("source: events", "columns: must say for each contract column where it comes from"),
        (
            "source: users\ncolumns: {user_id: a, updated_at: b, _extra: c}",
            r"columns\._extra: can only",
        ),
    ],
)
def test_a_file_without_mappings_is_reported(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    with pytest.raises(MappingError, match=rf"bad\.yaml.*{message}"):
        load_mappings(path)


def test_the_published_schema_is_that_of_the_models() -> None:
    assert SCHEMA.read_text() == schema_text(), (
        "write it again: .venv/bin/python -m saas_analytics.landing.grammar"
    )


@pytest.mark.parametrize("path", sorted(MAPPINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_mappings_name_the_schema_and_fulfil_it(path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    reference = "# yaml-language-server: $schema=../mapping.schema.json\n"
    documents = list(yaml.safe_load_all(path.read_text()))

    assert path.read_text().startswith(reference)
    # Editors apply a reference to the document that it is in.
    assert path.read_text().count(reference) == len(documents)
    for document in documents:
        jsonschema.validate(document, schema)
    jsonschema.validate({"mappings": documents}, schema)


@pytest.mark.parametrize(
    "change",
    [
        ("source: events", "source: evnts"),
        ("source: events", ""),
        ("format: csv", "format: xml"),
        ("format: csv", "colums: {}"),
        ("user_id: user_id", "user: user_id"),
        ("  user_id: user_id\n", ""),
        ("{const: page_view}", "{cnst: page_view}"),
        ("{const: page_view}", "{column: t, since: x}"),
        ("format: csv", "distinct: order_id"),
        ("format: csv", "delimiter: ';;'"),
    ],
)
def test_the_schema_refuses_mistakes(change: tuple[str, str]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(yaml.safe_load(EVENTS), schema)

    assert change[0] in EVENTS
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(EVENTS.replace(*change)), schema)


def test_landing_the_zone_does_not_import_the_grammar() -> None:
    """The import of pydantic would be a large part of the time of a small landing."""
    program = """
import sys
import saas_analytics.cli.data, saas_analytics.landing.display, saas_analytics.landing.execution
print(sorted({"pydantic", "saas_analytics.landing.mapping"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True
    )

    assert done.stdout == "[]\n", done.stderr


def test_missing_file_column_is_reported_with_the_existing_ones(tmp_path: Path) -> None:
    with pytest.raises(
        MappingError,
        match=r"columns\.event_timestamp: f\.csv has no column 'event_time'.*It has: user_id, b",
    ):
        binding(tmp_path, EVENTS, ["user_id", "b"])


@pytest.mark.parametrize(
    ("value", "cents"),
    [
        ("1.5E2", "1.5"),
        ("-.5", "-0.005"),
        ("12345678901234567890123456789012345678901", "123456789012345678901234567890123456789.01"),
        # None of these is a number: the value stays, and staging rejects it with the reason.
        ("1_000", "1_000"),
        ("\u0663", "\u0663"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("0x10", "0x10"),
        ("1,5", "1,5"),
        ("", ""),
        ("9e999999", "9e999999"),
        ("1E+99999999", "1E+99999999"),
        ("1e-99999999999999999999", "1e-99999999999999999999"),
        ("9" * 100_000, "9" * 100_000),
    ],
)
def test_a_product_is_exact_and_only_of_numbers(tmp_path: Path, value: str, cents: str) -> None:
    text = FX_RATES.replace("usd_rate: r", "usd_rate: {column: r, times: 0.01}")
    bound = binding(tmp_path, text, ["d", "c", "r"])
    row = bound.row(["2026-01-05", "EUR", value], 2)
    assert row is not None and row[2] == cents


@pytest.mark.parametrize(
    ("expression", "kept", "filtered"),
    [
        ("> 0", ["1", "0.001", "1e3", "not a number"], ["0", "-1", None]),
        (">= 10", ["10", "10.0", "100"], ["9", None]),
        ("!= 5", ["6"], ["5.0", None]),
        ("= '5'", ["5"], ["5.0", None]),
        (5, ["5", "5.00"], ["6"]),
        ("purchase", ["purchase"], ["refund", None]),
        (True, ["true"], ["false"]),
        ("in (a, 'b,c')", ["a", "b,c"], ["b", None]),
        ("not in (a, b)", ["c"], ["a", None]),
        ("like 'C%_x'", ["C1x", "C22x"], ["Cx", "D1x", None]),
        ("not like 'C%'", ["D", ""], ["C1", None]),
        ("is null", [None], ["", "x"]),
        ("is not null", ["", "x"], [None]),
        ("< '2026-01-01'", ["2025-12-31"], ["2026-01-01"]),
        ("= 'it''s'", ["it's"], ["its"]),
        (["> 0", "< 10"], ["5"], ["0", "10"]),
    ],
)
def test_conditions(expression: Any, kept: list[str | None], filtered: list[str | None]) -> None:
    holds = condition(expression)

    assert [value for value in (*kept, *filtered) if holds(value)] == kept


@pytest.mark.parametrize(
    "expression", [">", "like", "in ()", "", None, [], {}, "is nul", "> 'x", "= a, b"]
)
def test_bad_conditions_are_refused(expression: Any) -> None:
    with pytest.raises(ValueError):
        condition(expression)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-15 10:00:00", "2026-01-15T10:00:00+01:00"),
        ("2026-07-15T10:00", "2026-07-15T10:00+02:00"),
        ("2026-07-15", "2026-07-15T00:00:00+02:00"),
        ("2026-01-15 10:00:00.1234567", "2026-01-15T10:00:00.1234567+01:00"),
        ("2026-01-15 10:00:00Z", "2026-01-15 10:00:00Z"),
        ("2026-01-15T10:00:00-05:00", "2026-01-15T10:00:00-05:00"),
        ("2026-02-30 10:00:00", "2026-02-30 10:00:00"),
        ("15.01.2026", "15.01.2026"),
    ],
)
def test_times_without_an_offset_get_that_of_the_zone(text: str, expected: str) -> None:
    assert with_offset(text, ZoneInfo("Europe/Berlin")) == expected


def test_encodings_have_several_names(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    found = {}
    for name in ("UTF-8", "utf-8-sig", "latin-1", "windows-1252"):
        path.write_text(f"{FX_RATES}encoding: {name}\n")
        found[name] = load_mappings(path)[0].encoding

    assert found == {
        "UTF-8": "utf-8",
        "utf-8-sig": "utf-8",
        "latin-1": "iso8859-1",
        "windows-1252": "cp1252",
    }
