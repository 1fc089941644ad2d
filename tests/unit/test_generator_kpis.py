"""The answer key's figures: the true ones are those of the clean rows, the recoverable ones those of the cleaned files.

Cleaning is written here a second time, row by row, as docs/synthetic-company.md describes it.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_gen.company.company import Company, exact_scale
from data_gen.company.making import day_tables, write_day
from data_gen.company.quantiles import Curve
from data_gen.company.reading import Share
from data_gen.company.rule_sections import DirtyFileRules, DirtyRowRules
from data_gen.company.rules import load_rules
from data_gen.company.schemas import SOURCES
from data_gen.company.writers import plain
from tests.generator_reading import Row, file_of, read

FOUNDED = date(2026, 1, 1)
DAYS = [FOUNDED + timedelta(days=n) for n in range(50)]
SCALE = "0.12"
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
    order: tuple[date, int] = field(init=False)

    def __post_init__(self) -> None:
        self.order = (self.day, self.line)


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("zone")
    for day in DAYS:
        write_day(company(), day, out)
    return out


def company() -> Company:
    rules = load_rules().founded_on(FOUNDED)
    rows = DirtyRowRules(**dict.fromkeys(vars(rules.dirt.rows), Share(Decimal("0.01"))))
    files = DirtyFileRules(**dict.fromkeys(vars(rules.dirt.files), Share(Decimal("0.04"))))
    dirt = replace(rules.dirt, rows=rows, files=files, redelivered=Share(Decimal("0.06")), skew=Share(Decimal("0.1")))
    delivery = replace(rules.delivery, late_share=Share(Decimal("0.04")), tail_share=Share(Decimal("0.01")))
    # Short subscriptions that start again soon, so that all movements occur.
    subscriptions = replace(
        rules.subscriptions,
        months=Curve.through([(Decimal(0), 1), (Decimal(100), 3)]),
        reactivated_share=Share(Decimal("0.7")),
        reactivated_after_days=Curve.through([(Decimal(0), 1), (Decimal(100), 9)]),
        trial_share=Share(Decimal("0.3")),
        upgrade_share=Share(Decimal("0.5")),
        downgrade_share=Share(Decimal("0.4")),
        plan_change_after_months=Curve.through([(Decimal(0), 1), (Decimal(100), 1)]),
        past_due_share=Share(Decimal("0.2")),
        several_share=Share(Decimal("0.3")),
    )
    return Company(replace(rules, dirt=dirt, delivery=delivery, subscriptions=subscriptions), 42, exact_scale(SCALE))


# -- cleaning ------------------------------------------------------------------------------------------------


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
    time = {"events": "event_timestamp", "orders": "ordered_at", "payments": "paid_at", "subscriptions": "updated_at"}
    if source in time and day_of(row[time[source]], landed.day) is None:
        return False
    if "currency" in row and row["currency"] not in CURRENCIES:
        return False
    return source != "order_items" or (Decimal(row["quantity"]) > 0 and Decimal(row["unit_price"]) > 0)


def cleaned(zone: Path, source: str, until: date) -> list[Landed]:
    """One row per key, of what has landed until a day, with all deliveries that have come again."""
    latest: dict[tuple[str, ...], Landed] = {}
    for day in (d for d in DAYS if d <= until):
        path = file_of(zone, source, day)
        for again in (d for d in DAYS if day < d <= until):
            other = file_of(zone / "_redelivered" / f"on={again}", source, day)
            path = other if other.exists() else path
        for line, row in read(path).rows.items():
            landed = Landed(row, day, line)
            if usable(source, landed):
                key = tuple(row[column] for column in SOURCES[source].key)
                rank = (row.get("updated_at") or "", landed.order)
                if key not in latest or rank > (latest[key].row.get("updated_at") or "", latest[key].order):
                    latest[key] = landed
    return list(latest.values())


# -- figures -------------------------------------------------------------------------------------------------


def figures_of(rows: dict[str, list[Row]]) -> Figures:
    found: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    active = set()
    for row in rows["events"]:
        day = date.fromisoformat(row["event_timestamp"][:10])
        found["total_events", day] += 1
        found["signups", day] += tidy(row["event_type"]) == "signup"
        active.add((day, row["user_id"]))
    for day, _ in active:
        found["dau", day] += 1
    for day in DAYS:
        for window in (7, 30):
            users = {user for seen, user in active if day - timedelta(days=window) < seen <= day}
            found[f"active_users_{window}", day] += len(users)
    items = defaultdict(list)
    for row in rows["order_items"]:
        items[row["order_id"]].append(row)
    for row in rows["orders"]:
        lines, day = items[row["order_id"]], date.fromisoformat(row["ordered_at"][:10])
        if tidy(row["status"]) == "cancelled" or not lines:
            continue
        gross = sum((Decimal(i["quantity"]) * Decimal(i["unit_price"]) for i in lines), Decimal(0))
        discounts = Decimal(row["discount_amount"]) + sum((Decimal(i["discount_amount"]) for i in lines), Decimal(0))
        found["orders", day] += 1
        found["gross_revenue", day] += gross
        found["net_revenue", day] += gross - discounts
    for row in rows["payments"]:
        if row["kind"] == "refund" and row["order_id"] and row["status"] == "succeeded":
            found["net_revenue", date.fromisoformat(row["paid_at"][:10])] -= Decimal(row["amount"])
    return found | movements(rows["subscriptions"])


def movements(rows: list[Row]) -> Figures:
    found: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    periods = defaultdict(list)
    for row in rows:
        if row["trial_end"] is None or row["trial_end"] != row["period_end"]:
            start, end = (date.fromisoformat(row[c]) for c in ("period_start", "period_end"))
            periods[row["subscription_id"]].append((start, end, Decimal(row["monthly_amount"]), row["currency"]))
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


def answers(zone: Path, kind: str, until: date) -> Figures:
    """What the answer key says is known by the end of a landing day."""
    known: Figures = {}
    for day in (d for d in DAYS if d <= until):
        rows = pq.read_table(zone / "_truth" / f"dt={day}" / "kpis.parquet").to_pylist()
        for row in sorted(rows, key=lambda r: r["as_of_landing_day"]):
            if row["kind"] == kind and row["as_of_landing_day"] <= until:
                known[row["metric"], row["day"]] = row["value"]
    return known


def differences(found: Figures, wanted: Figures, until: date) -> list[tuple[str, date, Decimal, Decimal]]:
    keys = {key for key in found.keys() | wanted.keys() if key[1] <= until}
    pairs = [(*key, found.get(key, Decimal(0)), wanted.get(key, Decimal(0))) for key in sorted(keys)]
    return [pair for pair in pairs if pair[2] != pair[3]]


@pytest.mark.parametrize("until", [DAYS[0], DAYS[17], DAYS[34], DAYS[-1]], ids=str)
def test_recoverable_figures_are_those_of_the_cleaned_files(zone: Path, until: date) -> None:
    found = figures_of({source: [landed.row for landed in cleaned(zone, source, until)] for source in READ})
    wanted = answers(zone, "recoverable", until)
    assert len(wanted) >= 26 * (until - FOUNDED).days
    assert differences(found, wanted, until) == []


def test_true_figures_are_those_of_the_clean_rows(zone: Path) -> None:
    """Of the days for which all late rows have come."""
    rules = company().rules
    nothing = replace(rules.delivery, late_share=Share(Decimal(0)), tail_share=Share(Decimal(0)))
    rows: dict[str, list[Row]] = defaultdict(list)
    for day in DAYS:
        for source, table in day_tables(replace(rules, delivery=nothing), 42, SCALE, day).items():
            columns = [plain(column.combine_chunks()).to_pylist() for column in table.columns]
            rows[source] += [
                dict(zip(table.schema.names, values, strict=True)) for values in zip(*columns, strict=True)
            ]
    rows["orders"] = list({row["order_id"]: row for row in rows["orders"]}.values())
    rows["subscriptions"] = list({(r["subscription_id"], r["period_start"]): r for r in rows["subscriptions"]}.values())
    assert differences(figures_of(rows), answers(zone, "true", DAYS[-1]), DAYS[-1]) == []


def test_true_and_recoverable_differ_and_come_together(zone: Path) -> None:
    true, early, late = (
        answers(zone, "true", DAYS[-1]),
        answers(zone, "recoverable", DAYS[0]),
        answers(zone, "recoverable", DAYS[-1]),
    )
    assert true["dau", DAYS[0]] > early["dau", DAYS[0]]
    assert true["total_events", DAYS[0]] >= late["total_events", DAYS[0]] > early["total_events", DAYS[0]]
    for movement in ("new", "expansion", "contraction", "churn", "reactivation"):
        assert any(value and metric.startswith(f"mrr_{movement}") for (metric, _), value in true.items()), movement
    for metric in ("signups", "orders", "gross_revenue", "net_revenue", "mrr_new.USD", "mrr_churn.EUR"):
        assert sum(abs(value) for (name, _), value in true.items() if name == metric) > 0, metric
