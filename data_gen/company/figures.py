"""Key figures of a day from its plan: what is true, and what can be known of it by the end of each later landing day.

Nothing is read here of what the writers wrote. A row that is late counts from its landing day on; one that cleaning
rejects from the day on which a new delivery, or a later state of the same thing, brings it; a row that the new
delivery does not have any more counts until then. What cleaning removes or repairs counts as if nothing had happened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from data_gen.company.activity import Sessions, sessions_of
from data_gen.company.columns import days, decimals, pick
from data_gen.company.commerce import CANCELLED, PLACED, Orders, order_bits
from data_gen.company.company import Company
from data_gen.company.delivery import late
from data_gen.company.dirt import REJECT, ROW_CLASSES, dirty_rows, fate_of, row_classes
from data_gen.company.events import Events, event_codes, timeline, vocabulary
from data_gen.company.fulfilment import days_under_way
from data_gen.company.hashing import I64, U64, Mask
from data_gen.company.payments import REFUND, Payments
from data_gen.company.schemas import Source

NEVER = 1 << 40
VALUE = pa.decimal128(18, 2)
KPIS = Source(
    "kpis",
    "parquet",
    pa.schema(
        [
            ("metric", pa.string()),
            ("kind", pa.string()),  # true, or recoverable
            ("day", pa.date32()),
            ("as_of_landing_day", pa.date32()),  # the value holds from the end of this landing day on
            ("value", VALUE),
        ]
    ),
    key=("metric", "kind", "day", "as_of_landing_day"),
    required=("metric", "kind", "day", "as_of_landing_day", "value"),
)


class Figures:
    """Sums of one day; amounts in cents, counts times 100 as well."""

    def __init__(self, company: Company, day: int) -> None:
        self.company, self.day = company, day
        self._true: dict[str, int] = defaultdict(int)
        self._known: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._last_user = -1  # whose events may go on in the next part
        self._last_user_from = NEVER
        self._any_event = False
        if day < company.founded:
            return
        for metric in ("dau", "total_events", "signups", "orders", "gross_revenue", "net_revenue"):
            self.add_true(metric, 0)
            self._known[metric][day] += 0

    def add_true(self, metric: str, value: int) -> None:
        self._true[metric] += value

    def add_known(self, metric: str, since: I64, values: I64 | int) -> None:
        """Each value is known from the end of a landing day on, or never."""
        values = np.broadcast_to(np.asarray(values, dtype=np.int64), len(since))
        for landed in np.unique(since[since < NEVER]).tolist():
            self._known[metric][landed] += int(values[since == landed].sum())

    # -- events ----------------------------------------------------------------------------------------------

    def events(self, events: Events) -> None:
        """A part of the day's events that land on it."""
        if len(events):
            since = self.rows_known_since("events", events.bits, first=not self._any_event)
            self._any_event = True
            self._events(events.sessions, events.timeline.session, events.code, since)
            again = fate_of(self.company, "events", self.day).redelivered_on
            if again is not None:
                phantoms = self._withdrawn("events", events.bits)
                self._phantoms("total_events", phantoms, 100)

    def late_events(self) -> None:
        """The day's events that land later."""
        for who, delay in late(self.company, "events").of_day(self.day):
            sessions = sessions_of(self.company, who)
            if len(sessions):
                line = timeline(self.company, sessions)
                lands = {
                    actor: arrives(self.company, "events", self.day + d)
                    for actor, d in zip(who.actor.tolist(), delay.tolist(), strict=True)
                }
                since = np.array([lands[user] for user in sessions.user.tolist()], dtype=np.int64)[line.session]
                self._events(sessions, line.session, event_codes(self.company, sessions, line), since)

    def _events(self, sessions: Sessions, session: I64, code: I64, since: I64) -> None:
        self.add_true("total_events", 100 * len(code))
        self.add_known("total_events", since, 100)
        signups = code == vocabulary(self.company).signup
        self.add_true("signups", 100 * int(signups.sum()))
        self.add_known("signups", since[signups], 100)
        user = sessions.user[session]
        start = np.flatnonzero(np.diff(user, prepend=-1))
        first = np.minimum.reduceat(since, start)
        seen = user[start]
        # A user whose events began in the part before: only what makes it known earlier is new.
        if seen[0] == self._last_user:
            before = self._last_user_from
            if first[0] < before:
                self.add_known("dau", first[:1], 100)
                self.add_known("dau", np.array([before]), -100)
            first[0] = min(int(first[0]), before)
            self._last_user_from = int(first[-1])
            seen, first = seen[1:], first[1:]
        if len(seen):
            self._last_user, self._last_user_from = int(seen[-1]), int(first[-1])
            self.add_true("dau", 100 * len(seen))
            self.add_known("dau", first, 100)

    # -- orders ----------------------------------------------------------------------------------------------

    def orders(self, orders: Orders) -> None:
        """Orders of the day, whenever they land."""
        company, day = self.company, self.day
        delay = late(company, "orders").delay(orders.who)
        placed = order_bits(orders, np.where(orders.cancelled, CANCELLED, PLACED))
        since = np.where(delay == 0, self.rows_known_since("orders", placed), day + delay)
        # When it is shipped it is told again.
        since = np.minimum(since, day + days_under_way(company, orders.user, orders.day)[0])
        lines = orders.lines
        line_since = np.where(
            delay[lines.order] == 0, self.rows_known_since("order_items", lines.bits), (day + delay)[lines.order]
        )
        sold = ~orders.cancelled[lines.order]
        order = lines.order[sold]
        both = np.maximum(line_since, since[lines.order])[sold]
        gross, discount = (lines.quantity * lines.price)[sold], lines.discount[sold]
        sale = np.full(len(orders), NEVER, dtype=np.int64)
        np.minimum.at(sale, order, both)
        sales = ~orders.cancelled
        self.add_true("orders", 100 * int(sales.sum()))
        self.add_known("orders", sale[sales], 100)
        self.add_true("gross_revenue", int(gross.sum()))
        self.add_known("gross_revenue", both, gross)
        self.add_true("net_revenue", int((gross - discount).sum() - orders.discount[sales].sum()))
        self.add_known("net_revenue", both, gross - discount)
        self.add_known("net_revenue", sale[sales], -orders.discount[sales])

    def payments(self, payments: Payments) -> None:
        """Payments that land on the day; refunds always land on the day on which they are paid."""
        refunds = payments.where((payments.step == REFUND) & (payments.lands == self.day))
        if not len(refunds):
            return
        self.add_true("net_revenue", -int(refunds.amount.sum()))
        self.add_known("net_revenue", self.rows_known_since("payments", refunds.bits), -refunds.amount)
        withdrawn = self._withdrawn("payments", refunds.bits)
        self._phantoms("net_revenue", withdrawn, -refunds.amount[withdrawn])

    # -- fates -----------------------------------------------------------------------------------------------

    def rows_known_since(self, source: str, bits: U64, first: bool = False) -> I64:
        """From when rows are known that land on their day. `first`: the first of them is the file's first."""
        return known_since(self.company, source, self.day, bits, first)

    def _withdrawn(self, source: str, bits: U64) -> I64:
        names, _ = row_classes(self.company, source, fate_of(self.company, source, self.day).redelivered_on is not None)
        if "withdrawn_row" not in names or arrives(self.company, source, self.day) != self.day:
            return np.zeros(0, dtype=np.int64)
        found = dirty_rows(self.company, source, self.day, bits)
        withdrawn: I64 = found.row[found.kind == names.index("withdrawn_row")]
        return withdrawn

    def _phantoms(self, metric: str, rows: I64, values: I64 | int) -> None:
        """Rows that are no more once the file is delivered again."""
        again = fate_of(self.company, "events" if metric == "total_events" else "payments", self.day).redelivered_on
        if len(rows) and again is not None:
            self.add_known(metric, np.full(len(rows), self.day), values)
            self.add_known(metric, np.full(len(rows), again), -np.asarray(values, dtype=np.int64))

    def table(self) -> pa.Table:
        rows = list(self._rows())
        metrics, kinds = sorted({r[0] for r in rows}), ["true", "recoverable"]
        return pa.Table.from_arrays(
            [
                pick(metrics, np.array([metrics.index(r[0]) for r in rows], dtype=np.int64)),
                pick(kinds, np.array([r[1] for r in rows], dtype=np.int64)),
                days(np.full(len(rows), self.day)),
                days(np.array([r[2] for r in rows], dtype=np.int64)),
                decimals(VALUE, np.array([r[3] for r in rows], dtype=np.int64)),
            ],
            schema=KPIS.schema,
        )

    def _rows(self) -> Iterator[tuple[str, int, int, int]]:
        """Metric, kind, landing day, value."""
        for metric in sorted(self._true):
            yield metric, 0, self.day, self._true[metric]
            value, changes = 0, self._known[metric]
            changes.setdefault(self.day, 0)
            for landed in sorted(changes):
                value += changes[landed]
                if changes[landed] or landed == self.day:
                    yield metric, 1, landed, value


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
    """Rows that cleaning cannot use."""
    names, _ = row_classes(company, source, fate_of(company, source, day).redelivered_on is not None)
    found = dirty_rows(company, source, day, bits)
    lost: Mask = np.array([ROW_CLASSES[name][0] == REJECT for name in names], dtype=np.bool_)[found.kind]
    if source == "order_items":  # an item of an order that does not exist counts nowhere
        columns = ROW_CLASSES["orphan_key"][1][source]
        at = np.array([columns.index("order_id")], dtype=np.uint64)
        astray = found.bits % np.uint64(len(columns)) == at
        lost |= (found.kind == names.index("orphan_key")) & astray
    return found.row[lost]
