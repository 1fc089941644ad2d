"""Distributions as integer tables.

They need no exp, log or pow, whose last bit differs between processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from data_gen.company.hashing import I64, U64

STEPS_BITS = 12
STEPS = 1 << STEPS_BITS
_PARTS_PER_STEP = 20  # bits of interpolation between two entries


@dataclass(frozen=True, eq=False)
class Curve:
    """The inverse of a cumulative distribution at STEPS + 1 equally spaced shares."""

    edges: I64
    rises: I64  # the height of each step: its values lie above its edge by less than this

    @classmethod
    def through(cls, points: Sequence[tuple[Decimal, int]]) -> Curve:
        """Straight lines through (percent of the population, value) from 0 to 100 percent."""
        scale = 10**6
        at = np.array([int(percent * scale) for percent, _ in points], dtype=np.int64)
        value = np.array([v for _, v in points], dtype=np.int64)
        wanted = np.arange(STEPS + 1, dtype=np.int64) * (100 * scale) // STEPS
        left = np.clip(np.searchsorted(at, wanted, side="right") - 1, 0, len(points) - 2)
        # Divide before the last multiplication could overflow: spans are < 2**27, values < 2**34.
        edges = value[left] + (value[left + 1] - value[left]) * (wanted - at[left]) // (
            at[left + 1] - at[left]
        )
        return cls(edges, np.diff(edges))

    @classmethod
    def of_hours(cls, weights: Sequence[int]) -> Curve:
        """Milliseconds of the day, from 24 hourly weights."""
        cumulative = np.concatenate([[0], np.cumsum(np.array(weights, dtype=np.int64))]) * STEPS
        wanted = np.arange(STEPS + 1, dtype=np.int64) * (cumulative[-1] // STEPS)
        # side="right" skips hours of weight 0, in which nothing happens.
        hour = np.clip(np.searchsorted(cumulative, wanted, side="right") - 1, 0, 23)
        hour[-1] = int(np.flatnonzero(weights)[-1])
        width = cumulative[hour + 1] - cumulative[hour]
        edges = hour * 3_600_000 + (wanted - cumulative[hour]) * 3_600_000 // width
        # A step that spans hours of weight 0 ends where they begin.
        return cls(edges, np.minimum(np.diff(edges), ((hour + 1) * 3_600_000 - edges)[:-1]))

    def __repr__(self) -> str:
        return f"Curve({self.edges.tolist()})"

    @property
    def largest(self) -> int:
        return int(self.edges[-1])

    @property
    def smallest(self) -> int:
        return int(self.edges[0])

    def at(self, bits: U64) -> I64:
        """The value at the share given by the upper 32 bits, interpolated."""
        return self.at_share((bits >> np.uint64(32)).view(np.int64))

    def at_share(self, share: I64) -> I64:
        """The value at a share in units of 2**-32. It does not fall as the share rises."""
        step = share >> _PARTS_PER_STEP
        part = share & ((1 << _PARTS_PER_STEP) - 1)
        values: I64 = self.edges[step] + ((self.rises[step] * part) >> _PARTS_PER_STEP)
        return values

    def at_step(self, step: I64) -> I64:
        """The value at one of STEPS steps, without interpolation: a single look-up, for speed."""
        return self.edges[step]


@dataclass(frozen=True, eq=False)
class Choice:
    """A weighted choice of one of several codes (0, 1, ...)."""

    codes: I64

    @classmethod
    def of(cls, weights: Sequence[int]) -> Choice:
        upper = np.cumsum(np.array(weights, dtype=np.int64))
        return cls(
            np.searchsorted(
                upper * STEPS, np.arange(STEPS, dtype=np.int64) * upper[-1], side="right"
            )
        )

    def at(self, bits: U64) -> I64:
        return self.codes[(bits >> np.uint64(64 - STEPS_BITS)).view(np.int64)]

    def at_step(self, step: I64) -> I64:
        return self.codes[step]
