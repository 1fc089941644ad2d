"""The behaviour of the synthetic company: statistics of 90 days, and rules for every row."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_gen.company.activity import sessions_of
from data_gen.company.commerce import orders_of
from data_gen.company.company import Company, exact_scale
from data_gen.company.growth import day_number
from data_gen.company.lives import ActorDays
from data_gen.company.making import day_tables
from data_gen.company.payments import earlier_orders_paid, payment_rows, payments_of
from data_gen.company.rules import Rules, load_rules
from tests.generator_rules import changed

FOUNDED = date(2026, 1, 1)
DAYS = [FOUNDED + timedelta(days=n) for n in range(90)]
SCALE = "0.4"
Frames = dict[str, pl.DataFrame]


def figure(value: Any) -> float:
    """A statistic of a column as a number."""
    return float(value)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules().founded_on(FOUNDED)


@pytest.fixture(scope="module")
def landed(rules: Rules) -> Frames:
    """Everything that lands in 90 days, with the day on which it lands."""
    parts: dict[str, list[pl.DataFrame]] = {}
    for day in DAYS:
        for source, table in day_tables(rules, 42, SCALE, day).items():
            frame = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.lit(day).alias("landed"))
            parts.setdefault(source, []).append(frame)
    return {source: pl.concat(frames) for source, frames in parts.items()}


@pytest.fixture(scope="module")
def known(landed: Frames) -> Frames:
    """The same without landing days. Orders are in their first version, as they were placed."""
    frames = {source: frame.drop("landed") for source, frame in landed.items()}
    versions = frames["orders"]
    return frames | {
        "order_versions": versions,
        "orders": versions.filter(pl.col("updated_at") == pl.col("ordered_at")),
    }


@pytest.fixture(scope="module")
def daily(known: Frames) -> pl.DataFrame:
    """Per user the days on which it was active."""
    active = known["events"].select("user_id", day=pl.col("event_timestamp").dt.date()).unique()
    return active.filter(
        pl.col("day") < DAYS[-8]
    )  # later days may be incomplete, as late rows have not landed


KEYS = {
    "events": ["event_id"],
    "users": ["user_id", "updated_at"],
    "customers": ["customer_id", "updated_at"],
    "subscriptions": ["subscription_id", "period_start", "updated_at"],
    "orders": ["order_id"],
    "order_versions": ["order_id", "updated_at"],
    "order_items": ["order_item_id"],
    "payments": ["payment_id"],
    "shipments": ["shipment_id", "updated_at"],
    "returns": ["return_id"],
    "inventory": ["product_id", "stock_date"],
    "sessions": ["session_id"],
    "ad_spend": ["spend_date", "channel", "campaign"],
    "fx_rates": ["rate_date", "currency"],
}


@pytest.mark.parametrize(("source", "key"), KEYS.items(), ids=KEYS)
def test_a_key_comes_once(known: Frames, source: str, key: list[str]) -> None:
    assert known[source].select(key).is_duplicated().sum() == 0
    assert len(known[source]) > 50


TIMES = {
    "events": "event_timestamp",
    "users": "updated_at",
    "orders": "ordered_at",
    "payments": "paid_at",
}


@pytest.mark.parametrize(("source", "column"), TIMES.items(), ids=TIMES)
def test_share_and_delay_of_late_rows(
    landed: Frames, rules: Rules, source: str, column: str
) -> None:
    rows = landed[source].with_columns(
        delay=(pl.col("landed") - pl.col(column).dt.date()).dt.total_days()
    )
    if source == "orders":
        rows = rows.filter(pl.col("updated_at") == pl.col("ordered_at"))
    assert figure(rows["delay"].min()) == 0 and 7 <= figure(rows["delay"].max()) <= 90
    # They come in clusters, as the whole day of a user or customer is late.
    share = figure((rows["delay"].is_between(1, 7)).mean())
    assert 0.3 * float(rules.delivery.late_share) < share < 2.5 * float(rules.delivery.late_share)
    tail = figure((rows["delay"] > 7).mean())
    assert tail < 5 * float(rules.delivery.tail_share)


def test_the_tail_of_late_rows_reaches_ninety_days(landed: Frames) -> None:
    events = landed["events"]
    delay = (events["landed"] - events["event_timestamp"].dt.date()).dt.total_days()
    assert 50 < figure(delay.max()) <= 90


def test_late_events_are_received_late(landed: Frames) -> None:
    events = landed["events"]
    assert (events["received_at"].dt.date() == events["landed"]).all()
    assert (events["received_at"] >= events["event_timestamp"]).all()


def test_signups_of_a_day_follow_the_curve(known: Frames) -> None:
    first = known["users"].filter(pl.col("updated_at") == pl.col("signed_up_at"))
    counts = dict(first.group_by(pl.col("signed_up_at").dt.date()).len().iter_rows())
    week = [
        sum(counts.get(FOUNDED + timedelta(days=7 * n + d), 0) for d in range(7)) for n in range(12)
    ]
    assert week[0] > 2 * week[3]  # the launch
    assert week[11] > 1.3 * week[3]  # the climb


def test_weekdays_are_busier_than_weekends(known: Frames, rules: Rules) -> None:
    by_day = (
        known["events"]
        .group_by(day=pl.col("event_timestamp").dt.date())
        .len()
        .filter(pl.col("day") >= DAYS[20])
    )
    by_kind = (
        by_day.group_by(weekend=pl.col("day").dt.weekday() > 5)
        .agg(pl.col("len").mean())
        .sort("weekend")["len"]
    )
    weekdays = rules.rhythm.weekdays
    expected = (sum(weekdays[:5]) / 5) / (sum(weekdays[5:]) / 2)
    assert figure(by_kind[0]) / figure(by_kind[1]) == pytest.approx(expected, rel=0.15)


def test_nights_are_quiet(known: Frames) -> None:
    german = known["events"].filter((pl.col("country") == "DE") & (pl.col("event_type") == "login"))
    local = german["event_timestamp"].dt.offset_by("1h").dt.hour()
    assert len(german) > 500
    assert figure(local.is_between(8, 18).sum()) > 3.5 * figure((local < 7).sum())


def test_top_users_make_a_heavy_tail(known: Frames) -> None:
    counts = known["events"].group_by("user_id").len()["len"].sort(descending=True)
    share = figure(counts.head(max(len(counts) // 100, 1)).sum()) / figure(counts.sum())
    assert 0.15 <= share < 0.4


def test_users_are_retained_churn_and_come_back(daily: pl.DataFrame) -> None:
    weeks = daily.select("user_id", week=(pl.col("day") - FOUNDED).dt.total_days() // 7).unique()
    before = weeks.with_columns(week=pl.col("week") + 1, came_before=True)
    joined = weeks.join(before, on=["user_id", "week"], how="left")
    first = weeks.group_by("user_id").agg(first=pl.col("week").min())
    joined = joined.join(first, on="user_id").filter(pl.col("week") > 4)
    retained = joined.filter(pl.col("came_before"))
    resurrected = joined.filter(
        pl.col("came_before").is_null() & (pl.col("week") > pl.col("first"))
    )
    new = joined.filter(pl.col("week") == pl.col("first"))
    churned = before.filter(pl.col("week").is_between(5, 11)).join(
        weeks, on=["user_id", "week"], how="anti"
    )
    total = len(joined)
    assert len(retained) / total > 0.35
    assert 0.05 < len(resurrected) / total < 0.5
    assert 0.05 < len(new) / total < 0.5
    assert len(churned) / total > 0.1


def test_users_come_only_while_they_live(known: Frames) -> None:
    lives = (
        known["users"]
        .group_by("user_id")
        .agg(
            born=pl.col("signed_up_at").min(),
            end=pl.col("updated_at").filter(pl.col("is_deleted")).min(),
        )
    )
    events = (
        known["events"].select("user_id", "event_timestamp").join(lives, on="user_id", how="left")
    )
    # A few users have no row so far, as their row is late.
    unknown = events.filter(pl.col("born").is_null())["user_id"].n_unique()
    assert unknown < 0.02 * events["user_id"].n_unique()
    seen = events.drop_nulls("born")
    assert (seen["event_timestamp"] >= seen["born"]).all()
    gone = seen.drop_nulls("end")
    assert len(gone) > 100 and (gone["event_timestamp"] < gone["end"]).all()


def test_every_life_starts_with_one_signup(known: Frames) -> None:
    signups = known["events"].filter(pl.col("event_type") == "signup")
    assert signups["user_id"].is_duplicated().sum() == 0
    born = known["users"].select("user_id", "signed_up_at").unique()
    both = signups.join(born, on="user_id")
    assert len(both) > 0.95 * len(born)
    assert (both["event_timestamp"] == both["signed_up_at"]).all()
    first = known["events"].group_by("user_id").agg(pl.col("event_timestamp").min())
    assert signups.join(first, on=["user_id", "event_timestamp"]).height == len(signups)


def test_sessions_belong_together(known: Frames) -> None:
    events = known["events"].sort("event_timestamp")
    same = ["user_id", "device", "platform", "app_version", "country"]
    session = events.group_by("session_id").agg(
        *[pl.col(c).n_unique() for c in same], events=pl.len()
    )
    assert session.select((pl.col(c) == 1).all() for c in same).row(0) == (True,) * len(same)
    assert 4 < figure(session["events"].mean()) < 15
    assert events["session_id"].n_unique() == events.filter(pl.col("event_type") == "login").height


def test_the_funnel_is_taken_in_order_with_drop_off(known: Frames, rules: Rules) -> None:
    steps = list(rules.funnel)
    taken = (
        known["events"]
        .filter(pl.col("event_type").is_in(steps))
        .sort("event_timestamp", maintain_order=True)
    )
    path = taken.group_by("session_id").agg(pl.col("event_type"))["event_type"].to_list()
    assert all(p == steps[: len(p)] for p in path)
    counts = [sum(len(p) > n for p in path) for n in range(len(steps))]
    sessions = known["events"]["session_id"].n_unique()
    for n, share in enumerate(rules.funnel.values()):
        assert counts[n] / (counts[n - 1] if n else sessions) == pytest.approx(
            float(share), rel=0.06
        )


def test_an_order_is_a_purchase(known: Frames) -> None:
    orders = known["orders"]
    bought = (
        known["events"]
        .filter(pl.col("event_type") == "purchase")
        .select(
            "user_id",
            "event_timestamp",
            order_id=pl.col("properties").str.json_path_match("$.order_id"),
        )
    )
    both = orders.join(bought, on="order_id")
    assert len(both) > 0.97 * max(len(orders), len(bought))  # the rest is late on one side
    assert (both["user_id"] == both["user_id_right"]).all()
    assert (both["ordered_at"] == both["event_timestamp"]).all()


def test_orders_name_what_exists(known: Frames) -> None:
    orders, users, customers = known["orders"], known["users"], known["customers"]
    placed = orders.join(
        users.select("user_id", of="customer_id").unique(), on="user_id", how="left"
    )
    assert (placed["customer_id"] == placed["of"]).all()
    assert placed["of"].null_count() < 0.03 * len(placed)
    accounts = customers.group_by("customer_id").agg(pl.col("created_at").min())
    placed = orders.join(accounts, on="customer_id", how="inner")
    assert (placed["ordered_at"] >= placed["created_at"]).all() and len(placed) > 0.95 * len(orders)
    assert known["order_items"].join(orders, on="order_id", how="anti").is_empty()
    assert orders.join(known["order_items"], on="order_id", how="anti").is_empty()


def test_items_have_the_price_of_their_day(landed: Frames, known: Frames) -> None:
    catalogue = landed["products"].select("product_id", "unit_price", "is_active", day="landed")
    items = known["order_items"].join(
        known["orders"].select("order_id", day=pl.col("ordered_at").dt.date()), on="order_id"
    )
    priced = items.join(catalogue, on=["product_id", "day"], how="left", suffix="_listed")
    assert (priced["unit_price"] == priced["unit_price_listed"]).all() and priced[
        "unit_price_listed"
    ].null_count() == 0
    assert priced["is_active"].all()
    assert (priced["quantity"] > 0).all() and figure(priced["quantity"].max()) > 3


def test_prices_change_with_a_new_version(landed: Frames) -> None:
    products = landed["products"].sort("product_id", "landed")
    previous = products.with_columns(
        pl.col("unit_price", "unit_cost", "is_active", "updated_at")
        .shift()
        .over("product_id")
        .name.prefix("old_")
    ).drop_nulls("old_updated_at")
    changed = previous.filter(
        (pl.col("unit_price") != pl.col("old_unit_price"))
        | (pl.col("is_active") != pl.col("old_is_active"))
    )
    assert len(changed) > 30
    assert (changed["updated_at"] > changed["old_updated_at"]).all()
    assert (changed["updated_at"].dt.date() == changed["landed"]).all()
    same = previous.filter(pl.col("updated_at") == pl.col("old_updated_at"))
    assert (same["unit_price"] == same["old_unit_price"]).all() and (
        same["unit_cost"] == same["old_unit_cost"]
    ).all()
    assert (products["unit_cost"] <= products["unit_price"] * Decimal("1.4")).all()


def test_payments_add_up_to_their_orders(known: Frames, rules: Rules) -> None:
    lines = (
        known["order_items"]
        .group_by("order_id")
        .agg(goods=(pl.col("quantity") * pl.col("unit_price") - pl.col("discount_amount")).sum())
    )
    orders = known["orders"].join(lines, on="order_id")
    orders = orders.with_columns(
        total=pl.col("goods")
        - pl.col("discount_amount")
        + pl.col("shipping_amount")
        + pl.col("tax_amount")
    )
    every = known["payments"].filter(pl.col("order_id").is_not_null())
    paid = every.filter(pl.col("status") == "succeeded")
    sums = paid.group_by("order_id").agg(
        charged=pl.col("amount").filter(pl.col("kind") == "charge").sum(),
        refunded=pl.col("amount").filter(pl.col("kind") == "refund").sum(),
        parts=(pl.col("kind") == "charge").sum(),
        days=pl.col("paid_at").dt.date().n_unique(),
    )
    old = orders.filter(
        pl.col("ordered_at").dt.date() < DAYS[-37]
    )  # the payments of the others may not have landed
    paid_orders = old.filter(pl.col("status") == "placed").join(sums, on="order_id", how="left")
    assert len(paid_orders) > 500
    rates = {name: float(country.tax_rate) for name, country in rules.countries.items()}
    taxed = orders.with_columns(
        net=(pl.col("total") - pl.col("tax_amount")).cast(pl.Float64),
        rate=pl.col("shipping_country").replace_strict(rates),
    ).select(pl.col("tax_amount").cast(pl.Float64) - pl.col("net") * pl.col("rate"))["tax_amount"]
    assert (
        figure(taxed.min()) > -0.010001 and figure(taxed.max()) < 0.000001
    )  # rounded down to the cent
    assert paid_orders["charged"].null_count() < 5  # they are in the tail of late rows
    paid_orders = paid_orders.drop_nulls("charged")
    assert (paid_orders["charged"] == paid_orders["total"]).all()
    assert (paid_orders["refunded"] <= paid_orders["charged"]).all()
    assert 0.02 < figure((paid_orders["parts"] == 2).mean()) < 0.09
    assert 0.01 < figure((paid_orders["refunded"] > 0).mean()) < 0.05
    assert 0.05 < figure((paid_orders["days"] > 1).mean()) < 0.2
    cancelled = old.filter(pl.col("status") == "cancelled")
    assert len(cancelled) > 10 and cancelled.join(sums, on="order_id").is_empty()
    # Failed attempts have the amount and the day of the payment that succeeds after them.
    failed = every.filter(pl.col("status") == "failed").join(
        paid.filter(pl.col("kind") == "charge").unique("order_id", keep="first"),
        on="order_id",
        suffix="_then",
    )
    assert 0.02 < failed["order_id"].n_unique() / paid["order_id"].n_unique() < 0.09
    same_day = failed.filter(pl.col("paid_at").dt.date() == pl.col("paid_at_then").dt.date())
    assert len(same_day) > 0.8 * len(failed)
    assert (same_day["paid_at"] <= same_day["paid_at_then"]).all()
    after = paid.join(orders, on="order_id")
    assert (after["paid_at"] >= after["ordered_at"]).all()


def test_payments_come_once_where_everything_is_put_off(rules: Rules) -> None:
    """Most orders are paid later, refunded and late, which covers every way to a payment's day."""
    often = Decimal("0.7")
    rules = changed(
        rules,
        payments=changed(rules.payments, later_share=often, refund_share=often),
        delivery=changed(rules.delivery, late_share=often),
    )
    company = Company(rules, 42, exact_scale(SCALE))
    paid, due = [], []
    first = day_number(FOUNDED)
    for day in range(first, first + 25):
        for payments in earlier_orders_paid(company, day):
            paid += payment_rows(company, payments, day).table["payment_id"].to_pylist()
        who = ActorDays.on(day, np.arange(company.growth.users_by(day), dtype=np.int64))
        planned = payments_of(company, orders_of(company, sessions_of(company, who)))
        for landing in range(day + 1, first + 25):
            due += payment_rows(company, planned, landing).table["payment_id"].to_pylist()
    assert len(paid) == len(set(paid)) > 200
    assert sorted(paid) == sorted(due)


def test_versions_of_users_and_customers_rise(known: Frames) -> None:
    for source, key, born in (
        ("users", "user_id", "signed_up_at"),
        ("customers", "customer_id", "created_at"),
    ):
        rows = known[source].sort(key, "updated_at")
        assert (rows["updated_at"] >= rows[born]).all()
        assert (
            rows.group_by(key).agg((pl.col("updated_at") == pl.col(born)).sum())["updated_at"].max()
            == 1
        )
        assert figure(rows.group_by(key).len()["len"].max()) > 1
        final = rows.filter(pl.col("is_deleted")).select(key, end="updated_at")
        after = rows.join(final, on=key).filter(pl.col("updated_at") > pl.col("end"))
        assert len(final) > 3 and after.is_empty()


@pytest.mark.parametrize(
    ("source", "key", "columns"),
    [
        ("users", "user_id", ["country", "role", "phone", "marketing_opt_in", "is_deleted"]),
        ("customers", "customer_id", ["segment", "country", "industry", "is_deleted"]),
    ],
)
def test_what_changes_over_a_life(known: Frames, source: str, key: str, columns: list[str]) -> None:
    rows = known[source].sort(key, "updated_at")
    for column in columns:
        assert rows.group_by(key).agg(pl.col(column).n_unique())[column].max() != 1, column


def test_the_deleted_leave_no_personal_data(known: Frames) -> None:
    gone = known["users"].filter(pl.col("is_deleted"))
    assert len(gone) > 5
    assert gone.select(pl.col("email", "full_name", "phone").is_null().all()).row(0) == (
        True,
        True,
        True,
    )


def test_subscriptions_run_month_after_month(known: Frames) -> None:
    rows = known["subscriptions"].sort("subscription_id", "updated_at")
    assert set(rows["status"].unique()) == {"trialing", "active", "past_due", "canceled"}
    latest = rows.unique(["subscription_id", "period_start"], keep="last").sort(
        "subscription_id", "period_start"
    )
    following = latest.with_columns(
        before=pl.col("period_end").shift().over("subscription_id"),
        was=pl.col("status").shift().over("subscription_id"),
    ).drop_nulls("before")
    assert len(following) > 100
    gaps = (following["period_start"] - following["before"]).dt.total_days()
    goes_on, again = following["was"] != "canceled", following["was"] == "canceled"
    assert figure((gaps.filter(goes_on) == 1).mean()) > 0.97  # the rest: the row between is late
    assert again.any() and figure(gaps.filter(again).min()) > 1  # reactivated after a pause
    length = (latest["period_end"] - latest["period_start"]).dt.total_days() + 1
    trial = latest["trial_end"] == latest["period_end"]
    assert (length.filter(trial.fill_null(False)) == 14).all()
    assert length.filter(~trial.fill_null(False)).is_between(28, 34).all()
    for kind in (
        trial.fill_null(False),
        ~trial.fill_null(False),
    ):  # ends of trials and of paid months
        assert (latest.filter(kind)["status"] == "canceled").any()
    plans = (
        latest.filter(pl.col("status") == "active")
        .group_by("subscription_id")
        .agg(pl.col("plan_id").n_unique())
    )
    assert plans["plan_id"].max() == 2
    per_customer = rows.group_by("customer_id").agg(pl.col("subscription_id").n_unique())[
        "subscription_id"
    ]
    assert per_customer.max() == 2 and 0.01 < figure((per_customer == 2).mean()) < 0.2
    # Past due until the payment is repeated.
    late_ones = rows.filter(pl.col("status") == "past_due").join(
        rows.filter(pl.col("status") == "active"),
        on=["subscription_id", "period_start"],
        suffix="_then",
    )
    assert len(late_ones) > 3
    assert (
        (late_ones["updated_at_then"].dt.date() - late_ones["updated_at"].dt.date()).dt.total_days()
        == 3
    ).all()
    amounts = rows.group_by("currency").agg(pl.col("monthly_amount").min())
    assert (
        set(amounts["currency"]) >= {"USD", "EUR", "GBP", "JPY"}
        and (amounts["monthly_amount"] > 0).all()
    )


def test_each_paid_month_is_paid_once(known: Frames) -> None:
    months = known["subscriptions"].filter(pl.col("status") == "active")
    tried = known["payments"].filter(pl.col("subscription_id").is_not_null())
    paid = tried.filter(pl.col("status") == "succeeded")
    both = months.join(
        paid,
        left_on=["subscription_id", pl.col("updated_at").dt.date()],
        right_on=["subscription_id", pl.col("paid_at").dt.date()],
    )
    due = known["subscriptions"].filter(pl.col("status") == "past_due")
    failed = tried.filter(pl.col("status") == "failed")
    assert 0.9 < len(failed) / len(due) < 1.1
    assert both.select("subscription_id", "period_start").is_duplicated().sum() == 0
    assert len(both) > 0.95 * max(len(months), len(paid))  # the rest is late on one side
    assert (both["monthly_amount"] == both["amount"]).all() and (
        both["currency"] == both["currency_right"]
    ).all()
    assert paid.select((pl.col("order_id").is_null() & (pl.col("kind") == "charge")).all()).item()


def test_parcels_are_shipped_and_arrive_late_or_never(
    landed: Frames, known: Frames, rules: Rules
) -> None:
    versions = known["shipments"].sort("shipment_id", "updated_at")
    last = versions.unique("shipment_id", keep="last")
    old = last.filter(pl.col("shipped_at").dt.date() < DAYS[-10])
    assert len(old) > 500
    lost = figure(old["delivered_at"].is_null().mean())
    assert 0.3 * float(rules.shipments.lost_share) < lost < 3 * float(rules.shipments.lost_share)
    arrived = old.drop_nulls("delivered_at")
    assert (arrived["delivered_at"] > arrived["shipped_at"]).all()
    assert 0.03 < figure((arrived["delivered_at"] > arrived["promised_at"]).mean()) < 0.35
    shipped = last.join(known["orders"], on="order_id", suffix="_of_order")
    assert (shipped["shipped_at"] > shipped["ordered_at"]).all() and (
        shipped["status"] == "placed"
    ).all()
    assert len(shipped) > 0.97 * len(last)  # the rest: the order is late
    states = (
        known["order_versions"]
        .sort("order_id", "updated_at")
        .group_by("order_id", maintain_order=True)
        .agg("status")
    )
    assert set(states["status"].list.join(">")) <= {
        "placed",
        "placed>shipped",
        "placed>shipped>completed",
        "cancelled",
        "shipped",
        "shipped>completed",
        "completed",
    }


def test_refunded_goods_come_back(known: Frames) -> None:
    items = known["order_items"].select("order_item_id", "order_id", "quantity")
    back = known["returns"].join(items, on="order_item_id", suffix="_sold")
    assert len(back) > 0.95 * len(known["returns"]) > 20
    assert (back["quantity"] <= back["quantity_sold"]).all() and (back["quantity"] > 0).all()
    assert back["reason"].n_unique() == 4
    sums = back.group_by("order_id").agg(
        pl.col("refund_amount").sum(), pl.col("returned_at").first()
    )
    refunds = known["payments"].filter(pl.col("kind") == "refund")
    both = sums.join(refunds, on="order_id")
    assert (both["refund_amount"] == both["amount"]).all() and (
        both["returned_at"] == both["paid_at"]
    ).all()


def test_stock_is_never_negative_and_is_restocked(known: Frames) -> None:
    rows = known["inventory"].sort("product_id", "stock_date")
    assert figure(rows["on_hand"].min()) >= 0 and figure(rows["received"].min()) >= 0
    assert 0 < figure((rows["on_hand"] == 0).mean()) < 0.3
    steps = rows.with_columns(before=pl.col("on_hand").shift().over("product_id")).drop_nulls(
        "before"
    )
    left = steps["before"] + steps["received"] - steps["on_hand"]
    assert figure(left.min()) >= 0  # nothing but a delivery adds
    per_product = rows.group_by("product_id").agg(restocked=(pl.col("received") > 0).sum())
    assert (
        figure(per_product["restocked"].max()) >= 5
        and figure((per_product["restocked"] > 1).mean()) > 0.7
    )


def test_visits_before_the_signup_lead_to_it(known: Frames) -> None:
    sessions = known["sessions"]
    before = sessions.filter(pl.col("user_id").is_null())
    first = (
        known["events"]
        .filter(pl.col("event_type") == "signup")
        .select("session_id", born="event_timestamp")
    )
    signup = sessions.join(first, on="session_id").select(
        "anonymous_id", "born", source="utm_source"
    )
    visits = before.join(signup, on="anonymous_id")
    assert (visits["started_at"] < visits["born"]).all() and before["utm_source"].null_count() == 0
    assert figure(((visits["born"] - visits["started_at"]).dt.total_days()).max()) <= 14
    late_signups = signup.filter(pl.col("born").dt.date() > DAYS[20])
    touches = late_signups.join(
        before.group_by("anonymous_id").len(), on="anonymous_id", how="left"
    )["len"].fill_null(0)
    assert figure((touches >= 2).mean()) > 0.4 and 0.02 < figure((touches == 0).mean()) < 0.3
    last = visits.sort("started_at").unique("anonymous_id", keep="last")
    assert figure((last["source"].is_not_null()).mean()) > 0.99
    assert known["events"].join(sessions, on="session_id", how="anti")["session_id"].n_unique() == 0


def test_buyers_come_through_campaigns_more_often(known: Frames) -> None:
    users = known["sessions"].filter(pl.col("user_id").is_not_null())
    bought = known["events"].filter(pl.col("event_type") == "purchase").select("session_id")
    buying = users.join(bought, on="session_id", how="semi")["utm_source"].is_not_null().mean()
    others = users.join(bought, on="session_id", how="anti")["utm_source"].is_not_null().mean()
    assert figure(buying) > 1.5 * figure(others)
    through = users.filter(pl.col("utm_medium").is_in(["cpc", "paid_social", "display"]))
    assert through["referrer"].null_count() == 0 and users["referrer"].null_count() > 0.5 * len(
        users
    )


def test_spend_follows_the_visits(known: Frames) -> None:
    visits = known["sessions"].filter(pl.col("utm_campaign").is_not_null())
    counts = visits.group_by(
        pl.col("started_at").dt.date().alias("spend_date"), campaign="utm_campaign"
    ).len()
    both = (
        known["ad_spend"]
        .join(counts, on=["spend_date", "campaign"], how="left")
        .with_columns(pl.col("len").fill_null(0))
    )
    daily = both.group_by("spend_date").agg(
        pl.col("spend").cast(pl.Float64).sum(), pl.col("clicks", "len").sum()
    )
    assert (
        daily.select(pl.corr("clicks", "len")).item() > 0.7
        and daily.select(pl.corr("spend", "len")).item() > 0.6
    )
    assert len(both) == len(known["ad_spend"])
    assert (both["impressions"] >= both["clicks"]).all() and both["channel"].n_unique() == 3


def test_rates_walk(known: Frames, rules: Rules) -> None:
    rates = (
        known["fx_rates"]
        .sort("currency", "rate_date")
        .with_columns(pl.col("usd_rate").cast(pl.Float64))
    )
    assert set(rates["currency"]) == {"USD", "EUR", "GBP", "JPY"}
    assert (rates.filter(pl.col("currency") == "USD")["usd_rate"] == 1).all()
    moves = rates.with_columns(
        move=(pl.col("usd_rate") / pl.col("usd_rate").shift().over("currency") - 1).abs()
    )
    others = moves.filter((pl.col("currency") != "USD") & pl.col("move").is_not_null())
    assert 0 < figure(others["move"].max()) < 1.5 * float(rules.fx.daily_move)
    assert figure((others["move"] > 0).mean()) > 0.8
    for currency, rate in rules.fx.rates.items():
        mine = rates.filter(pl.col("currency") == currency)["usd_rate"]
        assert figure((mine / (rate / 10**6) - 1).abs().max()) <= float(rules.fx.most) + 0.01


def test_features_are_taken_up_over_time(known: Frames) -> None:
    events = known["events"].with_columns(
        day=(pl.col("event_timestamp").dt.date() - FOUNDED).dt.total_days()
    )
    share = (
        events.group_by("day")
        .agg((pl.col("event_type") == "alert_created").mean())
        .sort("day")["event_type"]
    )
    assert share[:25].sum() == 0  # released on day 25
    assert 0 < figure(share[25:35].mean()) < 0.75 * figure(share[70:90].mean())
    api = events.filter(pl.col("event_type") == "api_call")["day"]
    assert figure(api.min()) >= 70


def test_versions_roll_out(known: Frames) -> None:
    events = known["events"].with_columns(
        day=(pl.col("event_timestamp").dt.date() - FOUNDED).dt.total_days()
    )
    newest = (
        events.group_by("day")
        .agg((pl.col("app_version") == "1.1.0").mean())
        .sort("day")["app_version"]
    )
    assert (
        figure(newest[:14].max()) == 0 and 0 < figure(newest[15]) < 0.5 and figure(newest[25]) > 0.9
    )


def test_launch_outage_and_holidays(known: Frames, rules: Rules) -> None:
    events = known["events"].with_columns(
        at=pl.col("event_timestamp"), day=pl.col("event_timestamp").dt.date()
    )
    down = FOUNDED + timedelta(days=rules.rhythm.outage_days[0])
    closes, opens = rules.rhythm.outage_hours
    hours = events.filter(pl.col("day") == down)["at"].dt.hour()
    assert len(hours) > 500 and not hours.is_between(closes, opens - 1).any()
    counts = dict(events.group_by("day").len().iter_rows())
    launch = FOUNDED + timedelta(days=rules.rhythm.launch_days[0])
    around = [counts[launch + timedelta(days=n)] for n in (-7, 7)]
    assert 1.2 < counts[launch] / (sum(around) / 2) < 2.2
    # 2026-01-06 is a holiday in Spain alone.
    logins = events.filter(pl.col("event_type") == "login")
    spain = {
        d: len(logins.filter((pl.col("country") == "ES") & (pl.col("day") == d)))
        for d in (DAYS[5], DAYS[12])
    }
    others = {
        d: len(logins.filter((pl.col("country") == "DE") & (pl.col("day") == d)))
        for d in (DAYS[5], DAYS[12])
    }
    assert spain[DAYS[5]] / spain[DAYS[12]] < 0.75 * others[DAYS[5]] / others[DAYS[12]]


def test_volume_at_scale_one(rules: Rules) -> None:
    """A day in the second month has the traffic that the documentation names."""
    tables = day_tables(rules, 42, "1.0", FOUNDED + timedelta(days=60))
    assert 9_000 < len(tables["events"]) < 17_000
    placed = sum(
        status in ("placed", "cancelled") for status in tables["orders"]["status"].to_pylist()
    )
    assert 0.01 < placed / len(tables["events"]) < 0.04
