"""Turns records into rows of a raw table, for files whose columns are those of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from saas_analytics.contracts import Contract
from saas_analytics.landing.json_reader import dump

Row = tuple[Any, ...]
Json = dict[str, Any]
TabularRow = Callable[[Sequence[str | None]], Row]
DocumentRow = Callable[[Json], Row]


def as_text(value: Any) -> str | None:
    """A JSON value as text: a string itself, a number as it was written."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return dump(value).decode()


def tabular_rows(contract: Contract, columns: Sequence[str]) -> tuple[tuple[str, ...], TabularRow]:
    """The raw table's columns to fill, and the function that fills them from a record."""
    if contract.payload == "document":

        def document(values: Sequence[str | None]) -> Row:
            present = {
                name: value
                for name, value in zip(columns, values, strict=True)
                if value is not None
            }
            return (dump(present).decode(),)

        return ("_doc",), document

    known = [name for name in columns if name in contract.column_names]
    positions = [columns.index(name) for name in known]
    extra = [
        (name, position)
        for position, name in enumerate(columns)
        if name not in contract.column_names
    ]

    def row(values: Sequence[str | None]) -> Row:
        rest = {name: values[position] for name, position in extra if values[position] is not None}
        return (
            *[values[position] for position in positions],
            dump(rest).decode() if rest else None,
        )

    return (*known, "_extra"), row


def document_rows(contract: Contract) -> tuple[tuple[str, ...], DocumentRow]:
    """The raw table's columns to fill, and the function that fills them from a JSON object."""
    if contract.payload == "document":
        return ("_doc",), lambda document: (dump(document).decode(),)
    names = contract.column_names

    def row(document: Json) -> Row:
        rest = _without(document, names)
        return (
            *[as_text(document.get(name)) for name in names],
            dump(rest).decode() if rest else None,
        )

    return (*names, "_extra"), row


def _without(document: Mapping[str, Any], names: Sequence[str]) -> Json:
    return {
        name: value for name, value in document.items() if name not in names and value is not None
    }
