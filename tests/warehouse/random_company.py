"""A tiny company that does everything wrong: its few keys come again and again, late, corrected, withdrawn or broken.

Everything follows from the random generator that is passed in, so a failing history can be made again from its seed.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = date(2026, 1, 20)
# How many days before it lands a row may have happened: mostly none, sometimes long ago.
DELAYS = (0, 0, 0, 0, 1, 1, 2, 7, 29, 30, 31, 45)
BROKEN_TIMES = ("", "yesterday", "2026-02-31T00:00:00Z", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z")
# Steps of funnels among them, so that users get somewhere.
EVENT_TYPES = (
    *("signup", "login", "export_run", "Report_Created ", "api_call"),
    *("view_product", "add_to_cart", "checkout_started", "purchase"),
)
Row = dict[str, Any]


def delivery(dice: random.Random, day: date, *, few: bool = False) -> dict[str, list[Row]]:
    """What lands on `day`: rows by source. Any source may be missing or empty.

    `few`: a row or two of one source. What a model fails to rebuild is then not rebuilt by luck, for another row.
    """
    makers: dict[str, Callable[[random.Random, date], Row]] = {
        "events": _event,
        "users": _user,
        "customers": _customer,
        "products": _product,
        "orders": _order,
        "order_items": _order_item,
        "payments": _payment,
        "subscriptions": _subscription,
    }
    if few:
        source = dice.choices(tuple(makers), weights=(5, 2, 1, 1, 2, 2, 1, 2))[0]
        return {source: [makers[source](dice, day) for _ in range(dice.choice((1, 1, 2)))]}
    return {
        source: [make(dice, day) for _ in range(dice.choice((0, 1, 4, 9)))]
        for source, make in makers.items()
        if dice.random() < 0.85
    }


def write_delivery(zone: Path, day: date, rows: dict[str, list[Row]]) -> None:
    """Puts the rows into the landing zone as the day's files, in place of what lies there."""
    for source, records in rows.items():
        folder = zone / source / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        if source == "events":
            (folder / "events.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        elif source == "subscriptions":
            (folder / "subscriptions.json").write_text(json.dumps(records))
        elif source in ("users", "customers", "products"):
            with (folder / f"{source}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(_COLUMNS[source]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(records)
        else:
            columns = {name: pa.array([record[name] for record in records], pa.string()) for name in _COLUMNS[source]}
            pq.write_table(pa.table(columns), folder / f"{source}.parquet")


_COLUMNS = {
    "users": ("user_id", "updated_at", "customer_id", "country", "role", "is_deleted"),
    "customers": ("customer_id", "updated_at", "name", "segment", "is_deleted"),
    "products": ("product_id", "updated_at", "category", "unit_price", "unit_cost"),
    "orders": ("order_id", "customer_id", "ordered_at", "user_id", "status", "discount_amount", "updated_at"),
    "order_items": ("order_item_id", "order_id", "product_id", "quantity", "unit_price", "discount_amount"),
    "payments": ("payment_id", "order_id", "amount", "currency", "kind", "status", "paid_at"),
}


def _moment(dice: random.Random, landed: date) -> str:
    if dice.random() < 0.05:
        return dice.choice((*BROKEN_TIMES, f" {landed}T09:00:00Z\t", f"{landed + timedelta(days=1)}T00:00:05Z"))
    # Few different moments, so that ties and windows that begin at the moment of a fact occur.
    moment = datetime.combine(landed - timedelta(days=dice.choice(DELAYS)), time(dice.choice((0, 9, 23))), UTC)
    return moment.isoformat()


def _key(dice: random.Random, prefix: str, count: int, missing: float = 0.03) -> str:
    if dice.random() < missing:
        return dice.choice(("", "  ", "unknown", "a|b", prefix * 9_000))
    return f"{prefix}{dice.randrange(count)}"


def _user_key(dice: random.Random) -> str:
    # A few who come all the time, and many who hardly ever do: some windows then hang on one row alone.
    return _key(dice, "u", 6) if dice.random() < 0.7 else _key(dice, "v", 40)


def _event(dice: random.Random, day: date) -> Row:
    return {
        "event_id": _key(dice, "e", 60),
        "user_id": _user_key(dice),
        "event_type": dice.choice(EVENT_TYPES),
        "device": dice.choice(("desktop", "mobile", "")),
        "event_timestamp": _moment(dice, day),
        "session_id": _key(dice, "s", 3),
        "properties": {"n": dice.randrange(3)},
    }


def _user(dice: random.Random, day: date) -> Row:
    return {
        "user_id": _user_key(dice),
        "updated_at": _moment(dice, day),
        "customer_id": _key(dice, "c", 2),
        "country": dice.choice(("DE", "us", "")),
        "role": dice.choice(("admin", "a|b", "")),
        "is_deleted": "true" if dice.random() < 0.15 else "false",
    }


def _customer(dice: random.Random, day: date) -> Row:
    return {
        "customer_id": _key(dice, "c", 3),
        "updated_at": _moment(dice, day),
        "name": "same",
        "segment": dice.choice(("small", "large", "")),
        "is_deleted": "true" if dice.random() < 0.1 else "",
    }


def _product(dice: random.Random, day: date) -> Row:
    return {
        "product_id": _key(dice, "p", 3),
        "updated_at": _moment(dice, day),
        "category": dice.choice(("a", "b")),
        "unit_price": dice.choice(("10.00", "12.50")),
        "unit_cost": dice.choice(("4", "5.25", "oops")),
    }


def _order(dice: random.Random, day: date) -> Row:
    return {
        "order_id": _key(dice, "o", 12),
        "customer_id": _key(dice, "c", 4),
        "ordered_at": _moment(dice, day),
        "user_id": _user_key(dice),
        "status": dice.choice(("completed", "completed", "cancelled", "")),
        "discount_amount": dice.choice(("", "0", "1.50")),
        "updated_at": dice.choice(("", _moment(dice, day))),
    }


def _order_item(dice: random.Random, day: date) -> Row:
    return {
        "order_item_id": _key(dice, "i", 30),
        "order_id": _key(dice, "o", 13),
        "product_id": _key(dice, "p", 4),
        "quantity": dice.choice(("1", "2", "3.0", "0", "-1", "many", "999999999", "9" * 40)),
        "unit_price": dice.choice(("10.00", "0.5", "0", "9999999999.99", "1e9")),
        "discount_amount": dice.choice(("", "0.25")),
    }


def _payment(dice: random.Random, day: date) -> Row:
    return {
        "payment_id": _key(dice, "y", 20),
        "order_id": _key(dice, "o", 12, missing=0.2),
        "amount": dice.choice(("5.00", "7.25", "-1")),
        "currency": "USD",
        "kind": dice.choice(("charge", "refund", "")),
        "status": dice.choice(("succeeded", "failed", "")),
        "paid_at": _moment(dice, day),
    }


def _subscription(dice: random.Random, day: date) -> Row:
    start = day - timedelta(days=dice.choice((0, 1, 5, 20, 40)))
    return {
        "subscription_id": _key(dice, "z", 4),
        "customer_id": _key(dice, "c", 2),
        "period_start": start.isoformat(),
        "period_end": dice.choice((None, None, (start + timedelta(days=dice.choice((-1, 0, 10, 30)))).isoformat())),
        "trial_end": dice.choice((None, (start + timedelta(days=dice.choice((-3, 0, 13)))).isoformat())),
        "plan_id": dice.choice(("starter", "team", "")),
        "status": dice.choice(("trialing", "active", "past_due", "canceled", "")),
        "monthly_amount": dice.choice(("12.00", "49.00", "0", "-1")),
        "currency": "USD",
        "updated_at": _moment(dice, day),
    }
