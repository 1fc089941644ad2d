"""Counter-based random numbers: a draw is a hash of the seed, the stream and the counter.

So no draw depends on another one.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from functools import cache

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)

# An identity packs (day, actor, number within the actor's day) into 64 bits. splitmix64 is a
# bijection, so two different identities never share an id.
DAY_BITS, ACTOR_BITS, NUMBER_BITS = 15, 28, 21
LAST_DAY = (1 << DAY_BITS) - 1  # days since 1970: the year 2059
LAST_ACTOR = (1 << ACTOR_BITS) - 1


def splitmix64(counter: U64) -> U64:
    """The splitmix64 finaliser (Steele, Lea, Flood 2014): a bijection that looks random."""
    z = counter + _STEP
    z ^= z >> np.uint64(30)
    z *= _MULTIPLY_1
    z ^= z >> np.uint64(27)
    z *= _MULTIPLY_2
    z ^= z >> np.uint64(31)
    return z


@cache
def stream_key(seed: int, name: str) -> np.uint64:
    """The key of one kind of draw. Streams with different names are independent."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def draw(seed: int, name: str, first: I64, *more: I64 | int) -> U64:
    """64 random bits for each counter (or combination of counters) in the stream `name`."""
    bits = splitmix64(_unsigned(first) ^ stream_key(seed, name))
    for counter in more:
        bits = splitmix64(
            bits ^ (np.uint64(counter) if isinstance(counter, int) else _unsigned(counter))
        )
    return bits


def identity(day: I64, actor: I64, number: I64) -> U64:
    """One 64-bit counter for a thing that an actor does on a day. Unique within its stream."""
    return _unsigned((day << (ACTOR_BITS + NUMBER_BITS)) | (actor << NUMBER_BITS) | number)


def happens(bits: U64, share: Decimal) -> Mask:
    """True with probability `share` (exact to 2**-32), from the upper half of the bits."""
    return (bits >> np.uint64(32)) < np.uint64(int(share * (1 << 32)))


def below(bits: U64, limit: I64 | int) -> I64:
    """A uniform integer in [0, limit), limit < 2**31, from the upper half of the bits."""
    return ((bits >> np.uint64(32)).view(np.int64) * limit) >> 32


def field(bits: U64, position: int, width: int) -> I64:
    """`width` bits of each number, starting at bit `position`, as an integer."""
    return ((bits >> np.uint64(position)) & np.uint64((1 << width) - 1)).view(np.int64)


def _unsigned(counter: I64) -> U64:
    return np.ascontiguousarray(counter, dtype=np.int64).view(np.uint64)
