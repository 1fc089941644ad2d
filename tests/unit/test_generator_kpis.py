"""The figures of the ground truth: true ones from clean rows, recoverable ones from cleaned files.

Cleaning is implemented here a second time, row by row, as
docs/reference/synthetic-company.md describes it.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_gen.company.company import Company, exact_scale
from data_gen.company.making import day_tables, write_day
from data_gen.company.quantiles import Curve
from data_gen.company.rules import load_rules
from data_gen.company.schemas import SOURCES
from data_gen.company.writers import plain
from tests.generator_reading import Row, file_of, read
from tests.generator_rules import changed, file_defects, row_defects

FOUNDED = date(2026, 1, 1)
DAYS = [FOUNDED + timedelta(days=n) for n in range(50)]
SCALE = "0.12"
SEED = 7  # on some days the first row, which breaks off at the end, would have been withdrawn
CURRENCIES = {"USD", "EUR", "GBP", "JPY"}
LOOKALIKES = str.maketrans("аеорсхуі", "aeopcxyi")  # noqa: RUF001
READ = ("events", "orders", "order_items", "payments", "subscriptions")
Figures = dict[tuple[str, date], Decimal]


@dataclass
class Landed:
    """A row with where it landed."""

    row: Row
    day: date
    line: int
    rank: tuple[str, date, int] = field(init=False)  # the highest of a key counts

    def __post_init__(self) -> None:
        self.rank = (self.row.get("updated_at") or "", self.day, self.line)


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("zone")
    for day in DAYS:
        write_day(company(), day, out)
    return out


def company() -> Company:
    rules = load_rules().founded_on(FOUNDED)
    defects = changed(
        rules.defects,
        rows=row_defects(Decimal("0.01"), withdrawn_row=Decimal("0.3")),
        files=file_defects(Decimal("0.04"), truncated_last_line=Decimal("0.25")),
        redelivered=Decimal("0.25"),
        skew=Decimal("0.1"),
    )
    delivery = changed(rules.delivery, late_share=Decimal("0.04"), tail_share=Decimal("0.01"))
    # Short subscriptions that start again soon, so that all movements occur.
    subscriptions = changed(
        rules.subscriptions,
        months=Curve.through([(Decimal(0), 1), (Decimal(100), 3)]),
        reactivated_share=Decimal("0.7"),
        reactivated_after_days=Curve.through([(Decimal(0), 1), (Decimal(100), 9)]),
        trial_share=Decimal("0.3"),
        upgrade_share=Decimal("0.5"),
        downgrade_share=Decimal("0.4"),
        plan_change_after_months=Curve.through([(Decimal(0), 1), (Decimal(100), 1)]),
        past_due_share=Decimal("0.2"),
        several_share=Decimal("0.3"),
    )
    # Many refunds soon after their orders, some of which are not, or only partly, known.
    payments = changed(
        rules.payments,
        refund_share=Decimal("0.5"),
        refund_days=Curve.through([(Decimal(0), 1), (Decimal(100), 25)]),
    )
    made = changed(
        rules, defects=defects, delivery=delivery, subscriptions=subscriptions, payments=payments
    )
    return Company(made, SEED, exact_scale(SCALE))


# -- cleaning ----------------------------------------------------------------------------------


def day_of(text: str | None, landed: date) -> date | None:
    """The day of a timestamp; None where it cannot be read or is absurd."""
    try:
        day = datetime.fromisoformat((text or "").replace("Z", "+00:00")).date()
    except ValueError:
        return None
    return day if date(2000, 1, 1) <= day <= landed + timedelta(days=1) else None


def tidy(text: str | None) -> str:
    return unicodedata.normalize("NFKC", text or "").translate(LOOKALIKES).strip().lower()


def usable(source: str, landed: Landed) -> bool:
    row = landed.row
    if any(not row.get(column) for column in SOURCES[source].required):
        return False
    time = {
        "events": "event_timestamp",
        "orders": "ordered_at",
        "payments": "paid_at",
        "subscriptions": "updated_at",
    }
    if source in time and day_of(row[time[source]], landed.day) is None:
        return False
    if "currency" in row and row["currency"] not in CURRENCIES:
        return False
    return source != "order_items" or (
        Decimal(row["quantity"]) > 0 and Decimal(row["unit_price"]) > 0
    )


def cleaned(zone: Path, source: str, until: date) -> list[Landed]:
    """One row per key of the rows that have landed by a day, from the latest deliveries."""
    latest: dict[tuple[str, ...], Landed] = {}
    for day in (d for d in DAYS if d <= until):
        path = file_of(zone, source, day)
        for again in (d for d in DAYS if day < d <= until):
            other = file_of(zone / "_redelivered" / f"on={again}", source, day)
            path = other if other.exists() else path
        for key, landed in usable_rows(source, path, day):
            if key not in latest or landed.rank > latest[key].rank:
                latest[key] = landed
    return list(latest.values())


@cache
def usable_rows(source: str, path: Path, day: date) -> list[tuple[tuple[str, ...], Landed]]:
    """The usable rows of a file with their keys."""
    rows = [Landed(row, day, line) for line, row in read(path).rows.items()]
    key = SOURCES[source].key
    return [
        (tuple(landed.row[column] for column in key), landed)
        for landed in rows
        if usable(source, landed)
    ]


# -- figures -----------------------------------------------------------------------------------


def figures_of(rows: dict[str, list[Row]]) -> Figures:
    found: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    active: dict[date, set[str]] = defaultdict(set)
    for row in rows["events"]:
        day = date.fromisoformat(row["event_timestamp"][:10])
        found["total_events", day] += 1
        found["signups", day] += (
            row["event_type"] == "signup" or tidy(row["event_type"]) == "signup"
        )
        active[day].add(row["user_id"])
    for day in DAYS:
        found["dau", day] += len(active[day])
        for window in (7, 30):
            users = set().union(*(active[day - timedelta(days=back)] for back in range(window)))
            found[f"active_users_{window}", day] += len(users)
    items = defaultdict(list)
    for row in rows["order_items"]:
        items[row["order_id"]].append(row)
    charged: dict[str, tuple[Decimal, Decimal]] = {}  # of each sale, for goods and in total
    for row in rows["orders"]:
        lines, day = items[row["order_id"]], date.fromisoformat(row["ordered_at"][:10])
        if tidy(row["status"]) == "cancelled" or not lines:
            continue
        gross = sum((Decimal(i["quantity"]) * Decimal(i["unit_price"]) for i in lines), Decimal(0))
        discounts = Decimal(row["discount_amount"]) + sum(
            (Decimal(i["discount_amount"]) for i in lines), Decimal(0)
        )
        net = gross - discounts
        charged[row["order_id"]] = (
            net,
            net + Decimal(row["shipping_amount"]) + Decimal(row["tax_amount"]),
        )
        found["orders", day] += 1
        found["gross_revenue", day] += gross
        found["net_revenue", day] += net
    for row in rows["payments"]:
        if row["kind"] == "refund" and row["status"] == "succeeded":
            net, total = charged.get(row["order_id"], (Decimal(0), Decimal(0)))
            if total > 0:
                goods = Decimal(row["amount"]) * min(max(net, Decimal(0)), total) / total
                day = date.fromisoformat(row["paid_at"][:10])
                found["net_revenue", day] -= goods.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return found | movements(rows["subscriptions"])


def movements(rows: list[Row]) -> Figures:
    found: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    periods = defaultdict(list)
    for row in rows:
        if row["trial_end"] is None or row["trial_end"] != row["period_end"]:
            start, end = (date.fromisoformat(row[c]) for c in ("period_start", "period_end"))
            periods[row["subscription_id"]].append(
                (start, end, Decimal(row["monthly_amount"]), row["currency"])
            )
    for mine in periods.values():
        mine.sort()
        for number, (start, end, amount, currency) in enumerate(mine):
            before = mine[number - 1] if number else None
            follows = before is not None and before[1] + timedelta(days=1) == start
            change = amount - (before[2] if before and follows else 0)
            name = (
                "new"
                if before is None
                else "reactivation"
                if not follows
                else "expansion"
                if change > 0
                else "contraction"
            )
            found[f"mrr_{name}.{currency}", start] += change
            last = number + 1 == len(mine) or mine[number + 1][0] > end + timedelta(days=1)
            if last:
                found[f"mrr_churn.{currency}", end + timedelta(days=1)] -= amount
    return found


def read_truth(zone: Path) -> list[Row]:
    """All figures of the ground truth, by landing day."""
    rows = [
        row
        for day in DAYS
        for row in pq.read_table(zone / "_truth" / f"dt={day}" / "kpis.parquet").to_pylist()
    ]
    return sorted(rows, key=lambda row: row["as_of_landing_day"])


def known_figures(rows: list[Row], kind: str, until: date) -> Figures:
    """The figures that are known by the end of a landing day, by the ground truth."""
    return {
        (row["metric"], row["day"]): row["value"]
        for row in rows
        if row["kind"] == kind and row["day"] <= until and row["as_of_landing_day"] <= until
    }


def differences(
    found: Figures, wanted: Figures, until: date
) -> list[tuple[str, date, Decimal, Decimal]]:
    keys = {key for key in found.keys() | wanted.keys() if key[1] <= until}
    pairs = [
        (*key, found.get(key, Decimal(0)), wanted.get(key, Decimal(0))) for key in sorted(keys)
    ]
    return [pair for pair in pairs if pair[2] != pair[3]]


def test_recoverable_figures_are_those_of_the_cleaned_files(zone: Path) -> None:
    """By the end of every fourth landing day, of all days until then. LONG=1: of every day."""
    keys = read_truth(zone)
    for until in DAYS if "LONG" in os.environ else [*DAYS[:-1:4], DAYS[-1]]:
        found = figures_of(
            {source: [landed.row for landed in cleaned(zone, source, until)] for source in READ}
        )
        wanted = known_figures(keys, "recoverable", until)
        assert len(wanted) >= 26 * (until - FOUNDED).days
        assert differences(found, wanted, until) == [], until


def test_true_figures_are_those_of_the_clean_rows(zone: Path) -> None:
    """Of the days for which all late rows have come."""
    rules = company().rules
    nothing = changed(rules.delivery, late_share=Decimal(0), tail_share=Decimal(0))
    rows: dict[str, list[Row]] = defaultdict(list)
    for day in DAYS:
        for source, table in day_tables(changed(rules, delivery=nothing), SEED, SCALE, day).items():
            columns = [plain(column.combine_chunks()).to_pylist() for column in table.columns]
            rows[source] += [
                dict(zip(table.schema.names, values, strict=True))
                for values in zip(*columns, strict=True)
            ]
    rows["orders"] = list({row["order_id"]: row for row in rows["orders"]}.values())
    rows["subscriptions"] = list(
        {(r["subscription_id"], r["period_start"]): r for r in rows["subscriptions"]}.values()
    )
    assert (
        differences(figures_of(rows), known_figures(read_truth(zone), "true", DAYS[-1]), DAYS[-1])
        == []
    )


def test_true_and_recoverable_differ_and_come_together(zone: Path) -> None:
    keys = read_truth(zone)
    true, late = known_figures(keys, "true", DAYS[-1]), known_figures(keys, "recoverable", DAYS[-1])
    for metric in (
        "dau",
        "total_events",
        "orders",
        "gross_revenue",
        "net_revenue",
        "active_users_7",
    ):
        old = DAYS[:30]  # much of the later days has not landed
        at_once = sum(
            abs(true[metric, day] - known_figures(keys, "recoverable", day)[metric, day])
            for day in old
        )
        in_the_end = sum(abs(true[metric, day] - late[metric, day]) for day in old)
        assert 0 <= in_the_end < at_once, metric
    for movement in ("new", "expansion", "contraction", "churn", "reactivation"):
        assert any(
            value and metric.startswith(f"mrr_{movement}") for (metric, _), value in true.items()
        ), movement
    for metric in (
        "signups",
        "orders",
        "gross_revenue",
        "net_revenue",
        "mrr_new.USD",
        "mrr_churn.EUR",
    ):
        assert sum(abs(value) for (name, _), value in true.items() if name == metric) > 0, metric
