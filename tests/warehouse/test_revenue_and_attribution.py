"""Late and far-reaching changes in recurring revenue, attribution and retries, step by step.

For example, a month ends, or a rate lands late. After each step the marts must have the rows given
here. A small fault in what a model follows must change them (LONG=1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, land_days, mutant
from tests.warehouse.random_company import Row, write_delivery

PROJECT = PROJECT_ROOT / "dbt"


@dataclass(frozen=True)
class Step:
    what: str
    day: date  # on which the rows land
    rows: dict[str, list[Row]]
    expected: dict[str, dict[str, Any]]  # for each query, its second column by its first
    today: str = ""  # DBT_AS_OF; empty: the last landed day


def _period(
    subscription: str, customer: str, start: str, end: str | None, amount: int, currency: str
) -> Row:
    return {
        "subscription_id": subscription,
        "customer_id": customer,
        "period_start": start,
        "period_end": end,
        "status": "active",
        "monthly_amount": amount,
        "currency": currency,
        "updated_at": start,
    }


def _rate(day: str, rate: str, currency: str = "EUR") -> Row:
    return {"rate_date": day, "currency": currency, "usd_rate": rate}


def _order(order: str, moment: str, amount: int) -> dict[str, list[Row]]:
    return {
        "orders": [
            {
                "order_id": order,
                "customer_id": "c1",
                "ordered_at": moment,
                "user_id": "",
                "status": "completed",
                "currency": "USD",
                "shipping_country": "",
                "discount_amount": "",
                "shipping_amount": "",
                "updated_at": "",
            }
        ],
        "order_items": [
            {
                "order_item_id": f"i{order}",
                "order_id": order,
                "product_id": "p1",
                "quantity": "1",
                "unit_price": str(amount),
                "discount_amount": "",
            }
        ],
    }


def _session(session: str, moment: str, medium: str | None, **who: str) -> Row:
    return {
        "session_id": session,
        "started_at": moment,
        "utm_source": medium and "x",
        "utm_medium": medium,
        **who,
    }


# month, customer, mrr, movement, fx_change
MRR = (
    "select to_char(month_start, 'Mon') || ' ' || customer_id,"
    " trim_scale(mrr) || ' ' || movement || ' ' || trim_scale(fx_change)"
    " from marts.mrr order by customer_id, month_start"
)
LAST_MONTHS = (
    "select customer_id, to_char(max(month_start), 'Mon')"
    " from core.int_mrr_amounts group by customer_id"
)
BEFORE_FEBRUARY = "select customer_id, previous_mrr from marts.mrr where month_start = '2026-02-01'"
_C1 = {
    "Jan c1": "10 new 0",
    "Feb c1": "0 churn 0",
    "Mar c1": "0 none 0",
    "Apr c1": "0 none 0",
    "May c1": "30 reactivation 0",
}
_C1_LATER = {**_C1, "Jan c1": "17 new 0"}
_C2 = {
    "Jan c2": "150 new 0",
    "Feb c2": "130 none -20",
    "Mar c2": "130 none 0",
    "Apr c2": "200 none 70",
    "May c2": "200 none 0",
}
_C2_LATER = {**_C2, "Feb c2": "140 none -10", "Mar c2": "300 none 160", "Apr c2": "200 none -100"}
_C3 = {"Jan c3": "150 new 0", "Feb c3": "0 churn -20"}
_C3_LATER = {**_C3, "Feb c3": "0 churn -10"}
_FEBRUARY_3 = {
    "Jan c1": "10 new 0",
    "Feb c1": "10 none 0",
    "Jan c2": "150 new 0",
    "Feb c2": "120 none -30",
    "Jan c3": "150 new 0",
    "Feb c3": "120 none -30",
}
_FEBRUARY_5 = {**_FEBRUARY_3, "Feb c1": "0 churn 0", "Feb c3": "0 churn -30"}
REVENUE = (
    Step(
        "subscriptions begin",
        date(2026, 1, 20),
        {
            "subscriptions": [
                _period("a", "c1", "2026-01-05", "2026-02-04", 10, "USD"),
                _period("e", "c2", "2026-01-10", None, 100, "EUR"),
                _period("f", "c3", "2026-01-10", "2026-02-04", 100, "EUR"),
            ],
            "fx_rates": [_rate("2026-01-01", "1.5")],
        },
        {MRR: {"Jan c1": "10 new 0", "Jan c2": "150 new 0", "Jan c3": "150 new 0"}},
    ),
    Step(
        "a month begins, with another rate",
        date(2026, 2, 3),
        {"fx_rates": [_rate("2026-02-03", "1.2")]},
        {MRR: _FEBRUARY_3},
    ),
    Step(
        "a day passes since the last one of a period; the next day's rate is known",
        date(2026, 2, 5),
        {"fx_rates": [_rate("2026-02-06", "1.3")]},
        {MRR: _FEBRUARY_5},
    ),
    Step(
        "amounts that have ended are converted at the rate of another day",
        date(2026, 2, 6),
        {"products": []},
        {MRR: {**_FEBRUARY_5, "Feb c2": "130 none -20", "Feb c3": "0 churn -20"}},
    ),
    Step(
        "a customer comes back after months",
        date(2026, 5, 10),
        {
            "subscriptions": [_period("a", "c1", "2026-05-01", None, 30, "USD")],
            "fx_rates": [_rate("2026-04-01", "2.0")],
        },
        {MRR: {**_C1, **_C2, **_C3}},
    ),
    Step(
        "the rates at the ends of two months land late",
        date(2026, 5, 11),
        {"fx_rates": [_rate("2026-02-28", "1.4"), _rate("2026-03-31", "3.0")]},
        {MRR: {**_C1, **_C2_LATER, **_C3_LATER}},
    ),
    Step(
        "a period of one day lands late",
        date(2026, 5, 12),
        {"subscriptions": [_period("b", "c1", "2026-01-31", "2026-01-31", 7, "USD")]},
        {
            MRR: {**_C1_LATER, **_C2_LATER, **_C3_LATER},
            BEFORE_FEBRUARY: {"c1": Decimal(17), "c2": Decimal(150), "c3": Decimal(150)},
        },
    ),
    Step(
        "today moves back",
        date(2026, 5, 13),
        {},
        {
            MRR: {**_FEBRUARY_3, "Jan c1": "17 new 0", "Feb c1": "10 contraction 0"},
            LAST_MONTHS: {"c1": "Feb", "c2": "Feb", "c3": "Feb"},
        },
        today="2026-02-03",
    ),
    Step(
        "today moves forward again",
        date(2026, 5, 13),
        {},
        {MRR: {**_C1_LATER, **_C2_LATER, **_C3_LATER}},
        today="2026-05-12",
    ),
)

# conversion and session; type, channel and linear share
TOUCHES = (
    "select conversion_id || coalesce(' ' || session_id, ''),"
    " conversion_type || ' ' || channel || ' ' || trim_scale(linear_revenue)"
    " from marts.attribution_touches order by converted_at, touch_index"
)
SPENT = (
    "select to_char(month_start, 'Mon') || ' ' || channel,"
    " trim_scale(spend) || ' ' || trim_scale(conversions)"
    " from marts.channel_performance where model = 'linear'"
)
_RECOGNISED = {
    "order:o1 exact": "first_order display 20",
    "order:o1 anonymous": "first_order newsletter 20",
    "order:o1 known": "first_order direct 20",
}
_LATER = {key: value.replace("first_order", "later_order") for key, value in _RECOGNISED.items()}
ATTRIBUTION = (
    Step(
        "an order without a visit before it, and an anonymous visit",
        date(2026, 3, 1),
        {
            **_order("o1", "2026-03-01T09:00:00Z", 60),
            "sessions": [
                _session("anonymous", "2026-02-25T09:00:00Z", "email", anonymous_id="n1"),
                _session("known", "2026-02-27T09:00:00Z", None, anonymous_id="n1", user_id="u1"),
            ],
        },
        {TOUCHES: {"order:o1": "first_order unattributed 60"}},
    ),
    Step(
        "a visit exactly 30 days before the order lands late, and one a second earlier",
        date(2026, 3, 2),
        {
            "sessions": [
                _session("exact", "2026-01-30T09:00:00Z", "display", customer_id="c1"),
                _session("earlier", "2026-01-30T08:59:59Z", "display", customer_id="c1"),
            ]
        },
        {TOUCHES: {"order:o1 exact": "first_order display 60"}},
    ),
    Step(
        "the user lands late, and identifies the anonymous visit",
        date(2026, 3, 3),
        {"users": [{"user_id": "u1", "updated_at": "2026-02-26T00:00:00Z", "customer_id": "c1"}]},
        {TOUCHES: _RECOGNISED},
    ),
    Step(
        "an earlier order lands late",
        date(2026, 3, 4),
        _order("o0", "2026-01-01T09:00:00Z", 5),
        {TOUCHES: {"order:o0": "first_order unattributed 5", **_LATER}},
    ),
    Step(
        "ad spend lands",
        date(2026, 3, 5),
        {
            "ad_spend": [
                {"spend_date": "2026-02-01", "channel": "display", "spend": 8},
                {"spend_date": "2026-03-01", "channel": "display", "spend": 9},
            ]
        },
        {
            SPENT: {
                "Jan unattributed": "0 1",
                "Feb display": "8 0",
                "Mar display": "9 0.33333333",
                "Mar newsletter": "0 0.33333334",
                "Mar direct": "0 0.33333333",
            }
        },
    ),
    Step(
        "an order turns out to be from the previous month, within the window of one more visit",
        date(2026, 3, 6),
        _order("o1", "2026-02-28T09:00:00Z", 60),
        {
            TOUCHES: {
                "order:o0": "first_order unattributed 5",
                "order:o1 earlier": "later_order display 15",
                "order:o1 exact": "later_order display 15",
                "order:o1 anonymous": "later_order newsletter 15",
                "order:o1 known": "later_order direct 15",
            },
            SPENT: {
                "Jan unattributed": "0 1",
                "Feb display": "8 0.5",
                "Feb newsletter": "0 0.25",
                "Feb direct": "0 0.25",
                "Mar display": "9 0",
            },
        },
    ),
)

# month; failed bills, and how many of them were paid later
RETRIES = (
    "select to_char(month_start, 'Mon'),"
    " coalesce(failed_orders, 0) || ' ' || coalesce(recovered_orders, 0)"
    " from marts.payment_methods where method = 'card'"
)


def _charge(payment: str, moment: str, status: str) -> Row:
    return {
        "payment_id": payment,
        "customer_id": "c1",
        "order_id": None,
        "subscription_id": "s1",
        "amount": "10.00",
        "currency": "USD",
        "kind": "charge",
        "method": "card",
        "status": status,
        "paid_at": moment,
    }


BILLS = (
    Step(
        "two bills of a subscription, the second one unpaid",
        date(2026, 3, 10),
        {
            "payments": [
                _charge("p1", "2026-01-30T09:00:00Z", "failed"),
                _charge("p2", "2026-02-20T09:00:00Z", "succeeded"),
                _charge("p3", "2026-03-05T09:00:00Z", "failed"),
            ]
        },
        {RETRIES: {"Jan": "1 1", "Feb": "0 0", "Mar": "1 0"}},
    ),
    Step(
        "the payment of the first turns out to have failed, so all attempts are for one bill",
        date(2026, 3, 11),
        {"payments": [_charge("p2", "2026-02-20T09:00:00Z", "failed")]},
        {RETRIES: {"Jan": "1 0", "Feb": "0 0", "Mar": "0 0"}},
    ),
    Step(
        "another payment of the first bill lands late",
        date(2026, 3, 12),
        {"payments": [_charge("p4", "2026-02-25T09:00:00Z", "succeeded")]},
        {RETRIES: {"Jan": "1 1", "Feb": "0 0", "Mar": "1 0"}},
    ),
    Step(
        "the second bill is paid",
        date(2026, 4, 2),
        {"payments": [_charge("p5", "2026-04-02T09:00:00Z", "succeeded")]},
        {RETRIES: {"Jan": "1 1", "Feb": "0 0", "Mar": "1 1", "Apr": "0 0"}},
    ),
    Step(
        "a payment before a failed attempt makes the attempt one of a bill between the two",
        date(2026, 4, 3),
        {"payments": [_charge("p6", "2026-02-01T09:00:00Z", "succeeded")]},
        {RETRIES: {"Jan": "1 1", "Feb": "1 1", "Mar": "1 1", "Apr": "0 0"}},
    ),
)

RATES = (
    "select currency || ' ' || to_char(valid_from, 'Mon DD'), trim_scale(rate)"
    " from core.int_exchange_rates"
)
_QUOTED = {"EUR Jan 01": 1, "GBP Jan 01": Decimal("1.2"), "USD Jan 01": Decimal("0.8")}
EUROS = (
    Step(
        "two currencies are quoted in dollars",
        date(2026, 1, 20),
        {"fx_rates": [_rate("2026-01-01", "1.25"), _rate("2026-01-01", "1.5", "GBP")]},
        {RATES: _QUOTED},
    ),
    Step(
        "the rate of the reporting currency changes",
        date(2026, 1, 21),
        {"fx_rates": [_rate("2026-01-21", "1.6")]},
        {RATES: {**_QUOTED, "GBP Jan 21": Decimal("0.9375"), "USD Jan 21": Decimal("0.625")}},
    ),
)


@dataclass(frozen=True)
class Story:
    steps: tuple[Step, ...]
    models: str  # the selection that is built after each step
    variables: str = "{}"


STORIES = {
    "revenue": Story(REVENUE, "+mrr_movements"),
    "attribution": Story(ATTRIBUTION, "+channel_performance"),
    "bills": Story(BILLS, "+payment_methods"),
    "euros": Story(EUROS, "+int_exchange_rates", "{reporting_currency: EUR}"),
}


def first_difference(
    settings: Settings,
    build: Build,
    story: str,
    monkeypatch: pytest.MonkeyPatch,
    project: Path = PROJECT,
) -> str:
    """Run the steps in order. Returns the first difference from what is expected, or ''."""
    chosen = STORIES[story]
    for step in chosen.steps:
        monkeypatch.setenv("DBT_AS_OF", step.today)
        write_delivery(settings.landing_zone, step.day, step.rows)
        if step.rows:
            land_days(settings, step.day)
        build(
            settings, "run", "--select", chosen.models, "--vars", chosen.variables, project=project
        )
        with psycopg.connect(settings.dsn("owner")) as connection:
            for query, expected in step.expected.items():
                found: dict[str, Any] = dict(connection.execute(query.encode()).fetchall())
                if found != expected:
                    return f"{step.what}: {found} and not {expected}"
    return ""


@pytest.mark.parametrize("story", STORIES)
def test_the_marts_are_right_after_each_step(
    warehouse: Settings, build: Build, monkeypatch: pytest.MonkeyPatch, story: str
) -> None:
    assert not first_difference(warehouse, build, story, monkeypatch)


# Small faults in what a model follows: the story that shows it, a file, a text, its replacement.
FAULTS = {
    "the window from a visit to a conversion is a day short": (
        "attribution",
        "models/marts/attribution/attribution_touches.sql",
        "plus_hours('changes.started_at', reach_hours)",
        "plus_hours('changes.started_at', reach_hours - 24)",
    ),
    "a recognised customer does not identify earlier visits in the browser": (
        "attribution",
        "models/core/intermediate/int_recognised_sessions.sql",
        "        changes.customer_id is not null\n",
        "        false\n",
    ),
    "an anonymous visit does not follow the identified visit nearest to it": (
        "attribution",
        "models/core/intermediate/int_recognised_sessions.sql",
        "nearer.started_at < greatest(",
        "nearer.started_at <= greatest(",
    ),
    "sessions do not follow a late version of their user": (
        "attribution",
        "models/core/fact_sessions.sql",
        "{{ affected_by_versions(\n"
        "    'dim_users', ref('stg_sessions'), 'user_id', 'started_at', ['session_id']\n) }}",
        "{{ exact.affected_by('dim_users', [\"'nobody'\"]) }}",
    ),
    "a first order stays the first when an earlier one lands": (
        "attribution",
        "models/core/intermediate/int_conversions.sql",
        "where held.conversion_type = 'first_order'",
        "where false",
    ),
    "a payment does not affect the other bills of its subscription": (
        "bills",
        "models/core/intermediate/int_failed_bills.sql",
        "where changes.order_id is null and changes.subscription_id is not null",
        "where false",
    ),
    "ad spend does not affect its month": (
        "attribution",
        "models/marts/attribution/channel_performance.sql",
        "select {{ period_of('month', 'changes.spend_date') }} from",
        "select {{ period_of('year', 'changes.spend_date') }} from",
    ),
    "a period does not count in the month in which it begins": (
        "revenue",
        "models/core/intermediate/int_mrr_amounts.sql",
        "changes.paid_from < {{ plus_periods('month', 'months.month_start', 1) }}",
        "changes.paid_from < months.month_start",
    ),
    "a customer who stops paying on the day to which today moves stays": (
        "revenue",
        "models/core/intermediate/int_mrr_amounts.sql",
        "(periods.period_end > moved.first_day and periods.period_end <= moved.last_day)",
        "(periods.period_end > moved.first_day and periods.period_end < moved.last_day)",
    ),
    "a new month affects no paying customer": (
        "revenue",
        "models/core/intermediate/int_mrr_amounts.sql",
        "select changes.month_start from {{ exact.changes('int_month_ends') }}",
        "select changes.valued_on from {{ exact.changes('int_month_ends') }}",
    ),
    "an amount does not count as the previous amount of the next month": (
        "revenue",
        "models/core/intermediate/int_mrr_balances.sql",
        "plus_periods('month', 'changes.month_start', 1)",
        "plus_periods('month', 'changes.month_start', 0)",
    ),
    "a changed rate does not affect the next month": (
        "revenue",
        "models/core/intermediate/int_mrr_values.sql",
        "{% for later in [0, 1] %}",
        "{% for later in [0] %}",
    ),
    "an amount that has ended keeps its old rate": (
        "revenue",
        "models/core/intermediate/int_mrr_values.sql",
        "and changes.currency = balances.currency",
        "and changes.currency = balances.currency and balances.amount > 0",
    ),
    "the dollar keeps its rate if it is not the reporting currency": (
        "euros",
        "models/core/intermediate/int_exchange_rates.sql",
        "select 'USD'\n",
        "select 'USD' where false\n",
    ),
    "a new month with an amount does not affect the empty months before it": (
        "revenue",
        "models/marts/revenue/mrr.sql",
        "{{ plus_periods('month', 'changed.month_paid_before', 1) }}, changed.month_start",
        "changed.month_start",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(
    warehouse: Settings,
    build: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    story, file, text, instead = FAULTS[fault]
    project = mutant(PROJECT, tmp_path, file, text, instead)
    assert first_difference(warehouse, build, story, monkeypatch, project)
