"""The data contracts: saas_analytics/contracts/<source>.yaml defines the rows of a source.

The files follow the Open Data Contract Standard, version 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from saas_analytics.errors import AnalyticsError

CONTRACTS = Path(__file__).resolve().parent

# The safe loader, in C where PyYAML has it: parsing is most of the time of a small landing.
_SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

SOURCES = tuple(sorted(path.stem for path in CONTRACTS.glob("*.yaml")))

LogicalType = Literal["string", "timestamp", "date", "number", "integer", "boolean", "object"]
Payload = Literal["document", "columns"]
DeliveryFormat = Literal["jsonl", "json", "csv", "parquet"]


class ContractError(AnalyticsError):
    """A contract file is missing or wrong. The message says which, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract."""

    name: str
    logical_type: LogicalType
    required: bool
    description: str
    classification: str  # internal, confidential or restricted
    pii: bool  # identifies a person by itself


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract of a source: its columns, and how its rows are delivered and kept."""

    source: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # in the order of primaryKeyPosition
    event_time: str | None  # the column whose day a row affects; None: the landing day
    payload: Payload  # document: one JSON document per row; columns: every column as text
    delivery_format: DeliveryFormat

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> Column:
        """The column `name`. KeyError if the contract has no column with this name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


@cache
def load_contract(source: str) -> Contract:
    """The contract of `source`, one of SOURCES."""
    if source not in SOURCES:
        raise ContractError(
            f"There is no contract for the source {source!r}. Contracts: {', '.join(SOURCES)}."
        )
    return read_contract(CONTRACTS / f"{source}.yaml")


def read_contract(path: Path) -> Contract:
    """Read one contract file."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _SafeLoader)
        return _contract(document)
    except FileNotFoundError:
        raise ContractError(f"{path} does not exist.") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ContractError(
            f"{path} is not a contract that landing understands: {error!r}"
        ) from error


def _contract(document: Mapping[str, Any]) -> Contract:
    (schema,) = document["schema"]
    custom = {entry["property"]: entry["value"] for entry in schema["customProperties"]}
    keys = sorted(
        (entry["primaryKeyPosition"], entry["name"])
        for entry in schema["properties"]
        if entry.get("primaryKey")
    )
    if custom["payload"] not in ("document", "columns"):
        raise ValueError(f"payload {custom['payload']!r}")
    return Contract(
        source=schema["name"],
        description=document["description"]["purpose"],
        columns=tuple(_column(entry) for entry in schema["properties"]),
        key=tuple(name for _, name in keys),
        event_time=custom.get("eventTimeColumn"),
        payload=cast(Payload, custom["payload"]),
        delivery_format=cast(DeliveryFormat, custom["deliveryFormat"]),
    )


def _column(entry: Mapping[str, Any]) -> Column:
    return Column(
        name=entry["name"],
        logical_type=entry["logicalType"],
        required=bool(entry.get("required", False)),
        description=entry["description"],
        classification=entry["classification"],
        pii="pii" in entry.get("tags", ()),
    )
