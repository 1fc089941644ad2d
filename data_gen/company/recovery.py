"""From which landing day on rows are known: those that cleaning cannot use come with a new delivery, or never."""

from __future__ import annotations

import numpy as np

from data_gen.company.company import Company
from data_gen.company.dirt import REJECT, ROW_CLASSES, columns_with, dirty_rows, fate_of, row_classes
from data_gen.company.hashing import I64, U64, Mask

NEVER = 1 << 40
_COUNTED_BY_ORDER = ("order_items", "payments")  # with the key of an order that does not exist they count nowhere


def arrives(company: Company, source: str, day: int) -> int:
    """When what a file of a day should have is there: an empty file is delivered again."""
    fate = fate_of(company, source, day)
    return fate.redelivered_on if fate.kind == "empty_file" and fate.redelivered_on is not None else day


def known_since(company: Company, source: str, day: int, bits: U64, first: bool = False) -> I64:
    """From which landing day on rows are known that land on `day`, which is theirs."""
    fate = fate_of(company, source, day)
    again = NEVER if fate.redelivered_on is None else fate.redelivered_on
    if fate.kind == "empty_file":
        return np.full(len(bits), again, dtype=np.int64)
    since = np.full(len(bits), day, dtype=np.int64)
    since[_lost(company, source, day, bits)] = again
    if first and fate.kind == "truncated_last_line" and len(bits):
        since[0] = again  # it was held back, and the last line breaks off in it
    return since


def _lost(company: Company, source: str, day: int, bits: U64) -> I64:
    """Rows that cleaning cannot use, or cannot count."""
    fate = fate_of(company, source, day)
    names, _ = row_classes(company, source, fate.redelivered_on is not None)
    found = dirty_rows(company, source, day, bits)
    rejected = [ROW_CLASSES[name][0] == REJECT and columns_with(name, source, fate.kind) != () for name in names]
    lost: Mask = np.array(rejected, dtype=np.bool_)[found.kind]
    if source in _COUNTED_BY_ORDER:
        columns = columns_with("orphan_key", source, fate.kind)
        at = np.array([columns.index("order_id")], dtype=np.uint64)
        astray = found.bits % np.uint64(len(columns)) == at
        lost |= (found.kind == names.index("orphan_key")) & astray
    return found.row[lost]
