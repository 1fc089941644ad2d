"""Mappings: YAML that says how a foreign file becomes rows of a contract. Read here and checked against the contract.

One file may hold several mappings, for a file that fills several contracts: as YAML documents, or under `mappings:`.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from saas_analytics.contracts import Contract, ContractError, load_contract
from saas_analytics.landing.conditions import Condition, condition, number
from saas_analytics.landing.errors import MappingError
from saas_analytics.landing.files import Format

OWN_COLUMNS = ("_file", "_line")
REST = "*"  # among the columns that a mapping knows: whatever there is
EXTRA = "_extra"  # of raw tables with columns: what the contract does not know, as JSON
_KEYS = (
    "source",
    "format",
    "delimiter",
    "encoding",
    "timezone",
    "columns",
    "where",
    "distinct",
    "ragged",
)
_FORMATS = ("csv", "jsonl", "json", "parquet")

MAPPINGS = Path(__file__).with_name("mappings")  # those that the project ships


@dataclass(frozen=True, slots=True)
class FromFile:
    """The value of a file column; dots reach into JSON."""

    column: str


@dataclass(frozen=True, slots=True)
class Multiplied:
    """The number in a file column times a constant, exactly; for amounts in cents. What is no number stays as it is."""

    column: str
    factor: Decimal


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The time that lies so many seconds after another, exactly; for clocks that count. What is no number stays."""

    column: str
    since: datetime
    unit: Decimal  # in seconds


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for every row."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Hash:
    """The first 32 hex digits of the SHA-256 of these values as a JSON array of texts."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Every file column that is not named elsewhere in `columns`, as JSON."""


InFile = FromFile | Multiplied | Elapsed
Origin = InFile | Constant | Hash | Rest
_CLOCKS = {"seconds_since": Decimal(1), "milliseconds_since": Decimal("0.001")}


@dataclass(frozen=True, slots=True)
class Mapping:
    """How one kind of foreign file fills one contract."""

    name: str  # the mapping file's name, with a number where it fills the same contract more than once
    path: Path
    digest: str  # of what it says: comments and order do not count
    contract: Contract
    format: Format | None  # None: by the ending of the file's name
    delimiter: str  # of CSV
    encoding: str
    timezone: ZoneInfo
    columns: Dictionary[str, Origin]  # by contract column
    where: Dictionary[str, Condition]  # by file column
    distinct: tuple[str, ...]
    ragged: Literal["pad", "reject"]

    def known_columns(self) -> set[str]:
        """The file columns that the mapping names anywhere, with the heads of dotted ones; REST where it takes all."""
        known = {*self.where, *self.distinct}
        for name, origin in self.columns.items():
            if isinstance(origin, InFile):
                known.add(origin.column)
            elif isinstance(origin, Hash):
                known.update(origin.parts)
            elif isinstance(origin, Rest) and name != EXTRA:
                known.add(REST)
        return known | {name.partition(".")[0] for name in known}


class _PlainYaml(yaml.SafeLoader):
    """YAML in which `no`, `on` and 2026-01-31 are texts, as one expects of names of columns and of constants."""


_PlainYaml.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag != "tag:yaml.org,2002:timestamp"
        and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_mappings(path: Path) -> list[Mapping]:
    """Read a mapping file. MappingError, naming the file and the key, where it says what cannot be done."""
    try:
        text = path.read_text(encoding="utf-8")
        documents = [
            document for document in yaml.load_all(text, _PlainYaml) if document is not None
        ]
    except OSError as error:
        raise MappingError(
            f"{path}: {error.strerror}. Give the path of a mapping file with --mapping."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if len(documents) == 1 and isinstance(documents[0], dict) and "mappings" in documents[0]:
        unknown = set(documents[0]) - {"mappings"}
        if unknown or not isinstance(documents[0]["mappings"], list):
            raise MappingError(f"{path}: mappings: must be a list, and the only key at its level.")
        documents = documents[0]["mappings"]
    if not documents:
        raise MappingError(f"{path} says nothing. A mapping needs at least source: and columns:.")
    mappings: list[Mapping] = []
    for position, document in enumerate(documents, start=1):
        where = str(path) if len(documents) == 1 else f"{path}, mapping {position}"
        if not isinstance(document, dict):
            raise MappingError(
                f"{where}: expected keys and values, found {type(document).__name__}."
            )
        same = sum(mapping.contract.source == document.get("source") for mapping in mappings)
        name = path.stem if not same else f"{path.stem}#{same + 1}"
        mappings.append(_Reader(path, where, document).read(name))
    return mappings


class _Reader:
    """Checks one mapping key by key; every complaint names the file and the key."""

    def __init__(self, path: Path, where: str, document: dict[str, Any]) -> None:
        self._path = path
        self._where = where
        self._document = document

    def read(self, name: str) -> Mapping:
        for key in self._document:
            if key not in _KEYS:
                raise self._error(str(key), f"is not a key of a mapping. Keys: {', '.join(_KEYS)}")
        contract = self._contract()
        columns = self._columns(contract)
        canonical = json.dumps(self._document, sort_keys=True, default=str)
        return Mapping(
            name=name,
            path=self._path,
            digest=hashlib.sha256(canonical.encode()).hexdigest(),
            contract=contract,
            format=cast("Format | None", self._choice("format", _FORMATS, None)),
            delimiter=self._delimiter(),
            encoding=self._encoding(),
            timezone=self._timezone(),
            columns=columns,
            where=self._conditions(),
            distinct=self._distinct(),
            ragged=cast(
                Literal["pad", "reject"], self._choice("ragged", ("pad", "reject"), "reject")
            ),
        )

    def _contract(self) -> Contract:
        source = self._document.get("source")
        if source is None:
            raise self._error("source", "is missing: which contract does it fill?")
        try:
            return load_contract(str(source))
        except ContractError as error:
            raise self._error("source", str(error)) from None

    def _columns(self, contract: Contract) -> dict[str, Origin]:
        entries = self._document.get("columns")
        if not isinstance(entries, dict) or not entries:
            raise self._error("columns", "must say for each contract column where it comes from")
        columns: dict[str, Origin] = {}
        for column, entry in entries.items():
            if column == EXTRA and contract.payload == "columns":
                if entry != {"rest": True}:
                    raise self._error(
                        f"columns.{EXTRA}", "can only be {rest: true}: what is named nowhere else"
                    )
            elif column not in contract.column_names:
                known = ", ".join(contract.column_names)
                raise self._error(
                    f"columns.{column}",
                    f"the contract {contract.source!r} has no such column. It has: {known}",
                )
            columns[column] = self._origin(column, entry)
        missing = [column for column in contract.required if column not in columns]
        if missing:
            raise self._error(
                "columns", f"the contract {contract.source!r} requires {', '.join(missing)}"
            )
        if sum(isinstance(origin, Rest) for origin in columns.values()) > 1:
            raise self._error("columns", "only one column can take the rest")
        return columns

    def _origin(self, column: str, entry: Any) -> Origin:
        key = f"columns.{column}"
        if isinstance(entry, str) and entry:
            return FromFile(entry)
        if isinstance(entry, dict) and len(entry) == 1:
            ((kind, value),) = entry.items()
            if kind == "const" and value is not None and not isinstance(value, list | dict):
                return Constant(
                    value if isinstance(value, str | int | float | bool) else str(value)
                )
            if (
                kind == "hash"
                and isinstance(value, list)
                and value
                and all(isinstance(part, str) for part in value)
            ):
                return Hash(tuple(value))
            if kind == "rest" and value is True:
                return Rest()
            if kind not in ("const", "hash", "rest"):
                raise self._error(
                    key,
                    f"{kind!r} is not known. Known: a file column, const, hash, rest, column and times,"
                    " column and seconds_since or milliseconds_since",
                )
        if (
            isinstance(entry, dict)
            and set(entry) == {"column", "times"}
            and isinstance(entry["column"], str)
        ):
            factor = number(str(entry["times"]))
            if factor is not None:
                return Multiplied(entry["column"], factor)
        if isinstance(entry, dict) and len(entry) == 2 and isinstance(entry.get("column"), str):
            for clock, unit in _CLOCKS.items():
                if clock in entry:
                    return Elapsed(
                        entry["column"], self._moment(f"{key}.{clock}", entry[clock]), unit
                    )
        raise self._error(
            key,
            f"{entry!r} is not understood. Write a file column, {{const: value}}, {{hash: [columns]}}, {{rest: true}},"
            " {column: name, times: number} or {column: name, seconds_since: time}",
        )

    def _moment(self, key: str, value: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            raise self._error(key, f"{value!r} is not a time like 1970-01-01T00:00:00Z") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=self._timezone())

    def _conditions(self) -> dict[str, Condition]:
        entries = self._document.get("where", {})
        if not isinstance(entries, dict):
            raise self._error("where", "must give a condition for each file column")
        conditions = {}
        for column, expression in entries.items():
            try:
                conditions[str(column)] = condition(expression)
            except ValueError as error:
                raise self._error(f"where.{column}", str(error)) from None
        return conditions

    def _distinct(self) -> tuple[str, ...]:
        entry = self._document.get("distinct", [])
        if not isinstance(entry, list) or not all(isinstance(name, str) for name in entry):
            raise self._error("distinct", "must be a list of columns")
        return tuple(entry)

    def _delimiter(self) -> str:
        value = self._document.get("delimiter", ",")
        if not isinstance(value, str) or len(value) != 1 or value in '"\r\n':
            raise self._error("delimiter", f"{value!r} is not one character like ';' or \"\\t\"")
        return value

    def _encoding(self) -> str:
        value = self._document.get("encoding", "utf-8")
        try:
            name = codecs.lookup(str(value)).name.removesuffix(
                "-sig"
            )  # a byte order mark is never content
            # Only what is text in ASCII as well: line ends and delimiters are looked for in bytes.
            if "a,\n".encode(name) != b"a,\n":
                raise LookupError(value)
        except (LookupError, TypeError, ValueError):
            raise self._error(
                "encoding", f"{value!r} is not an encoding like utf-8 or windows-1252"
            ) from None
        return name

    def _timezone(self) -> ZoneInfo:
        name = self._document.get("timezone", "UTC")
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            raise self._error(
                "timezone", f"{name!r} is not a time zone like Europe/Berlin"
            ) from None

    def _choice(self, key: str, choices: tuple[str, ...], default: str | None) -> str | None:
        value = self._document.get(key, default)
        if value is not default and value not in choices:
            raise self._error(key, f"{value!r} is not one of {', '.join(choices)}")
        return value

    def _error(self, key: str, message: str) -> MappingError:
        return MappingError(f"{self._where}: {key}: {message}")
