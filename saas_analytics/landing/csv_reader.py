"""Reads CSV by the rules of PostgreSQL's COPY, and says which records cannot be rows and why.

The rules differ from those of Python's csv module: a quote may open and close anywhere in a field,
and an empty field is NULL unless it is quoted. A file that COPY accepts has the same rows here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.lines import Lines
from saas_analytics.landing.records import (
    MAX_RECORD,
    Overlong,
    Reject,
    reject,
    text_fault,
    without_end,
)

Values = list[str | None]
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def fields(record: str, delimiter: str = ",") -> Values:
    """The fields of one record without its line end; an empty unquoted field is None."""
    if '"' not in record:
        return [field or None for field in record.split(delimiter)]
    found: Values = []
    position = 0
    field = _field(delimiter)
    while True:
        match = field.match(record, position)
        if match is None:
            raise ValueError("a quote is not closed")
        raw = match[1]
        if '"' in raw:
            found.append(_QUOTED.sub(lambda part: part[1].replace('""', '"'), raw))
        else:
            found.append(raw or None)
        position = match.end()
        if match.end() == match.end(1):  # no delimiter came after it
            return found


@cache
def _field(delimiter: str) -> re.Pattern[str]:
    one = re.escape(delimiter)
    return re.compile(rf'((?:[^"{one}]|"(?:[^"]|"")*")*+)(?:{one}|\Z)')


class CsvReader:
    """The records of a CSV stream. Iterating gives (line, values) or a Reject.

    `columns` is the header. The line is the number of the record in the file; the header is line 1.
    Empty lines count, and are not records. A record with fewer fields than the header, but at least
    `fields_needed`, is padded with NULL. A caller that takes lines from `lines` between two records
    adds them to `line`, the number of the last record.
    """

    def __init__(self, blocks: Iterator[bytes], delimiter: str = ",") -> None:
        self._delimiter = delimiter
        self.lines = Lines(blocks, quoted=True)
        self.line = 0
        self.columns: tuple[str, ...] = self._header()
        self.fields_needed = len(self.columns)

    def __iter__(self) -> Iterator[tuple[int, Values] | Reject]:
        expected, least = len(self.columns), self.fields_needed
        for physical in self.lines:
            self.line += 1
            if isinstance(physical, Overlong):
                yield reject(self.line, "too_long", physical)
                continue
            if b'"' in physical and physical.count(b'"') % 2:
                yield self._long_record(physical)
                continue
            record = without_end(physical)
            if not record:
                continue
            try:
                text = record.decode("utf-8")
                if "\x00" in text:
                    yield reject(self.line, "nul_byte", record)
                    continue
            except UnicodeDecodeError:
                yield reject(self.line, text_fault(record) or "bad_utf8", record)
                continue
            values = fields(text, self._delimiter)
            if len(values) != expected:
                if not least <= len(values) < expected:
                    yield reject(self.line, "wrong_field_count", record)
                    continue
                values += [None] * (expected - len(values))
            yield self.line, values

    def _long_record(self, first: bytes) -> tuple[int, Values] | Reject:
        """A record of several lines: a quote is open at the end of its first line.

        If the quote never closes, or only the quote of another record closes it, only the first
        line is rejected. So one misplaced quote does not affect the valid records after it.
        """
        rest = self.lines.until_closed(len(first))
        if rest is None:
            return reject(self.line, "unterminated_quote", without_end(first))
        whole = without_end(first + rest)
        fault = text_fault(whole)
        if fault is None:
            values = fields(whole.decode("utf-8"), self._delimiter)
            if self.fields_needed <= len(values) <= len(self.columns):
                self.lines.skip(len(rest))
                return self.line, values + [None] * (len(self.columns) - len(values))
            fault = "wrong_field_count"
        if self._next_stands_alone():
            return reject(self.line, "unterminated_quote", without_end(first))
        self.lines.skip(len(rest))
        return reject(self.line, fault, whole)

    def _next_stands_alone(self) -> bool:
        """Whether the next line alone is a record with the right number of fields."""
        record = without_end(self.lines.peek())
        if not record or record.count(b'"') % 2 or text_fault(record):
            return False
        return len(fields(record.decode("utf-8"), self._delimiter)) == len(self.columns)

    def _header(self) -> tuple[str, ...]:
        physical = next(self.lines, None)
        while physical is not None and not without_end(physical):
            self.line += 1
            physical = next(self.lines, None)
        if physical is None:
            return ()
        if isinstance(physical, Overlong):
            raise FileRefused(
                f"the header is longer than {MAX_RECORD} bytes: this is not CSV with a header."
            )
        self.line += 1
        if physical.count(b'"') % 2:
            rest = self.lines.until_closed(len(physical))
            if rest is None:
                raise FileRefused("the header has a quote that does not close.")
            self.lines.skip(len(rest))
            physical += rest
        header = without_end(physical)
        if text_fault(header):
            raise FileRefused("the header is not UTF-8 text.")
        return header_names(fields(header.decode("utf-8"), self._delimiter))


def header_names(names: Sequence[str | None]) -> tuple[str, ...]:
    """The trimmed column names of a header. FileRefused if two columns have the same name."""
    trimmed = tuple(
        (name or "").strip() or f"column_{position}" for position, name in enumerate(names, start=1)
    )
    for position, name in enumerate(trimmed):
        if name in trimmed[:position]:
            raise FileRefused(f"the header has two columns {name!r}. Rename one of them.")
    return trimmed
