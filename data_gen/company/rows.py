"""Rows of one source, with facts about them that are not columns."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from data_gen.company.columns import whole
from data_gen.company.hashing import I64, U64


@dataclass(frozen=True, eq=False)
class Rows:
    table: pa.Table
    bits: U64  # random, one for each row
    day: I64  # the day to which each row belongs; it lands on it, or late
    again: bool = False  # a new state of known rows: they get no defects

    def __len__(self) -> int:
        return len(self.bits)

    def take(self, chosen: I64) -> Rows:
        return Rows(self.table.take(whole(chosen)), self.bits[chosen], self.day[chosen], self.again)
