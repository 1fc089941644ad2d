"""Reads generated files as landing does, for tests: records as text, and rejects, by line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from data_gen.company.schemas import SOURCES
from saas_analytics.landing.csv_reader import CsvReader
from saas_analytics.landing.files import ByteStream, describe
from saas_analytics.landing.json_reader import JsonLines, fault_of_json, json_documents
from saas_analytics.landing.parquet_reader import ParquetReader
from saas_analytics.landing.records import Reject

Row = dict[str, Any]
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3})000Z")


@dataclass(frozen=True)
class Records:
    """The records of a file by line, and the rejected lines with their reasons."""

    rows: dict[int, Row]
    rejects: dict[int, Reject]
    columns: tuple[str, ...]


def file_of(zone: Path, source: str, day: object) -> Path:
    return zone / source / f"dt={day}" / f"{source}.{SOURCES[source].format}"


def read(path: Path) -> Records:
    file = describe(path)
    rows: dict[int, Row] = {}
    rejects: dict[int, Reject] = {}
    if file.format == "parquet":
        with ParquetReader(file) as parquet:
            found = {
                record[0]: [_instant(v) for v in record[1]]
                for record in parquet
                if isinstance(record, tuple)
            }
            named = {n: dict(zip(parquet.columns, v, strict=True)) for n, v in found.items()}
            return Records(named, {}, parquet.columns)
    with ByteStream(file) as stream:
        if file.format == "csv":
            reader = CsvReader(stream.blocks())
            for record in reader:
                if isinstance(record, Reject):
                    rejects[record.line] = record
                else:
                    rows[record[0]] = dict(zip(reader.columns, record[1], strict=True))
            return Records(rows, rejects, reader.columns)
        documents = (
            JsonLines(stream.blocks())
            if file.format == "jsonl"
            else json_documents(stream.blocks())
        )
        for document in documents:
            if isinstance(document, Reject):
                rejects[document.line] = document
                continue
            line, raw = document
            try:
                rows[line] = {
                    name: _text(value, raw, name) for name, value in orjson.loads(raw).items()
                }
            except orjson.JSONDecodeError:
                rejects[line] = Reject(line, fault_of_json(raw), raw.decode())
    columns = tuple(next(iter(rows.values()), ()))
    return Records(rows, rejects, columns)


def _instant(value: str | None) -> str | None:
    """An instant of a Parquet file, which is typed, as the text that other files have."""
    match = _INSTANT.fullmatch(value or "")
    return f"{match[1]}T{match[2]}Z" if match else value


def _text(value: Any, raw: bytes, name: str) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    if isinstance(value, float):  # money, with the digits that the file has
        return f"{value:.2f}"
    return str(value)
