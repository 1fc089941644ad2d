"""Writes a source's rows of a day with the defects of the defect plan, and lists the defects."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from data_gen.company import events as event
from data_gen.company import text
from data_gen.company.columns import byte_words, dates_as_text, whole, words_or_null
from data_gen.company.company import Company
from data_gen.company.corruption import Change, Values, corrupted
from data_gen.company.defect_plan import (
    ACCEPT_LATE,
    DEDUPE,
    FILE_CLASSES,
    REJECT,
    REPAIR,
    ROW_CLASSES,
    DefectiveRows,
    columns_with,
    defective_rows,
    fate_of,
    row_classes,
)
from data_gen.company.defects import DefectList
from data_gen.company.drift import Drift
from data_gen.company.events import Events
from data_gen.company.hashing import I64, U64, Mask
from data_gen.company.rendering import line_of, quoted_columns, shown, spliced, together
from data_gen.company.rows import Rows
from data_gen.company.schemas import Source
from data_gen.company.writers import SourceWriter, lines_of, plain
from saas_analytics.sources.files import Written

# A corrupted row: its place (instead of the clean row, before it or after it), the
# number of the clean row, its class of defects, its values, and the changes in them.
Corrupted: TypeAlias = tuple[str, int, str, Values, list[Change]]


class CorruptingWriter:
    """Writes the file of a source and day for its first delivery."""

    def __init__(
        self, company: Company, source: Source, day: int, path: Path, defects: DefectList
    ) -> None:
        self._company, self._day, self.defects = company, day, defects
        self._contract = source
        fate = fate_of(company, source.name, day)
        self._fate, self._kind = fate, fate.kind
        self._drift = Drift.of(source, fate.kind)
        self._source = self._drift.source(source) if self._drift else source
        self._quoted = quoted_columns(self._source)
        self._names, _ = row_classes(company, source.name, fate.redelivered_on is not None)
        self._writer = SourceWriter(
            self._source,
            path,
            mark=fate.kind == "byte_order_mark",
            line_end=b"\r\n" if fate.kind == "crlf" else b"\n",
            empty=fate.kind == "empty_file",
        )
        self._first_line = 2 if source.format == "csv" else 1
        self._held_back: bytes | None = None  # the row in which the last line breaks off
        self._held: tuple[pa.Array, I64] | None = None
        if fate.kind:
            drift = self._drift
            _, disposition, _ = FILE_CLASSES[fate.kind]
            if fate.kind != "truncated_last_line":
                column = drift.column if drift else None
                defects.add_file(
                    fate.kind, disposition, column, column, drift.written_as if drift else None
                )
        if fate.redelivered_on is not None:
            again = str(np.datetime64(fate.redelivered_on, "D"))
            defects.add_file("redelivered", REPAIR, None, None, again)

    def add(self, rows: Rows | Events) -> None:
        if not len(rows) or self._kind == "empty_file":
            return
        on_time, late = _when(rows, self._day)
        defective = self._defective(rows, on_time)
        victim = self._victim(on_time)
        if victim is not None:
            kept = defective.row != victim
            defective = DefectiveRows(
                defective.row[kept], defective.kind[kept], defective.bits[kept]
            )
        if not len(defective.row) and victim is None:
            self._label_late(rows, late, np.arange(len(rows)))
            self._write(self._clean(rows))
        else:
            self._add_defective(rows, defective, late, victim)
        self.defects.in_order()

    def _add_defective(
        self, rows: Rows | Events, defective: DefectiveRows, late: Mask | None, victim: int | None
    ) -> None:
        copies = defective.kind == self._number("exact_duplicate")
        times = np.ones(len(rows), dtype=np.int64)
        times[defective.row[copies]] = 2
        others = np.flatnonzero(~copies)
        some = self._table(rows.take(defective.row[others]))
        made = self._corrupt(some, defective.kind[others], defective.bits[others])
        kinds = np.array(
            [("replace", "before", "after").index(how) for how, *_ in made], dtype=np.int64
        )
        changed_row = np.array([defective.row[others[n]] for _, n, *_ in made], dtype=np.int64)
        times[changed_row[kinds > 0]] = 2
        clean = self._clean(rows)
        if victim is not None:
            times[victim] = 0
            self._hold(rows, victim, clean)
        start = np.cumsum(times) - times
        at = start[changed_row] + (kinds == 2)
        copied = defective.row[copies]
        self._label(rows, start[copied] + 1, copied, "exact_duplicate", DEDUPE)
        self._label_changes(some, rows, at, made)
        self._label_late(rows, late, start)
        changed = self._written([values for *_, values, _ in made])
        order = np.repeat(np.arange(len(rows)), times)
        order[at] = len(rows) + np.arange(len(made))
        if isinstance(clean, pa.Table) or self._contract.format == "json" or self._kind == "crlf":
            self._write(together(clean, changed).take(whole(order)))
        else:
            held = np.array([] if victim is None else [victim], dtype=np.int64)
            affected = np.unique(np.concatenate([defective.row, held]))
            self._writer.add_text(
                spliced(clean, changed, affected, start, times, order), int(times.sum())
            )

    # -- defects -------------------------------------------------------------------------------

    def _defective(self, rows: Rows | Events, on_time: Mask | None) -> DefectiveRows:
        """The rows with a defect. `on_time`: None if all rows are."""
        if on_time is not None and not on_time.any():
            nothing = np.zeros(0, dtype=np.int64)
            return DefectiveRows(nothing, nothing, nothing.view(np.uint64))
        found = defective_rows(self._company, self._contract.name, self._fate, rows.bits)
        if on_time is None:
            return found
        kept = on_time[found.row]
        return DefectiveRows(found.row[kept], found.kind[kept], found.bits[kept])

    def _number(self, name: str) -> int:
        return self._names.index(name) if name in self._names else -1

    def _corrupt(self, some: pa.Table, kinds: I64, bits: U64) -> list[Corrupted]:
        """The corrupted rows."""
        names = some.schema.names
        columns = [plain(column).to_pylist() for column in some.combine_chunks().columns]
        made: list[Corrupted] = []
        for number, (cells, kind, draw) in enumerate(
            zip(zip(*columns, strict=True), kinds.tolist(), bits.tolist(), strict=True)
        ):
            values: Values = dict(zip(names, cells, strict=True))
            name = self._names[kind]
            if name == "withdrawn_row":
                key = names[0]
                new = (values[key] or "")[:-16] + f"{draw:016x}"
                made.append(("after", number, name, {**values, key: new}, [Change(key, None, new)]))
                continue
            possible = columns_with(name, self._contract.name, self._kind)
            if not possible or (name == "embedded_newline" and self._kind == "crlf"):
                continue
            changes = corrupted(name, self._contract, possible, values, draw)
            if changes:
                how = "before" if name == "conflicting_duplicate" else "replace"
                made.append(
                    (how, number, name, values | {c.column: c.corrupted for c in changes}, changes)
                )
        return made

    # -- the row that breaks off ---------------------------------------------------------------

    def _victim(self, on_time: Mask | None) -> int | None:
        """The first row on time of a file whose last line breaks off. None once it is held."""
        if self._kind != "truncated_last_line" or self._held_back is not None:
            return None
        if on_time is None:
            return 0
        return int(np.argmax(on_time)) if on_time.any() else None

    def _hold(self, rows: Rows | Events, victim: int, clean: pa.Array) -> None:
        self._held_back = clean[victim].as_buffer().to_pybytes()
        one = np.array([victim])
        self._held = self._keys(rows, one), rows.day[one]

    def _break_off(self) -> None:
        if self._held_back is None or self._held is None:
            return
        whole_line = self._held_back.rstrip(b"\n")
        separators = whole_line.rfind(b",") if self._contract.format == "csv" else len(whole_line)
        broken = whole_line[: max(separators // 2, 1)]
        line = np.array([self._first_line + self._writer.rows])
        self._writer.add_broken(broken)
        key, day = self._held
        original = whole_line.decode("utf-8")
        self.defects.add(
            line,
            key,
            day,
            "truncated_last_line",
            REJECT,
            None,
            [original],
            [broken.decode("utf-8", "ignore")],
        )

    # -- labels --------------------------------------------------------------------------------

    def _label(
        self, rows: Rows | Events, place: I64, chosen: I64, kind: str, disposition: str
    ) -> None:
        if len(chosen):
            self.defects.add(
                self._lines(place), self._keys(rows, chosen), rows.day[chosen], kind, disposition
            )

    def _label_late(self, rows: Rows | Events, late: Mask | None, start: I64) -> None:
        if late is None:
            return
        chosen = np.flatnonzero(late)
        days = rows.day[chosen]
        happened = dates_as_text(days)
        landed = str(np.datetime64(self._day, "D"))
        self.defects.add(
            self._lines(start[chosen]),
            self._keys(rows, chosen),
            days,
            "late_arrival",
            ACCEPT_LATE,
            None,
            happened,
            landed,
        )

    def _label_changes(
        self, some: pa.Table, rows: Rows | Events, at: I64, made: list[Corrupted]
    ) -> None:
        if not made:
            return
        flat = [
            (place, n, name, c)
            for place, (_, n, name, _, changes) in zip(at.tolist(), made, strict=True)
            for c in changes
        ]
        key = _joined(some, self._contract).to_pylist()
        self.defects.add(
            self._lines(np.array([place for place, *_ in flat])),
            [c.corrupted if name == "withdrawn_row" else key[n] for _, n, name, c in flat],
            np.full(len(flat), self._day),
            [name for _, _, name, _ in flat],
            [ROW_CLASSES[name][0] for _, _, name, _ in flat],
            [c.column for *_, c in flat],
            [c.original for *_, c in flat],
            [shown(c.corrupted) for *_, c in flat],
        )

    def _lines(self, place: I64) -> I64:
        return self._first_line + self._writer.rows + place

    def _keys(self, rows: Rows | Events, chosen: I64) -> pa.Array:
        if isinstance(rows, Events):
            return text.hex_ids("", rows.bits[chosen])
        return _joined(rows.table.take(whole(chosen)), self._contract)

    # -- writing -------------------------------------------------------------------------------

    def _table(self, rows: Rows | Events) -> pa.Table:
        return event.as_table(self._company, rows) if isinstance(rows, Events) else rows.table

    def _clean(self, rows: Rows | Events) -> pa.Array | pa.Table:
        """All rows without defects, in the form in which the file takes them."""
        if isinstance(rows, Events) and self._drift is None:
            return event.lines(self._company, rows)
        table = self._table(rows)
        table = self._drift.table(table) if self._drift else table
        return table if self._contract.format == "parquet" else lines_of(self._source, table)

    def _written(self, rows: list[Values]) -> pa.Array | pa.Table:
        """Rows with defects in the same form."""
        rows = [self._drift.values(values) for values in rows] if self._drift else rows
        schema = self._source.schema
        if self._contract.format == "parquet":
            columns = [
                words_or_null([values[f.name] for values in rows]).cast(f.type) for f in schema
            ]
            return pa.Table.from_arrays(columns, schema=schema)
        return byte_words([line_of(self._source, values, self._quoted) for values in rows])

    def _write(self, content: pa.Array | pa.Table) -> None:
        if isinstance(content, pa.Table):
            self._writer.add(content)
        else:
            self._writer.add_lines(content)

    def complete(self) -> Written:
        self._break_off()
        return self._writer.complete()

    def publish(self) -> None:
        self._writer.publish()

    def discard(self) -> None:
        self._writer.discard()
        self.defects.close()


def _when(rows: Rows | Events, day: int) -> tuple[Mask | None, Mask | None]:
    """The rows on time, which may have defects (None: all), and the late rows (None: none)."""
    if isinstance(rows, Events):  # a batch is one or the other
        days = rows.sessions.day
        if days[0] == day and days[-1] == day:
            return None, None
        return np.zeros(len(rows), dtype=np.bool_), np.ones(len(rows), dtype=np.bool_)
    if rows.again:
        return np.zeros(len(rows), dtype=np.bool_), None
    on_time = rows.day == day
    return (None, None) if on_time.all() else (on_time, ~on_time)


def _joined(rows: pa.Table, source: Source) -> pa.Array:
    """The natural key of each row."""
    parts = [plain(rows.column(name).combine_chunks()) for name in source.key]
    return parts[0] if len(parts) == 1 else text.join(parts, "|")
