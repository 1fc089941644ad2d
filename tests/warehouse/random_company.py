"""A tiny company whose few keys arrive repeatedly: late, corrected, withdrawn, or broken.

All values come from the random generator of the caller, so a failing history can be repeated from
its seed.
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
# How many days before its landing a row may have happened: usually none, sometimes many.
DELAYS = (0, 0, 0, 0, 1, 1, 2, 7, 29, 30, 31, 45)
BROKEN_TIMES = (
    "",
    "yesterday",
    "2026-02-31T00:00:00Z",
    "1970-01-01T00:00:00Z",
    "2099-01-01T00:00:00Z",
)
# Some are steps of funnels, so that users progress.
EVENT_TYPES = (
    *("signup", "login", "export_run", "Report_Created ", "api_call"),
    *("view_product", "add_to_cart", "checkout_started", "purchase"),
)
Row = dict[str, Any]


def delivery(dice: random.Random, day: date, *, few: bool = False) -> dict[str, list[Row]]:
    """The rows that land on `day`, by source. Any source may be missing or empty.

    `few`: a row or two of one source. Then another row does not hide, by affecting the same key,
    that a model fails to rebuild it.
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
        "shipments": _shipment,
        "returns": _return,
        "inventory": _stock_level,
        "sessions": _session,
        "ad_spend": _spend,
        "fx_rates": _rate,
    }
    if few:
        source = dice.choices(tuple(makers), weights=(4, 2, 1, 1, 2, 2, 1, 2, 1, 1, 1, 2, 1, 1))[0]
        return {source: [makers[source](dice, day) for _ in range(dice.choice((1, 1, 2)))]}
    return {
        source: [make(dice, day) for _ in range(dice.choice((0, 1, 4, 9)))]
        for source, make in makers.items()
        if dice.random() < 0.85
    }


def write_delivery(zone: Path, day: date, rows: dict[str, list[Row]]) -> None:
    """Write the rows into the landing zone as the files of the day, replacing earlier ones."""
    for source, records in rows.items():
        folder = zone / source / f"dt={day}"
        folder.mkdir(parents=True, exist_ok=True)
        if source in ("events", "sessions"):
            (folder / f"{source}.jsonl").write_text(
                "".join(json.dumps(record) + "\n" for record in records)
            )
        elif source in ("subscriptions", "ad_spend"):
            (folder / f"{source}.json").write_text(json.dumps(records))
        elif source in _PARQUET_COLUMNS:
            names = _PARQUET_COLUMNS[source]
            columns = {
                name: pa.array([record[name] for record in records], pa.string()) for name in names
            }
            pq.write_table(pa.table(columns), folder / f"{source}.parquet")
        else:
            with (folder / f"{source}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(
                    file, fieldnames=list(_CSV_COLUMNS[source]), lineterminator="\n"
                )
                writer.writeheader()
                writer.writerows(records)


_CSV_COLUMNS = {
    "users": ("user_id", "updated_at", "customer_id", "country", "role", "is_deleted"),
    "customers": ("customer_id", "updated_at", "name", "segment", "is_deleted"),
    "products": ("product_id", "updated_at", "category", "unit_price", "unit_cost", "currency"),
    "shipments": (
        "shipment_id",
        "order_id",
        "carrier",
        "shipped_at",
        "promised_at",
        "delivered_at",
        "updated_at",
    ),
    "returns": ("return_id", "order_item_id", "returned_at", "quantity", "reason", "refund_amount"),
    "inventory": ("product_id", "stock_date", "on_hand", "received"),
    "fx_rates": ("rate_date", "currency", "usd_rate"),
}
_PARQUET_COLUMNS = {
    "orders": (
        "order_id",
        "customer_id",
        "ordered_at",
        "user_id",
        "status",
        "currency",
        "shipping_country",
        "discount_amount",
        "shipping_amount",
        "updated_at",
    ),
    "order_items": (
        "order_item_id",
        "order_id",
        "product_id",
        "quantity",
        "unit_price",
        "discount_amount",
    ),
    "payments": (
        "payment_id",
        "customer_id",
        "order_id",
        "subscription_id",
        "amount",
        "currency",
        "kind",
        "method",
        "status",
        "paid_at",
    ),
}
_CURRENCIES = ("USD", "USD", "eur", "EUR", "GBP", "JPY", "XXX", "")


def _moment(dice: random.Random, landed: date) -> str:
    if dice.random() < 0.05:
        return dice.choice(
            (*BROKEN_TIMES, f" {landed}T09:00:00Z\t", f"{landed + timedelta(days=1)}T00:00:05Z")
        )
    # Few distinct moments, so that ties occur, and windows that begin at the moment of a fact.
    moment = datetime.combine(
        landed - timedelta(days=dice.choice(DELAYS)), time(dice.choice((0, 9, 23))), UTC
    )
    return moment.isoformat()


def _later(dice: random.Random, landed: date, days: int) -> str:
    """A moment around `landed`, up to `days` days after it; empty or unreadable in some rows."""
    return dice.choice(
        ("", "soon", f"{landed + timedelta(days=dice.randrange(-3, days))}T09:00:00Z")
    )


def _day(dice: random.Random, landed: date) -> str:
    return _moment(dice, landed)[:10]


def _key(dice: random.Random, prefix: str, count: int, missing: float = 0.03) -> str:
    if dice.random() < missing:
        return dice.choice(("", "  ", "unknown", "a|b", too_long(dice)))
    return f"{prefix}{dice.randrange(count)}"


def too_long(dice: random.Random) -> str:
    """A text that is too long for an index entry. It is random, so that it cannot be compressed."""
    return f"{dice.getrandbits(36_000):x}"


def _user_key(dice: random.Random) -> str:
    # A few frequent users, and many rare ones, so that some windows depend on a single row.
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
        "currency": dice.choice(("USD", "EUR", "")),
    }


def _order(dice: random.Random, day: date) -> Row:
    return {
        "order_id": _key(dice, "o", 12),
        "customer_id": _key(dice, "c", 4),
        "ordered_at": _moment(dice, day),
        "user_id": _user_key(dice),
        "status": dice.choice(("completed", "completed", "cancelled", "")),
        "currency": dice.choice(_CURRENCIES),
        "shipping_country": dice.choice(("DE", "us", "Atlantis", "")),
        "discount_amount": dice.choice(("", "0", "1.50")),
        "shipping_amount": dice.choice(("", "4.90")),
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
        "customer_id": _key(dice, "c", 4, missing=0.2),
        "order_id": _key(dice, "o", 12, missing=0.2),
        "subscription_id": _key(dice, "z", 4, missing=0.5),
        "amount": dice.choice(("5.00", "7.25", "-1")),
        "currency": dice.choice(_CURRENCIES),
        "kind": dice.choice(("charge", "refund", "")),
        "method": dice.choice(("card", "Card ", "paypal", "")),
        "status": dice.choice(("succeeded", "failed", "")),
        "paid_at": _moment(dice, day),
    }


def _subscription(dice: random.Random, day: date) -> Row:
    start = _moment(dice, day)
    return {
        "subscription_id": _key(dice, "z", 4),
        "customer_id": _key(dice, "c", 4),
        "plan_id": dice.choice(("starter", "TEAM", "")),
        "status": dice.choice(("active", "active", "past_due", "trialing", "canceled", "")),
        "period_start": start,
        "period_end": _later(dice, day, 60),
        "trial_end": dice.choice(("", "", _later(dice, day, 20))),
        "monthly_amount": dice.choice((10, "12.50", 40, -1, None)),
        "currency": dice.choice(_CURRENCIES),
        "updated_at": dice.choice((start, _moment(dice, day))),
    }


def _shipment(dice: random.Random, day: date) -> Row:
    return {
        "shipment_id": _key(dice, "h", 10),
        "order_id": _key(dice, "o", 13),
        "carrier": dice.choice(("dhl", "UPS", "")),
        "shipped_at": dice.choice(("", _moment(dice, day))),
        "promised_at": _later(dice, day, 10),
        "delivered_at": dice.choice(("", _moment(dice, day))),
        "updated_at": dice.choice(("", _moment(dice, day))),
    }


def _return(dice: random.Random, day: date) -> Row:
    return {
        "return_id": _key(dice, "r", 12),
        "order_item_id": _key(dice, "i", 31),
        "returned_at": _moment(dice, day),
        "quantity": dice.choice(("1", "2", "0")),
        "reason": dice.choice(("damaged", "Changed_Mind", "")),
        "refund_amount": dice.choice(("", "5.00", "-2")),
    }


def _stock_level(dice: random.Random, day: date) -> Row:
    return {
        "product_id": _key(dice, "p", 4),
        "stock_date": _day(dice, day),
        "on_hand": dice.choice(("0", "7", "120", "-3", "lots")),
        "received": dice.choice(("", "5")),
    }


def _session(dice: random.Random, day: date) -> Row:
    return {
        "session_id": _key(dice, "s", 30),
        "user_id": dice.choice((None, _user_key(dice))),
        "customer_id": dice.choice((None, _key(dice, "c", 4))),
        "anonymous_id": dice.choice((None, _key(dice, "n", 5))),
        "started_at": _moment(dice, day),
        "utm_source": dice.choice((None, "google", "Newsletter")),
        "utm_medium": dice.choice((None, "cpc", "email")),
        "utm_campaign": dice.choice((None, "brand")),
        "referrer": dice.choice((None, "https://news.example.com/")),
    }


def _spend(dice: random.Random, day: date) -> Row:
    return {
        "spend_date": _day(dice, day),
        "channel": dice.choice(("paid_search", "Newsletter", "display", None)),
        "campaign": dice.choice(("brand", None)),
        "spend": dice.choice((0, 12.5, "7", -1)),
        "currency": dice.choice(_CURRENCIES),
        "clicks": dice.choice((3, None, "many")),
    }


def _rate(dice: random.Random, day: date) -> Row:
    return {
        "rate_date": _day(dice, day),
        "currency": dice.choice(("EUR", "gbp", "USD", "XXX", "")),
        "usd_rate": dice.choice(("1.1", "1.25", "0.0068", "0", "-1")),
    }
