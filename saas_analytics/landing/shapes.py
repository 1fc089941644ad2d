"""The shape of a file before its rows are read: its columns, and whether they are enough."""

from __future__ import annotations

from dataclasses import dataclass

from saas_analytics.contracts import Contract
from saas_analytics.landing.csv_reader import CsvReader
from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.files import ByteStream, InputFile


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a file before its rows are read."""

    columns: tuple[str, ...] | None  # None: JSON, where each record has its own

    def unknown(self, contract: Contract) -> tuple[str, ...]:
        return tuple(name for name in self.columns or () if name not in contract.column_names)


def shape_of(file: InputFile) -> Shape:
    """The columns of a file. FileRefused if its header cannot be used."""
    if file.format == "csv":
        with ByteStream(file) as stream:
            return Shape(CsvReader(stream.blocks()).columns)
    if file.format == "parquet":
        # pyarrow is large: imported only if it is needed.
        from saas_analytics.landing.parquet_reader import ParquetReader

        with ParquetReader(file) as parquet:
            return Shape(parquet.columns)
    return Shape(None)


def check_required(contract: Contract, file: InputFile, shape: Shape) -> None:
    """FileRefused for a file without a required column. An empty file lacks none."""
    if not shape.columns:
        return
    missing = [name for name in contract.required if name not in shape.columns]
    if missing:
        which = (
            f"column {missing[0]} is" if len(missing) == 1 else f"columns {', '.join(missing)} are"
        )
        raise FileRefused(
            f"{file.path}: the required {which} missing, says the contract {contract.source!r}. "
            f"The file has: {', '.join(shape.columns)}."
        )
