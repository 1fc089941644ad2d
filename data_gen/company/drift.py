"""Drift: the ways in which the columns of a file can differ from its contract."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from data_gen.company.columns import no_rows, pick
from data_gen.company.corruption import Values
from data_gen.company.defect_plan import drifted_column
from data_gen.company.schemas import Source
from data_gen.company.writers import plain

ADDED = "source_system"
_ADDED_VALUE = "core"


@dataclass(frozen=True)
class Drift:
    """A change of a source's columns for one file."""

    kind: str
    column: str | None

    @classmethod
    def of(cls, source: Source, kind: str | None) -> Drift | None:
        """The drift of a class of file defects; None if the class changes no columns."""
        if kind is None or not kind.startswith("column"):
            return None
        return cls(kind, drifted_column(source.name, kind))

    @property
    def written_as(self) -> str | None:
        """The name or type that the file has in place of the contract's."""
        if self.kind == "column_renamed":
            return f"{self.column}_v2"
        if self.kind == "column_added":
            return ADDED
        return "text" if self.kind == "column_retyped" else None

    def source(self, source: Source) -> Source:
        """The source with the columns of the file."""
        return replace(source, schema=self.table(no_rows(source.schema)).schema)

    def table(self, rows: pa.Table) -> pa.Table:
        if self.kind == "columns_reordered":
            return rows.select(rows.schema.names[::-1])
        if self.kind == "column_added":
            return rows.append_column(
                ADDED, pick([_ADDED_VALUE], np.zeros(len(rows), dtype=np.int64))
            )
        if self.kind == "column_dropped":
            return rows.drop_columns([self.column])
        if self.kind == "column_renamed":
            return rows.rename_columns(
                [self.written_as if n == self.column else n for n in rows.schema.names]
            )
        at = rows.schema.names.index(self.column)
        values = rows.column(at)
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int32())
        return rows.set_column(at, self.column, plain(values.combine_chunks()).cast(pa.string()))

    def values(self, values: Values) -> Values:
        """The same for one row, as text."""
        if self.kind == "columns_reordered":
            return dict(reversed(values.items()))
        if self.kind == "column_added":
            return {**values, ADDED: _ADDED_VALUE}
        if self.kind == "column_dropped":
            return {name: value for name, value in values.items() if name != self.column}
        if self.kind == "column_renamed":
            return {
                (self.written_as or "") if name == self.column else name: v
                for name, v in values.items()
            }
        return {
            name: {"true": "1", "false": "0"}.get(value or "", value)
            if name == self.column
            else value
            for name, value in values.items()
        }
