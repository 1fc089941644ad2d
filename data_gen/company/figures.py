"""Key figures of a day from its plan: the true ones, and those known by each later landing day.

Nothing that the writers wrote is read here. A late row counts from its landing day on. A row that
cleaning rejects counts from the day on which a new delivery, or a later state of the same thing,
brings it. A row that the new delivery does not have counts until then. Rows that cleaning
deduplicates or repairs count as if they had no defect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from data_gen.company.activity import Sessions, sessions_of
from data_gen.company.columns import days, decimals, pick
from data_gen.company.commerce import Orders
from data_gen.company.company import Company
from data_gen.company.defect_plan import defective_rows, fate_of, row_classes
from data_gen.company.delivery import late
from data_gen.company.events import Events, event_codes, timeline, vocabulary
from data_gen.company.hashing import I64, U64
from data_gen.company.payments import REFUND, Payments
from data_gen.company.recovery import NEVER, arrives, known_since
from data_gen.company.sales import Sales, goods_of_refunds
from data_gen.company.schemas import Source

VALUE = pa.decimal128(18, 2)
KPIS = Source(
    "kpis",
    "parquet",
    pa.schema(
        [
            ("metric", pa.string()),
            ("kind", pa.string()),  # true, or recoverable
            ("day", pa.date32()),
            ("as_of_landing_day", pa.date32()),  # the value is valid from the end of this day on
            ("value", VALUE),
        ]
    ),
    key=("metric", "kind", "day", "as_of_landing_day"),
    required=("metric", "kind", "day", "as_of_landing_day", "value"),
)


class Figures:
    """Sums of one day. Amounts are in cents, and counts are also multiplied by 100."""

    def __init__(self, company: Company, day: int) -> None:
        self.company, self.day = company, day
        self._true: dict[str, int] = defaultdict(int)
        self._known: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self._last_user = -1  # its events may continue in the next part
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
        known = since < NEVER
        if known.any():
            since = since[known]
            first = int(since.min())
            sums = np.zeros(int(since.max()) - first + 1, dtype=np.int64)
            np.add.at(sums, since - first, values[known])
            for after in np.flatnonzero(sums).tolist():
                self._known[metric][first + after] += int(sums[after])

    # -- events --------------------------------------------------------------------------------

    def events(self, events: Events) -> None:
        """A part of the day's events that land on it."""
        if len(events):
            first, self._any_event = not self._any_event, True
            since = self.rows_known_since("events", events.bits, first)
            self._events(events.sessions, events.timeline.session, events.code, since)
            again = fate_of(self.company, "events", self.day).redelivered_on
            if again is not None:
                self._add_copies(events.code[self._withdrawn("events", events.bits, first)], again)

    def _add_copies(self, code: I64, until: int) -> None:
        """Events that the new delivery does not have count until then.

        Their users have other events on the day.
        """
        signups = int(np.count_nonzero(code == vocabulary(self.company).signup))
        for metric, count in (("total_events", len(code)), ("signups", signups)):
            self.add_known(
                metric, np.array([self.day, until]), np.array([100 * count, -100 * count])
            )

    def late_events(self) -> None:
        """The day's events that land later."""
        for who, delay in late(self.company, "events").of_day(self.day):
            sessions = sessions_of(self.company, who)
            if len(sessions):
                line = timeline(self.company, sessions)
                lands = arrives(self.company, "events", self.day + delay)
                since = lands[np.searchsorted(who.actor, sessions.user)][line.session]
                self._events(
                    sessions, line.session, event_codes(self.company, sessions, line), since
                )

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
        # A user whose events began in the previous part counts again only if it is known earlier.
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

    # -- orders --------------------------------------------------------------------------------

    def orders(self, orders: Orders) -> None:
        """Orders of the day, whenever they land."""
        sales = Sales.of(self.company, orders.where(~orders.cancelled))
        orders, lines = sales.orders, sales.orders.lines
        both = np.maximum(sales.line_since, sales.since[lines.order])
        sale = np.full(len(orders), NEVER, dtype=np.int64)
        np.minimum.at(sale, lines.order, both)
        gross, net = lines.quantity * lines.price, lines.net
        self.add_true("orders", 100 * len(orders))
        self.add_known("orders", sale, 100)
        self.add_true("gross_revenue", int(gross.sum()))
        self.add_known("gross_revenue", both, gross)
        self.add_true("net_revenue", int(net.sum() - orders.discount.sum()))
        self.add_known("net_revenue", both, net)
        self.add_known("net_revenue", sale, -orders.discount)

    def payments(self, payments: Payments) -> None:
        """Payments that land on the day. Refunds always land on the day on which they are paid."""
        refunds = payments.where((payments.step == REFUND) & (payments.lands == self.day))
        if not len(refunds):
            return
        refunded = np.isin(np.arange(len(refunds.orders)), refunds.order)
        order = (np.cumsum(refunded) - 1)[refunds.order]
        sales = Sales.of(self.company, refunds.orders.where(refunded))
        every = np.ones(len(sales.line_since), dtype=np.bool_)
        self.add_true(
            "net_revenue", -int(goods_of_refunds(refunds.amount, order, sales.orders, every).sum())
        )
        since = self.rows_known_since("payments", refunds.bits)
        # A row that the new delivery does not have is a second refund of its order until then.
        copies = self._withdrawn("payments", refunds.bits)
        again = fate_of(self.company, "payments", self.day).redelivered_on
        until = self.day if again is None else again
        shown = 0
        times = np.concatenate([[self.day, until], since, sales.changes()])
        for day in np.unique(times[(times >= self.day) & (times < NEVER)]).tolist():
            goods = sales.goods(refunds.amount, order, day)
            value = int(goods[since <= day].sum()) + (
                int(goods[copies].sum()) if day < until else 0
            )
            self.add_known("net_revenue", np.array([day]), shown - value)
            shown = value

    # -- fates ---------------------------------------------------------------------------------

    def rows_known_since(self, source: str, bits: U64, first: bool = False) -> I64:
        """The landing day from which rows are known that land on their day.

        `first`: the first of them is the first row of the file.
        """
        return known_since(self.company, source, self.day, bits, first)

    def _withdrawn(self, source: str, bits: U64, first: bool = False) -> I64:
        """The rows that have a withdrawn copy in the first delivery.

        The copy has a key of its own, and the new delivery does not have it.
        """
        fate = fate_of(self.company, source, self.day)
        names, _ = row_classes(self.company, source, fate.redelivered_on is not None)
        if "withdrawn_row" not in names or fate.kind == "empty_file":
            return np.zeros(0, dtype=np.int64)
        found = defective_rows(self.company, source, fate, bits)
        withdrawn: I64 = found.row[found.kind == names.index("withdrawn_row")]
        # The first row of the file was moved to its end, where the last line breaks off.
        held_back = first and fate.kind == "truncated_last_line"
        return withdrawn[withdrawn > 0] if held_back else withdrawn

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
