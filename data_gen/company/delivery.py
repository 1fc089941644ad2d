"""Rows that land later than on their own day, without any state between days.

Rows are delayed by actor and day: a fixed share of all actors of a day is drawn, one from each of
equal strata, and each gets a delay. So the few delayed actors can be listed without a look at the
others, and the delay of any actor and day can be computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

import numpy as np

from data_gen.company.calendar import days_among
from data_gen.company.company import Company
from data_gen.company.hashing import I64, below, field
from data_gen.company.lives import ActorDays
from data_gen.company.quantiles import STEPS, Curve

BATCH = 1 << 16  # actor days listed at once
_BY_STRATUM, _BY_DAY = 1531, 2377


@dataclass(frozen=True, eq=False)
class PutOff:
    """A reason for which a share of the actors' days is delayed."""

    company: Company
    stream: str
    share: Decimal
    delays: Curve
    of_customers: bool = False

    def delay(self, who: ActorDays) -> I64:
        """The number of days by which each actor's day is delayed; 0 for not at all."""
        first, actors, drawn = self._strata(who.day)
        place = who.actor - first
        inside = (place >= 0) & (place < actors) & (drawn > 0)
        stratum = np.where(inside, ((place + 1) * drawn - 1) // np.maximum(actors, 1), 0)
        chosen = self._actor(who.day, stratum, first, actors, drawn)
        return np.where(inside & (chosen == who.actor), self._delay(who.day, stratum), 0)

    def due(self, day: int) -> Iterator[ActorDays]:
        """The actors whose earlier days are delayed to `day`, by day and actor."""
        return _gathered(self._due(day))

    def _due(self, day: int) -> Iterator[ActorDays]:
        days = np.arange(max(day - self.delays.largest, self.company.founded), day, dtype=np.int64)
        first, actors, drawn = self._strata(days)
        upper = np.cumsum(drawn)
        total = int(upper[-1]) if len(upper) else 0
        at_all = np.repeat(np.arange(len(days)), drawn) if total <= BATCH else None
        for start in range(0, total, BATCH):
            row = np.arange(start, min(start + BATCH, total))
            at = np.searchsorted(upper, row, side="right") if at_all is None else at_all
            stratum = row - (upper[at] - drawn[at])
            now = np.flatnonzero(self._delay(days[at], stratum) == day - days[at])
            at, stratum = at[now], stratum[now]
            yield ActorDays(
                self._actor(days[at], stratum, first[at], actors[at], drawn[at]), days[at]
            )

    def of_day(self, day: int) -> Iterator[tuple[ActorDays, I64]]:
        """All delayed actors of one day, with their delays."""
        first, actors, drawn = self._strata(np.array([day]))
        for start in range(0, int(drawn[0]), BATCH):
            stratum = np.arange(start, min(start + BATCH, int(drawn[0])))
            days = np.full(len(stratum), day)
            actor = self._actor(
                days, stratum, *(np.broadcast_to(n, len(stratum)) for n in (first, actors, drawn))
            )
            yield ActorDays(actor, days), self._delay(days, stratum)

    def _strata(self, day: I64) -> tuple[I64, I64, I64]:
        """For each day: its first actor, how many there are, and how many of them are drawn."""
        days, back = days_among(day)
        first, last = self._population(days)
        actors = last - first
        # Rounded at random, so that the share is right on average if there are few actors.
        chance = field(self.company.draw(f"{self.stream}.rounding", days), 32, 32)
        drawn = (actors * int(self.share * (1 << 32)) + chance) >> 32
        return first[back], actors[back], np.minimum(drawn, actors)[back]

    def _population(self, days: I64) -> tuple[I64, I64]:
        growth = self.company.growth
        users = growth.users_by_each(days)
        if self.of_customers:
            return np.zeros(len(days), dtype=np.int64), -(
                -users // self.company.rules.customers.users_each
            )
        return growth.users_by_each(days - self.company.rules.users.life_days.largest), users

    def _actor(self, day: I64, stratum: I64, first: I64, actors: I64, drawn: I64) -> I64:
        """The actor drawn from a stratum."""
        drawn = np.maximum(drawn, 1)
        low, high = stratum * actors // drawn, (stratum + 1) * actors // drawn
        return first + low + below(self.company.draw(self.stream, day, stratum), high - low)

    def _delay(self, day: I64, stratum: I64) -> I64:
        """The number of days by which a stratum is delayed.

        Neighbours take different steps of the curve, and all steps are taken equally often. It
        needs no draw, so that the actors due on a day are found without a draw for all others.
        """
        return self.delays.at_step(stratum * _BY_STRATUM + day * _BY_DAY & (STEPS - 1))


@dataclass(frozen=True, eq=False)
class Late:
    """Rows that reach the landing zone days after they happened: most soon, a few much later."""

    soon: PutOff
    tail: PutOff

    def delay(self, who: ActorDays) -> I64:
        soon = self.soon.delay(who)
        return np.where(soon > 0, soon, self.tail.delay(who))

    def of_day(self, day: int) -> Iterator[tuple[ActorDays, I64]]:
        """All actors of a day whose rows land later, with their delays."""
        yield from self.soon.of_day(day)
        for who, delay in self.tail.of_day(day):
            alone = self.soon.delay(who) == 0
            yield who.where(alone), delay[alone]

    def due(self, day: int) -> Iterator[ActorDays]:
        """The actors whose earlier days land on `day`."""
        return _gathered(
            chain(
                self.soon.due(day),
                (who.where(self.soon.delay(who) == 0) for who in self.tail.due(day)),
            )
        )


def _gathered(parts: Iterable[ActorDays]) -> Iterator[ActorDays]:
    """The same in fewer parts, because each part has a fixed cost."""
    waiting: list[ActorDays] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= BATCH:
            yield together(waiting)
            waiting = []
    if waiting:
        yield together(waiting)


def together(parts: list[ActorDays]) -> ActorDays:
    """All parts, one after another."""
    return ActorDays(
        np.concatenate([part.actor for part in parts]), np.concatenate([part.day for part in parts])
    )


def late(company: Company, source: str, of_customers: bool = False) -> Late:
    """The late rows of a source.

    They are drawn by actor and day, so the rows of an actor on a day stay together.
    """
    rules = company.rules.delivery
    return Late(
        PutOff(company, f"late/{source}", rules.late_share, rules.late_days, of_customers),
        PutOff(company, f"late.tail/{source}", rules.tail_share, rules.tail_days, of_customers),
    )
