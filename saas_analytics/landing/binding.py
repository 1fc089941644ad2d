"""Binds a mapping to one file: which record becomes which row, and which is filtered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from saas_analytics.landing.conditions import number, product
from saas_analytics.landing.distinct import DistinctKeys
from saas_analytics.landing.errors import MappingError
from saas_analytics.landing.grammar import (
    EXTRA,
    Constant,
    Elapsed,
    FromFile,
    Hash,
    InFile,
    Multiplied,
    Rest,
)
from saas_analytics.landing.json_reader import DEEPEST, depth, dump, parse
from saas_analytics.landing.mapping import OWN_COLUMNS, Mapping
from saas_analytics.landing.projection import Row, as_text

Record = Any  # a list of texts for a file with columns, a dict for JSON
Getter = Callable[[Record, int], Any]

_NAIVE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?))?")


class Binding:
    """A mapping for one file. `row` returns the row of a record, or None if it is filtered.

    `columns` are the file's columns, or None for JSON, where each record has its own. A missing
    column is an error if the mapping needs it: at once for a file with columns, in `finish` for
    JSON.
    """

    def __init__(self, mapping: Mapping, columns: Sequence[str] | None, file_name: str) -> None:
        self._mapping = mapping
        self._columns = columns
        self._file_name = file_name
        self._lacking: list[str] = []  # optional contract columns without their file column
        self._unseen: set[str] = set()  # JSON members that no record has had yet
        self._named: dict[str, Getter] = {}
        for name, origin in mapping.columns.items():
            if isinstance(origin, FromFile):
                self._named[name] = self._in_zone(name, self._value(name, origin.column))
            elif isinstance(origin, Multiplied):
                self._named[name] = _times(self._value(name, origin.column), origin.times)
            elif isinstance(origin, Elapsed):
                self._named[name] = _after(
                    self._value(name, origin.column), origin, mapping.timezone
                )
            elif isinstance(origin, Constant):
                self._named[name] = _constant(origin.const)
        for name, origin in mapping.columns.items():
            if isinstance(origin, Hash):
                parts = [
                    self._file_column(f"columns.{name}", part, or_contract_column=True)
                    for part in origin.hash
                ]
                self._named[name] = _hash(parts)
            elif isinstance(origin, Rest):
                rest = self._rest()
                # In a document an empty object is a value; an empty _extra of a raw table is NULL.
                self._named[name] = _or_null(rest) if name == EXTRA else rest
        self._conditions = [
            (self._file_column(f"where.{name}", name, or_contract_column=True), holds)
            for name, holds in mapping.where.items()
        ]
        self._key = [
            self._named.get(name) or self._file_column("distinct", name)
            for name in mapping.distinct
        ]
        self._keys = DistinctKeys()
        self._order = [
            name for name in (*mapping.contract.column_names, EXTRA) if name in self._named
        ]
        self._getters = [self._named[name] for name in self._order]
        self._is_document = mapping.contract.payload == "document"
        self._objects = {
            column.name for column in mapping.contract.columns if column.logical_type == "object"
        }

    @property
    def filled(self) -> tuple[str, ...]:
        """The columns of the raw table that the rows fill."""
        return ("_doc",) if self._is_document else tuple(self._order)

    @property
    def fields_needed(self) -> int:
        """How many fields a row must have: up to the last one that the mapping must have."""
        if self._columns is None:
            return 0
        columns, contract = self._columns, self._mapping.contract
        names = [*self._mapping.where, *self._mapping.distinct]
        for name, origin in self._mapping.columns.items():
            if isinstance(origin, Hash):
                names += origin.hash
            elif isinstance(origin, InFile) and contract.column(name).required:
                names.append(origin.column)
        heads = (name if name in columns else name.partition(".")[0] for name in names)
        return max((columns.index(head) + 1 for head in heads if head in columns), default=0)

    def row(self, record: Record, line: int) -> Row | None:
        """The row of this record; None if `where` or `distinct` filters it."""
        for getter, holds in self._conditions:
            if not holds(as_text(getter(record, line))):
                return None
        if self._key:
            key = hashlib.blake2b(
                orjson.dumps([as_text(getter(record, line)) for getter in self._key]),
                digest_size=16,
            ).digest()
            if not self._keys.add(key):
                return None
        if not self._is_document:
            return tuple([as_text(getter(record, line)) for getter in self._getters])
        document = {}
        for name, getter in zip(self._order, self._getters, strict=True):
            value = getter(record, line)
            if value is not None:
                document[name] = _as_object(value) if name in self._objects else value
        return (dump(document).decode(),)

    def close(self) -> None:
        """Delete the temporary files."""
        self._keys.close()

    def finish(self, rows_read: int) -> tuple[str, ...]:
        """Call it after the last row. Returns the optional contract columns that were missing.

        MappingError if a required column was in no record of a JSON file.
        """
        if not rows_read or not self._unseen:
            return tuple(self._lacking)
        contract = self._mapping.contract
        missing = []
        for name, origin in self._mapping.columns.items():
            if isinstance(origin, InFile) and origin.column in self._unseen:
                if contract.column(name).required:
                    raise self._absent(f"columns.{name}", origin.column)
                missing.append(name)
        for name in self._mapping.where:
            if name in self._unseen:
                raise self._absent(f"where.{name}", name)
        return tuple(missing)

    def _value(self, name: str, column: str) -> Getter:
        """The file column for the contract column `name`; NULL if it is missing and optional."""
        try:
            return self._file_column(f"columns.{name}", column)
        except MappingError:
            if self._mapping.contract.column(name).required:
                raise
        self._lacking.append(name)
        return _constant(None)

    def _file_column(self, key: str, name: str, *, or_contract_column: bool = False) -> Getter:
        if name == "_file":
            return _constant(self._file_name)
        if name == "_line":
            return lambda record, line: str(line)
        fallback = self._named.get(name) if or_contract_column else None
        if self._columns is None:
            return self._member(name, fallback)
        if name in self._columns:
            position = self._columns.index(name)
            return lambda record, line: record[position]
        head, _, path = name.partition(".")
        if path and head in self._columns:
            position = self._columns.index(head)
            return lambda record, line: _inside(record[position], path)
        if fallback is not None:
            return fallback
        raise self._absent(key, name)

    def _member(self, name: str, fallback: Getter | None) -> Getter:
        parts = name.split(".")
        self._unseen.add(name)

        def get(record: Record, line: int) -> Any:
            value: Any = record
            if name in record:
                value = record[name]
            else:
                for part in parts:
                    if not isinstance(value, dict) or part not in value:
                        return fallback(record, line) if fallback else None
                    value = value[part]
            self._unseen.discard(name)
            return value

        return get

    def _rest(self) -> Getter:
        used: set[str] = set()
        for origin in self._mapping.columns.values():
            if isinstance(origin, InFile):
                used.add(origin.column)
            elif isinstance(origin, Hash):
                used.update(part for part in origin.hash if part not in OWN_COLUMNS)
        if self._columns is None:
            return lambda record, line: _without(record, used)
        rest = [(name, position) for position, name in enumerate(self._columns) if name not in used]
        return lambda record, line: {
            name: record[position] for name, position in rest if record[position] is not None
        }

    def _in_zone(self, name: str, getter: Getter) -> Getter:
        if self._mapping.contract.column(name).logical_type != "timestamp":
            return getter
        zone = self._mapping.timezone
        return lambda record, line: (
            with_offset(value, zone) if type(value := getter(record, line)) is str else value
        )

    def _absent(self, key: str, name: str) -> MappingError:
        has = (
            f"It has: {', '.join(self._columns)}"
            if self._columns is not None
            else "None of its records has that member"
        )
        return MappingError(
            f"{self._mapping.path}: {key}: {self._file_name} has no column {name!r}. {has}."
        )


@lru_cache(maxsize=65_536)
def with_offset(text: str, zone: ZoneInfo) -> str:
    """A time without an offset, with the offset of `zone` at that time. Other text is unchanged."""
    match = _NAIVE.fullmatch(text)
    if match is None:
        return text
    day, clock = match[1], match[2] or "00:00:00"
    try:
        moment = datetime.fromisoformat(f"{day}T{clock[:8]}").replace(tzinfo=zone)
        offset = moment.isoformat()[19:]
    except ValueError:
        return text
    return f"{day}T{clock.replace(',', '.')}{offset}"


def _constant(value: Any) -> Getter:
    return lambda record, line: value


def _or_null(getter: Getter) -> Getter:
    return lambda record, line: getter(record, line) or None


def _times(getter: Getter, factor: Decimal) -> Getter:
    def get(record: Record, line: int) -> Any:
        value = getter(record, line)
        found = number(value) if isinstance(value, str) else None
        return value if found is None else format(product(found, factor), "f")

    return get


def _after(getter: Getter, clock: Elapsed, zone: ZoneInfo) -> Getter:
    since = clock.since if clock.since.tzinfo else clock.since.replace(tzinfo=zone)
    microseconds = clock.unit * 1_000_000

    def get(record: Record, line: int) -> Any:
        value = getter(record, line)
        found = number(value) if isinstance(value, str) else None
        if found is None:
            return value
        try:
            # Whole microseconds: a float of seconds has too few digits for present-day times.
            moment = since + timedelta(microseconds=int(product(found, microseconds)))
        except OverflowError:
            return value
        return moment.isoformat()

    return get


def _hash(parts: Sequence[Getter]) -> Getter:
    def get(record: Record, line: int) -> str:
        values = orjson.dumps([as_text(part(record, line)) for part in parts])
        return hashlib.sha256(values).hexdigest()[:32]

    return get


def _inside(text: str | None, path: str) -> Any:
    """The member at `path` in a column that holds JSON; None if there is none."""
    value = _as_object(text)
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _as_object(value: Any) -> Any:
    """Parse text that is a JSON object; other values are unchanged."""
    if type(value) is str and value.lstrip().startswith("{"):
        try:
            parsed = (
                parse(value.encode("utf-8")) if depth(value.encode("utf-8")) <= DEEPEST else None
            )
        except ValueError:
            return value
        return parsed if isinstance(parsed, dict) else value
    return value


def _without(record: dict[str, Any], used: set[str]) -> dict[str, Any]:
    """The members that are not used; for a partly used object, its unused part."""
    rest: dict[str, Any] = {}
    for name, value in record.items():
        if name in used:
            continue
        inner = {path.partition(".")[2] for path in used if path.startswith(f"{name}.")}
        if inner and isinstance(value, dict):
            value = _without(value, inner)
            if not value:
                continue
        rest[name] = value
    return rest
