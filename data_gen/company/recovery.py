"""The landing day from which rows are known.

Rows that cleaning rejects are known from a new delivery on, or never.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_gen.company.calendar import days_among
from data_gen.company.company import Company
from data_gen.company.defect_plan import (
    REJECT,
    ROW_CLASSES,
    FileFate,
    columns_with,
    defective_rows,
    fate_of,
    row_classes,
)
from data_gen.company.hashing import I64, U64, Mask

NEVER = 1 << 40
# Rows with the key of an order that does not exist count nowhere.
_COUNTED_BY_ORDER = ("order_items", "payments")


def arrives(company: Company, source: str, day: I64) -> I64:
    """The landing day of the rows of each day's file. An empty file is delivered again."""
    arrived = day.copy()
    for fate, at in _by_fate(company, source, day):
        if fate.kind == "empty_file" and fate.redelivered_on is not None:
            arrived[at] = fate.redelivered_on
    return arrived


def known_since(company: Company, source: str, day: int, bits: U64, first: bool = False) -> I64:
    """The landing day from which rows of `day` are known that land on it."""
    fate = fate_of(company, source, day)
    since = np.full(len(bits), day, dtype=np.int64)
    since[_lost(company, source, fate, bits)] = _again(fate)
    if first and fate.kind == "truncated_last_line" and len(bits):
        since[0] = _again(fate)  # it was moved to the end, where the last line breaks off
    return since


def each_known_since(company: Company, source: str, day: I64, bits: U64) -> I64:
    """The same for rows of several days, except for rows in which a last line breaks off."""
    since = day.copy()
    for fate, at in _by_fate(company, source, day):
        since[at[_lost(company, source, fate, bits[at])]] = _again(fate)
    return since


def _by_fate(company: Company, source: str, day: I64) -> Iterator[tuple[FileFate, I64]]:
    """The distinct fates of the files of some days, each with the positions of its days.

    Most days share one fate, a file without a defect.
    """
    days, back = days_among(day)
    fates = [fate_of(company, source, one) for one in days.tolist()]
    different = list(dict.fromkeys(fates))
    number = np.array([different.index(fate) for fate in fates], dtype=np.int64)[back]
    for n, fate in enumerate(different):
        yield fate, np.flatnonzero(number == n)


def _again(fate: FileFate) -> int:
    """The day of the new delivery, which brings the lost rows, or NEVER."""
    return NEVER if fate.redelivered_on is None else fate.redelivered_on


def _lost(company: Company, source: str, fate: FileFate, bits: U64) -> I64:
    """Rows of files with that fate that cleaning rejects, or that count nowhere."""
    if fate.kind == "empty_file":
        return np.arange(len(bits))
    names, _ = row_classes(company, source, fate.redelivered_on is not None)
    found = defective_rows(company, source, fate, bits)
    rejected = [
        ROW_CLASSES[name][0] == REJECT and columns_with(name, source, fate.kind) != ()
        for name in names
    ]
    lost: Mask = np.array(rejected, dtype=np.bool_)[found.kind]
    if source in _COUNTED_BY_ORDER:
        columns = columns_with("orphan_key", source, fate.kind)
        at = np.array([columns.index("order_id")], dtype=np.uint64)
        of_order = found.bits % np.uint64(len(columns)) == at
        lost |= (found.kind == names.index("orphan_key")) & of_order
    return found.row[lost]
