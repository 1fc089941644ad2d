"""How the synthetic company behaves: statistics of 90 days with their bounds, and what must hold for every row."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_gen.company.activity import sessions_of
from data_gen.company.commerce import orders_of
from data_gen.company.company import Company, exact_scale
from data_gen.company.day import day_tables
from data_gen.company.growth import day_number
from data_gen.company.lives import ActorDays
from data_gen.company.payments import earlier_orders_paid, payment_rows, payments_of
from data_gen.company.reading import Share
from data_gen.company.rules import Rules, load_rules

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
    """The same without exact copies and landing days."""
    return {source: frame.drop("landed").unique(maintain_order=True) for source, frame in landed.items()}


@pytest.fixture(scope="module")
def daily(known: Frames) -> pl.DataFrame:
    """Per user the days on which it was active."""
    active = known["events"].select("user_id", day=pl.col("event_timestamp").dt.date()).unique()
    return active.filter(pl.col("day") < DAYS[-8])  # later ones may be incomplete: late rows have not come yet


KEYS = {
    "events": ["event_id"],
    "users": ["user_id", "updated_at"],
    "customers": ["customer_id", "updated_at"],
    "subscriptions": ["subscription_id", "period_start", "updated_at"],
    "orders": ["order_id"],
    "order_items": ["order_item_id"],
    "payments": ["payment_id"],
}


@pytest.mark.parametrize(("source", "key"), KEYS.items(), ids=KEYS)
def test_a_key_comes_again_only_as_an_exact_copy(known: Frames, source: str, key: list[str]) -> None:
    assert known[source].select(key).is_duplicated().sum() == 0
    assert len(known[source]) > 50


@pytest.mark.parametrize("source", KEYS)
def test_copies_come_on_the_same_day(landed: Frames, known: Frames, source: str) -> None:
    assert landed[source].unique().height == known[source].height


@pytest.mark.parametrize("source", ["events", "order_items"])
def test_share_of_copies(landed: Frames, rules: Rules, source: str) -> None:
    rows = len(landed[source].unique())
    share = float(rules.delivery.duplicate_share)
    copies = len(landed[source]) - rows
    assert abs(copies - share * rows) < 4 * (share * (1 - share) * rows) ** 0.5


TIMES = {"events": "event_timestamp", "users": "updated_at", "orders": "ordered_at", "payments": "paid_at"}


@pytest.mark.parametrize(("source", "column"), TIMES.items(), ids=TIMES)
def test_share_and_delay_of_late_rows(landed: Frames, rules: Rules, source: str, column: str) -> None:
    rows = landed[source].with_columns(delay=(pl.col("landed") - pl.col(column).dt.date()).dt.total_days())
    share = rows.select((pl.col("delay") > 0).mean()).item()
    assert figure(rows["delay"].min()) == 0 and figure(rows["delay"].max()) <= 7
    assert (
        0.3 * float(rules.delivery.late_share) < share < 2.5 * float(rules.delivery.late_share)
    )  # they come in clusters


def test_late_events_are_received_late(landed: Frames) -> None:
    events = landed["events"]
    assert (events["received_at"].dt.date() == events["landed"]).all()
    assert (events["received_at"] >= events["event_timestamp"]).all()


def test_signups_of_a_day_follow_the_curve(known: Frames) -> None:
    first = known["users"].filter(pl.col("updated_at") == pl.col("signed_up_at"))
    counts = dict(first.group_by(pl.col("signed_up_at").dt.date()).len().iter_rows())
    week = [sum(counts.get(FOUNDED + timedelta(days=7 * n + d), 0) for d in range(7)) for n in range(12)]
    assert week[0] > 2 * week[3]  # the launch
    assert week[11] > 1.3 * week[3]  # the climb


def test_weekdays_are_busier_than_weekends(known: Frames, rules: Rules) -> None:
    by_day = known["events"].group_by(day=pl.col("event_timestamp").dt.date()).len().filter(pl.col("day") >= DAYS[20])
    by_kind = by_day.group_by(weekend=pl.col("day").dt.weekday() > 5).agg(pl.col("len").mean()).sort("weekend")["len"]
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
    assert 0.12 < share < 0.4


def test_users_are_retained_churn_and_come_back(daily: pl.DataFrame) -> None:
    weeks = daily.select("user_id", week=(pl.col("day") - FOUNDED).dt.total_days() // 7).unique()
    before = weeks.with_columns(week=pl.col("week") + 1, came_before=True)
    joined = weeks.join(before, on=["user_id", "week"], how="left")
    first = weeks.group_by("user_id").agg(first=pl.col("week").min())
    joined = joined.join(first, on="user_id").filter(pl.col("week") > 4)
    retained = joined.filter(pl.col("came_before"))
    resurrected = joined.filter(pl.col("came_before").is_null() & (pl.col("week") > pl.col("first")))
    new = joined.filter(pl.col("week") == pl.col("first"))
    churned = before.filter(pl.col("week").is_between(5, 11)).join(weeks, on=["user_id", "week"], how="anti")
    total = len(joined)
    assert len(retained) / total > 0.35
    assert 0.05 < len(resurrected) / total < 0.5
    assert 0.05 < len(new) / total < 0.5
    assert len(churned) / total > 0.1


def test_users_come_only_while_they_live(known: Frames) -> None:
    lives = (
        known["users"]
        .group_by("user_id")
        .agg(born=pl.col("signed_up_at").min(), end=pl.col("updated_at").filter(pl.col("is_deleted")).min())
    )
    events = known["events"].select("user_id", "event_timestamp").join(lives, on="user_id", how="left")
    # A user without a row yet: its row is late. There are few of them.
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
    session = events.group_by("session_id").agg(*[pl.col(c).n_unique() for c in same], events=pl.len())
    assert session.select((pl.col(c) == 1).all() for c in same).row(0) == (True,) * len(same)
    assert 4 < figure(session["events"].mean()) < 15
    assert events["session_id"].n_unique() == events.filter(pl.col("event_type") == "login").height


def test_the_funnel_is_taken_in_order_with_drop_off(known: Frames, rules: Rules) -> None:
    steps = list(rules.funnel)
    taken = known["events"].filter(pl.col("event_type").is_in(steps)).sort("event_timestamp", maintain_order=True)
    path = taken.group_by("session_id").agg(pl.col("event_type"))["event_type"].to_list()
    assert all(p == steps[: len(p)] for p in path)
    counts = [sum(len(p) > n for p in path) for n in range(len(steps))]
    sessions = known["events"]["session_id"].n_unique()
    for n, share in enumerate(rules.funnel.values()):
        assert counts[n] / (counts[n - 1] if n else sessions) == pytest.approx(float(share), rel=0.06)


def test_an_order_is_a_purchase(known: Frames) -> None:
    orders = known["orders"]
    bought = (
        known["events"]
        .filter(pl.col("event_type") == "purchase")
        .select("user_id", "event_timestamp", order_id=pl.col("properties").str.json_path_match("$.order_id"))
    )
    both = orders.join(bought, on="order_id")
    assert len(both) > 0.97 * max(len(orders), len(bought))  # the rest is late on one side
    assert (both["user_id"] == both["user_id_right"]).all()
    assert (both["ordered_at"] == both["event_timestamp"]).all()


def test_orders_name_what_exists(known: Frames) -> None:
    orders, users, customers = known["orders"], known["users"], known["customers"]
    placed = orders.join(users.select("user_id", of="customer_id").unique(), on="user_id", how="left")
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
    assert (priced["unit_price"] == priced["unit_price_listed"]).all() and priced["unit_price_listed"].null_count() == 0
    assert priced["is_active"].all()
    assert (priced["quantity"] > 0).all() and figure(priced["quantity"].max()) > 3


def test_prices_change_with_a_new_version(landed: Frames) -> None:
    products = landed["products"].sort("product_id", "landed")
    previous = products.with_columns(
        pl.col("unit_price", "unit_cost", "is_active", "updated_at").shift().over("product_id").name.prefix("old_")
    ).drop_nulls("old_updated_at")
    changed = previous.filter(
        (pl.col("unit_price") != pl.col("old_unit_price")) | (pl.col("is_active") != pl.col("old_is_active"))
    )
    assert len(changed) > 30
    assert (changed["updated_at"] > changed["old_updated_at"]).all()
    assert (changed["updated_at"].dt.date() == changed["landed"]).all()
    same = previous.filter(pl.col("updated_at") == pl.col("old_updated_at"))
    assert (same["unit_price"] == same["old_unit_price"]).all() and (same["unit_cost"] == same["old_unit_cost"]).all()
    assert (products["unit_cost"] <= products["unit_price"] * Decimal("1.4")).all()


def test_payments_add_up_to_their_orders(known: Frames, rules: Rules) -> None:
    lines = (
        known["order_items"]
        .group_by("order_id")
        .agg(goods=(pl.col("quantity") * pl.col("unit_price") - pl.col("discount_amount")).sum())
    )
    orders = known["orders"].join(lines, on="order_id")
    orders = orders.with_columns(
        total=pl.col("goods") - pl.col("discount_amount") + pl.col("shipping_amount") + pl.col("tax_amount")
    )
    paid = known["payments"].filter(pl.col("order_id").is_not_null())
    sums = paid.group_by("order_id").agg(
        charged=pl.col("amount").filter(pl.col("kind") == "charge").sum(),
        refunded=pl.col("amount").filter(pl.col("kind") == "refund").sum(),
        parts=(pl.col("kind") == "charge").sum(),
        days=pl.col("paid_at").dt.date().n_unique(),
    )
    old = orders.filter(pl.col("ordered_at").dt.date() < DAYS[-16])  # the others' payments may not have come yet
    settled = old.filter(pl.col("status") == "completed").join(sums, on="order_id", how="left")
    assert len(settled) > 1000
    rates = {name: float(country.tax_rate) for name, country in rules.countries.items()}
    taxed = orders.with_columns(
        net=(pl.col("total") - pl.col("tax_amount")).cast(pl.Float64),
        rate=pl.col("shipping_country").replace_strict(rates),
    ).select(pl.col("tax_amount").cast(pl.Float64) - pl.col("net") * pl.col("rate"))["tax_amount"]
    assert figure(taxed.min()) > -0.010001 and figure(taxed.max()) < 0.000001  # rounded down to the cent
    assert (settled["charged"] == settled["total"]).all() and settled["charged"].null_count() == 0
    assert (settled["refunded"] <= settled["charged"]).all()
    assert 0.02 < figure((settled["parts"] == 2).mean()) < 0.09
    assert 0.01 < figure((settled["refunded"] > 0).mean()) < 0.05
    assert 0.05 < figure((settled["days"] > 1).mean()) < 0.2
    cancelled = old.filter(pl.col("status") == "cancelled")
    assert len(cancelled) > 10 and cancelled.join(sums, on="order_id").is_empty()
    after = paid.join(orders, on="order_id")
    assert (after["paid_at"] >= after["ordered_at"]).all()


def test_payments_come_once_where_everything_is_put_off(rules: Rules) -> None:
    """Most orders are paid later, refunded and late at once, so that every way to a payment's day is taken."""
    often = Decimal("0.7")
    rules = replace(
        rules,
        payments=replace(rules.payments, later_share=Share(often), refund_share=Share(often)),
        delivery=replace(rules.delivery, late_share=Share(often), duplicate_share=Share(Decimal(0))),
    )
    company = Company(rules, 42, exact_scale(SCALE))
    paid, due = [], []
    first = day_number(FOUNDED)
    for day in range(first, first + 25):
        for payments in earlier_orders_paid(company, day):
            paid += payment_rows(company, payments, day)[0]["payment_id"].to_pylist()
        who = ActorDays.on(day, np.arange(company.growth.users_by(day), dtype=np.int64))
        planned = payments_of(company, orders_of(company, sessions_of(company, who)))
        for landing in range(day + 1, first + 25):
            due += payment_rows(company, planned, landing)[0]["payment_id"].to_pylist()
    assert len(paid) == len(set(paid)) > 200
    assert sorted(paid) == sorted(due)


def test_versions_of_users_and_customers_rise(known: Frames) -> None:
    for source, key, born in (("users", "user_id", "signed_up_at"), ("customers", "customer_id", "created_at")):
        rows = known[source].sort(key, "updated_at")
        assert (rows["updated_at"] >= rows[born]).all()
        assert rows.group_by(key).agg((pl.col("updated_at") == pl.col(born)).sum())["updated_at"].max() == 1
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
    assert gone.select(pl.col("email", "full_name", "phone").is_null().all()).row(0) == (True, True, True)


def test_subscriptions_run_month_after_month(known: Frames) -> None:
    rows = known["subscriptions"].sort("subscription_id", "updated_at")
    assert set(rows["status"].unique()) == {"trialing", "active", "canceled"}
    latest = rows.unique(["subscription_id", "period_start"], keep="last").sort("subscription_id", "period_start")
    following = latest.with_columns(
        before=pl.col("period_end").shift().over("subscription_id"),
        was=pl.col("status").shift().over("subscription_id"),
    ).drop_nulls("before")
    assert len(following) > 100
    assert (following["was"] != "canceled").all()  # nothing follows an end
    gaps = (following["period_start"] - following["before"]).dt.total_days()
    assert figure((gaps == 1).mean()) > 0.97  # the rest: the row between is late
    length = (latest["period_end"] - latest["period_start"]).dt.total_days() + 1
    trial = latest["trial_end"] == latest["period_end"]
    assert (length.filter(trial.fill_null(False)) == 14).all()
    assert length.filter(~trial.fill_null(False)).is_between(28, 34).all()
    for kind in (trial.fill_null(False), ~trial.fill_null(False)):  # ends of trials and of paid months
        assert (latest.filter(kind)["status"] == "canceled").any()
    plans = latest.filter(pl.col("status") == "active").group_by("subscription_id").agg(pl.col("plan_id").n_unique())
    assert plans["plan_id"].max() == 2
    amounts = rows.group_by("currency").agg(pl.col("monthly_amount").min())
    assert set(amounts["currency"]) >= {"USD", "EUR", "GBP", "JPY"} and (amounts["monthly_amount"] > 0).all()


def test_each_paid_month_is_paid_once(known: Frames) -> None:
    months = known["subscriptions"].filter(pl.col("status") == "active")
    paid = known["payments"].filter(pl.col("subscription_id").is_not_null())
    both = months.join(
        paid, left_on=["subscription_id", "period_start"], right_on=["subscription_id", pl.col("paid_at").dt.date()]
    )
    assert both.select("subscription_id", "period_start").is_duplicated().sum() == 0
    assert len(both) > 0.95 * max(len(months), len(paid))  # the rest is late on one side
    assert (both["monthly_amount"] == both["amount"]).all() and (both["currency"] == both["currency_right"]).all()
    assert paid.select((pl.col("order_id").is_null() & (pl.col("kind") == "charge")).all()).item()


def test_volume_at_scale_one(rules: Rules) -> None:
    """A day in the second month has the traffic that the documentation names."""
    tables = day_tables(rules, 42, "1.0", FOUNDED + timedelta(days=60))
    assert 9_000 < len(tables["events"]) < 17_000
    assert 0.01 < len(tables["orders"]) / len(tables["events"]) < 0.04
