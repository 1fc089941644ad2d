"""After landings in any order, each model equals, row for row, a full refresh of the same raw data.

Small faults in what a model follows (MUTANTS) show that the histories find such faults.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import date, timedelta
from itertools import chain
from pathlib import Path

import psycopg
import pytest

from saas_analytics.landing.execution import prepare
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import (
    Build,
    BuildFailed,
    built_tables,
    differences,
    keep_copies,
    land_days,
    last_rebuilt,
    mutant,
    rows_of,
)
from tests.warehouse.random_company import FIRST_DAY, Row, delivery, write_delivery

PROJECT = PROJECT_ROOT / "dbt"
# Every night: longer histories (LONG=1), and more of them (HISTORIES=40).
LONG = "LONG" in os.environ
HISTORIES = int(os.environ.get("HISTORIES", "2" if LONG else "1"))
Delivery = tuple[date, dict[str, list[Row]]]


def random_history(seed: int) -> list[list[Delivery]]:
    """Batches of deliveries, large ones first. Days land in any order, some twice and corrected."""
    dice = random.Random(seed)
    days = [FIRST_DAY + timedelta(days=n) for n in range(24)]
    large = [
        [(day, delivery(dice, day)) for day in dice.choices(days[:10], k=dice.choice((2, 4)))]
        for _ in range(2 if LONG else 1)
    ]
    small = [
        [(day, delivery(dice, day, few=True)) for day in dice.choices(days, k=2)]
        for _ in range(6 if LONG else 2)
    ]
    return large + small


def history_of_edges() -> list[list[Delivery]]:
    """Late rows at the edge of a model's window, which random histories rarely contain."""
    first, week_later, next_day = (FIRST_DAY + timedelta(days=n) for n in (0, 7, 8))

    def event(user: str, event_type: str, moment: str) -> Row:
        names = {"user_id": user, "event_type": event_type, "event_timestamp": moment}
        return {"event_id": "|".join(names.values()), **names}

    on_first_day = [
        event("walker", "view_product", f"{first}T09:00:00Z"),
        event("planned", "view_product", f"{first}T09:00:00Z"),
        event("same_day", "export_run", f"{first}T12:00:00Z"),
        event("earlier", "export_run", f"{first}T12:00:00Z"),
    ]
    user = {"user_id": "planned", "updated_at": "2026-01-01T00:00:00Z", "customer_id": "edge"}
    subscription = {
        "subscription_id": "edge",
        "customer_id": "edge",
        "period_start": "2026-01-15",
        "monthly_amount": "12.00",
        "currency": "USD",
        "plan_id": "team",
        "status": "active",
        "updated_at": "2026-01-15T00:00:00Z",
    }
    small = {
        "customer_id": "edge",
        "updated_at": "2026-01-01T00:00:00Z",
        "name": "same",
        "segment": "small",
    }
    paid = {
        **dict.fromkeys(("order_id", "subscription_id"), ""),
        "payment_id": "edge",
        "customer_id": "edge",
    }
    paid |= {
        "amount": "5",
        "currency": "USD",
        "kind": "charge",
        "method": "card",
        "status": "succeeded",
    }
    order = dict.fromkeys(
        ("user_id", "status", "shipping_country", "discount_amount", "shipping_amount"), ""
    )
    order |= {
        "order_id": "edge",
        "customer_id": "other",
        "currency": "USD",
        "ordered_at": f"{first}T09:00:00Z",
    }
    order["updated_at"] = order["ordered_at"]
    line = {
        "order_item_id": "edge",
        "order_id": "of edge",
        "product_id": "edge",
        "quantity": "1",
        "unit_price": "5",
    }
    # Becomes paid a week later, on a day when none of its rows lands.
    foreseen = {
        **subscription,
        "subscription_id": "foreseen",
        "customer_id": "foreseen",
        "period_start": f"{first}",
    }
    foreseen |= {
        "trial_end": f"{week_later - timedelta(days=1)}",
        "updated_at": f"{first}T00:00:00Z",
    }
    facts = {
        "users": [
            user,
            {**user, "user_id": "foreseen", "customer_id": "foreseen"},
            {**user, "user_id": "login_only", "customer_id": "left"},
        ],
        "subscriptions": [foreseen],
        "customers": [small],
        "orders": [order, {**order, "order_id": "of edge", "customer_id": "edge"}],
        "order_items": [{**line, "discount_amount": ""}],
        "payments": [{**paid, "paid_at": f"{first}T09:00:00Z"}],
    }
    for_order = {
        **paid,
        "payment_id": "for the order",
        "order_id": "edge",
        "paid_at": f"{week_later}T09:00:00Z",
    }
    return [
        # The only login of a day ...
        [
            (
                first,
                {
                    **facts,
                    "events": [*on_first_day, event("login_only", "login", f"{first}T09:00:00Z")],
                },
            )
        ],
        # The window of a funnel ends at this moment. An event becomes the first use of a feature on
        # its day. An order is paid a week late. A clock is a day ahead, and the next batch lands on
        # that day.
        [
            (
                week_later,
                {
                    "events": [
                        event("walker", "add_to_cart", f"{week_later}T09:00:00Z"),
                        event("same_day", "export_run", f"{first}T08:00:00Z"),
                        event("ahead", "login", f"{next_day}T09:00:00Z"),
                    ],
                    "payments": [for_order],
                },
            )
        ],
        # ... is withdrawn, and its user had moved to another customer before.
        [
            (first, {"events": on_first_day}),
            (
                week_later,
                {
                    "users": [
                        {**user, "user_id": "login_only", "updated_at": "2026-01-02T00:00:00Z"}
                    ]
                },
            ),
        ],
        # A user turns out to have used a feature a day earlier, and a new user two weeks ago.
        [
            (
                next_day,
                {
                    "events": [
                        event("earlier", "export_run", f"{first - timedelta(days=1)}T12:00:00Z"),
                        event("unheard_of", "export_run", f"{first - timedelta(days=8)}T12:00:00Z"),
                    ]
                },
            )
        ],
        # The plan of the user at the start of the funnel; the version of the customer that paid;
        # and a day in between, on which a user came back.
        [
            (
                next_day,
                {
                    "subscriptions": [subscription],
                    "customers": [
                        {**small, "updated_at": f"{first}T08:00:00Z", "segment": "large"}
                    ],
                },
            ),
            (
                next_day + timedelta(days=1),
                {"events": [event("walker", "login", f"{first + timedelta(days=3)}T12:00:00Z")]},
            ),
        ],
    ]


def differences_after(
    settings: Settings,
    build: Build,
    history: list[list[Delivery]],
    project: Path = PROJECT,
    options: tuple[str, ...] = (),
) -> dict[str, list[str]]:
    """Land and build batch by batch. Returns the differences from a full refresh of the same data.

    `options` go to dbt, to select models or set variables.
    """
    for batch in history:
        for day, rows in batch:
            write_delivery(settings.landing_zone, day, rows)
            land_days(settings, day)
        build(settings, "run", *options, project=project)
    tables = keep_copies(settings)
    build(settings, "run", "--full-refresh", *options, project=project)
    return differences(settings, tables)


# A company whose days begin half a day before those of landing, and whose amounts all depend on the
# rate of the euro. The history is one of the few with a late rate.
ELSEWHERE = "{reporting_timezone: Pacific/Kiritimati, reporting_currency: EUR}"


@pytest.mark.parametrize(
    ("seed", "variables"),
    [
        *(pytest.param(seed, "{}", id=str(seed)) for seed in range(HISTORIES)),
        pytest.param(18, ELSEWHERE, id="elsewhere", marks=pytest.mark.long),
    ],
)
def test_incremental_builds_equal_a_full_refresh(
    warehouse: Settings, build: Build, seed: int, variables: str
) -> None:
    options = ("--vars", variables)
    found = differences_after(warehouse, build, random_history(seed), options=options)
    # No data test fails because of bad input.
    build(warehouse, "test", "--exclude-resource-type", "unit_test", *options)
    assert not found, (
        f"history {seed}: different from a full refresh of the same raw data:\n"
        + "\n".join(f"{table}\n  " + "\n  ".join(lines) for table, lines in found.items())
    )


def test_late_rows_at_the_edge_of_a_window_are_built(warehouse: Settings, build: Build) -> None:
    assert not differences_after(warehouse, build, history_of_edges())


# Small faults in what a model follows: a file, a text in it, and its replacement.
NO_MONTH_OF_A_PRODUCT = (
    "{{ exact.affected_by('int_product_sales', [\"cast('2000-01-01' as date)\", \"'nobody'\"]) }}"
)
MUTANTS = {
    "a day of activity affects one day too few": (
        "models/marts/growth/active_users.sql",
        "plus_days('changes.event_date', 29)",
        "plus_days('changes.event_date', 28)",
    ),
    "a day of activity does not affect the next period": (
        "models/core/intermediate/int_user_periods.sql",
        "{% for later in [0, 1] %}",
        "{% for later in [0] %}",
    ),
    "any row of a key may count as its last": (
        "packages/exact/macros/landed.sql",
        "_landed_on desc, _file desc, _line desc, _load_id desc",
        "_load_id desc",
    ),
    "facts do not follow a late version of their dimension": (
        "macros/shared_rules.sql",
        'valid_at("changes", "facts." ~ moment)',
        'valid_at("changes", "facts." ~ moment) ~ " and false"',
    ),
    "orders do not follow a late version of their user": (
        "models/core/fact_orders.sql",
        "{{ affected_by_versions('dim_users', ref('stg_orders'),"
        " 'user_id', 'ordered_at', ['order_id']) }}",
        "{{ exact.affected_by('dim_users', [\"'nobody'\"]) }}",
    ),
    "orders do not follow a late version of their customer": (
        "models/core/fact_orders.sql",
        "{{ affected_by_versions(\n"
        "    'dim_customers', ref('stg_orders'), 'customer_id', 'ordered_at', ['order_id']\n) }}",
        "{{ exact.affected_by('dim_customers', [\"'nobody'\"]) }}",
    ),
    "payments do not follow a late version of their customer": (
        "models/core/fact_payments.sql",
        "{{ affected_by_versions(\n"
        "    'dim_customers', ref('stg_payments'), 'customer_id', 'paid_at', ['payment_id']\n) }}",
        "{{ exact.affected_by('dim_customers', [\"'nobody'\"]) }}",
    ),
    "order lines do not follow a late version of their customer": (
        "models/core/fact_order_items.sql",
        "{{ affected_by_versions(\n"
        "    'dim_customers', ref('stg_orders'), 'customer_id', 'ordered_at', ['order_id']\n) }}",
        "{{ exact.affected_by('dim_customers', [\"'nobody'\"]) }}",
    ),
    "order lines do not follow a late version of their product": (
        "models/core/fact_order_items.sql",
        "changes.product_id = items.product_id",
        "false",
    ),
    "a period's activity does not affect the cohorts of its returning users": (
        "models/core/intermediate/int_retention_counts.sql",
        "['cohort_start', 'return_start']",
        "['cohort_start']",
    ),
    "a period's activity does not affect its own cohort": (
        "models/core/intermediate/int_retention_counts.sql",
        "['cohort_start', 'return_start']",
        "['return_start']",
    ),
    "the last period in which a cohort returns is not counted": (
        "models/core/intermediate/int_retention_counts.sql",
        "other.period_start <= one.last_return",
        "other.period_start < one.last_return",
    ),
    "a new period is counted only for the last cohort before it": (
        "models/core/intermediate/int_retention_counts.sql",
        "min(cells.cohort_start)",
        "max(cells.cohort_start)",
    ),
    "a cell is counted from both of its periods": (
        "models/core/intermediate/int_retention_counts.sql",
        "other.last_return is null\n                    and ",
        "",
    ),
    "a changed size of a cohort does not affect its other cells": (
        "models/marts/growth/retention_cohorts.sql",
        "where changes.period_index = 0",
        "where false",
    ),
    "first uses count only for the adopters of their own week": (
        "models/marts/growth/feature_engagement.sql",
        "weeks.period_start >= changes.week_start",
        "weeks.period_start = changes.week_start",
    ),
    "an earlier use of a feature does not become the first": (
        "models/core/intermediate/int_feature_adoption.sql",
        "or (days.{{ feature }} > 0 and changes.event_date < held.first_date)",
        "",
    ),
    "a type stays on a day after its last event is withdrawn": (
        "models/core/intermediate/int_event_type_days.sql",
        "remaining.is_there is null",
        "false",
    ),
    "the first event of a feature changes on the day of its adoption": (
        "models/core/intermediate/int_activations.sql",
        "earlier.first_date < uses.first_date",
        "earlier.first_date <= uses.first_date",
    ),
    "a step affects only the entries of the last day": (
        "models/core/intermediate/int_funnel_entries.sql",
        "max(longest.window_days) + 1",
        "max(1)",
    ),
    "the last changed day is not read": (
        "packages/exact/macros/markers.sql",
        "{{ day }} <= (select max({{ last }})",
        "{{ day }} < (select max({{ last }})",
    ),
    "the first changed day is not read": (
        "packages/exact/macros/markers.sql",
        "{{ day }} >= (select min({{ first }})",
        "{{ day }} > (select min({{ first }})",
    ),
    "a model that does not follow everything it reads is skipped": (
        "packages/exact/macros/exact.sql",
        "upstreams | length > 0 and exact.are_followed(model.depends_on.nodes, upstreams)",
        "true",
    ),
    "a new key is not a change": (
        "packages/exact/macros/build.sql",
        "as incoming where not {{ is_known }}",
        "as incoming where false",
    ),
    "a subscription does not affect the milestones of its users": (
        "models/core/intermediate/int_account_milestones.sql",
        "changes.customer_id = users.customer_id",
        "changes.customer_id = users.user_id",
    ),
    "a future milestone does not appear on its day": (
        "models/core/intermediate/int_account_milestones.sql",
        "on changes.date_day = periods.",
        "on false and changes.date_day = periods.",
    ),
    "a future payment does not appear on its day": (
        "models/core/intermediate/int_first_subscriptions.sql",
        "changes.date_day = periods.paid_from",
        "false",
    ),
    "the period before the first affected one is not read": (
        "models/core/intermediate/int_user_periods.sql",
        "earlier=1",
        "earlier=0",
    ),
    "a user's account does not affect its milestones": (
        "models/core/intermediate/int_account_milestones.sql",
        "{{ exact.affected_by('dim_users', ['user_id']) }}",
        "{{ exact.affected_by('dim_users', [\"'nobody'\"]) }}",
    ),
    "a subscription does not affect the plan of its customer": (
        "models/core/intermediate/int_customer_plans.sql",
        "{{ exact.affected_by('fact_subscription_periods', ['customer_id']) }}",
        "{{ exact.affected_by('fact_subscription_periods', [\"'nobody'\"]) }}",
    ),
    "a customer's plan does not affect the plans of its users": (
        "models/core/intermediate/int_user_plans.sql",
        "changes.customer_id = users.customer_id",
        "changes.customer_id = users.user_id",
    ),
    "the window of a funnel is a day short": (
        "models/core/intermediate/int_funnel_entries.sql",
        "'-86400 * steps.window_days'",
        "'-86400 * (steps.window_days - 1)'",
    ),
    "a changed plan does not affect the entries of its time": (
        "models/core/intermediate/int_funnel_entries.sql",
        "'int_user_plans', this, 'user_id'",
        "'int_user_plans', this, 'funnel_id'",
    ),
    "a user's day does not affect its customer": (
        "models/core/intermediate/int_customer_days.sql",
        "valid_at('members', 'changes.event_date')",
        "valid_at('members', 'changes.event_date') ~ ' and false'",
    ),
    "the days of a user who changes customers stay with the old one": (
        "models/core/intermediate/int_customer_days.sql",
        "valid_at('members', 'days.event_date') }}\n    union",
        "valid_at('members', 'days.event_date') }} and false\n    union",
    ),
    "a day that is withdrawn while its user changes customers stays with the old one": (
        "models/core/intermediate/int_customer_days.sql",
        "valid_at('members', 'days.event_date') }}\n{% endcall %}",
        "valid_at('members', 'days.event_date') }} and false\n{% endcall %}",
    ),
    "an order does not affect its payments without a customer": (
        "models/core/intermediate/int_customer_payments.sql",
        "changes.order_id = payments.order_id",
        "changes.order_id = payments.payment_id",
    ),
    "a refund does not affect the customer of its order": (
        "models/core/intermediate/int_customer_orders.sql",
        "changes.order_id = orders.order_id",
        "changes.order_id = orders.customer_id",
    ),
    "an order does not affect its customer": (
        "models/core/intermediate/int_customer_orders.sql",
        "{{ exact.affected_by('fact_orders', ['customer_id']) }}",
        "{{ exact.affected_by('fact_orders', ['order_id']) }}",
    ),
    "scores do not change when today moves": (
        "models/core/intermediate/int_customer_scores.sql",
        "{{ today_has_moved() }}",
        "false",
    ),
    "the health of customers does not change when today moves": (
        "models/core/intermediate/int_customer_health.sql",
        "{{ today_has_moved() }}",
        "false",
    ),
    "an order does not affect the scores of other customers": (
        "models/core/intermediate/int_customer_scores.sql",
        "exists (select 1 from {{ exact.changes('int_customer_orders') }})",
        "everybody.customer_id in"
        " (select customer_id from {{ exact.changes('int_customer_orders') }})",
    ),
    "a failed payment does not affect the customer's health": (
        "models/core/intermediate/int_customer_health.sql",
        "exists (select 1 from {{ exact.changes('int_customer_payments') }})",
        "exists (select 1 from {{ exact.changes('int_customer_payments') }} where false)",
    ),
    "the activity of customers does not affect their health": (
        "models/core/intermediate/int_customer_health.sql",
        "exists (select 1 from {{ exact.changes('int_customer_days') }})",
        "exists (select 1 from {{ exact.changes('int_customer_days') }} where false)",
    ),
    "a new customer has no health": (
        "models/core/intermediate/int_customer_health.sql",
        "exists (select 1 from {{ exact.changes('dim_customers') }})",
        "exists (select 1 from {{ exact.changes('dim_customers') }} where false)",
    ),
    "a customer's new name does not affect its summary": (
        "models/marts/customers/customer_summary.sql",
        "{{ exact.affected_by('dim_customers', ['customer_id']) }}",
        "{{ exact.affected_by('dim_customers', [\"'nobody'\"]) }}",
    ),
    "a sale does not affect the month of its product": (
        "models/core/intermediate/int_product_sales.sql",
        "period_of('month', 'changes.order_date')",
        "plus_days('changes.order_date', 1)",
    ),
    "a new category does not affect the months of its product": (
        "models/marts/customers/product_performance.sql",
        "coalesce(held.category, '') <> coalesce(products.category, '')",
        "false",
    ),
    "a day's orders do not affect the pairs of their month": (
        "models/core/intermediate/int_product_pair_months.sql",
        "period_of('month', 'changes.order_date')",
        "plus_days('changes.order_date', 1)",
    ),
    "a pair's month does not affect the pair": (
        "models/core/intermediate/int_product_pairs.sql",
        "{{ exact.affected_by('int_product_pair_months', ['product_id', 'other_product_id']) }}",
        "{{ exact.affected_by('int_product_pair_months', ['other_product_id', 'product_id']) }}",
    ),
    "an order without a listed pair does not affect the others": (
        "models/marts/customers/product_affinity.sql",
        "exists (select 1 from {{ exact.changes('int_basket_months') }})",
        "exists (select 1 from {{ exact.changes('int_basket_months') }} where false)",
    ),
    "rows of a superseded load stay": (
        "packages/exact/macros/landed.sql",
        "delete from {{ target }} where _load_id in ({{ gone }});",
        "",
    ),
    "a shipment does not follow its order": (
        "models/core/fact_shipments.sql",
        "on changes.order_id = shipments.order_id\n",
        "on changes.order_id = shipments.order_id and false\n",
    ),
    "a shipment counts as late one day too late": (
        "models/core/fact_shipments.sql",
        "held.{{ since }} <= today.as_of",
        "held.{{ since }} < today.as_of",
    ),
    "a return does not follow its order line": (
        "models/core/fact_returns.sql",
        "changes.order_item_id = returns.order_item_id",
        "changes.order_item_id = returns.order_item_id and false",
    ),
    "a return does not follow the rate of its day": (
        "models/core/fact_returns.sql",
        "{{ affected_by_rates(this, 'returned_date', ['return_id']) }}",
        "{{ exact.affected_by('int_exchange_rates', [\"'nobody'\"]) }}",
    ),
    "a stock level does not follow a version that begins on its day": (
        "models/core/fact_inventory_daily.sql",
        "inventory.stock_date >= {{",
        "inventory.stock_date > {{",
    ),
    "a stock level does not follow the rate of its day": (
        "models/core/fact_inventory_daily.sql",
        "currency='cost_currency'",
        "currency='product_id'",
    ),
    "deliveries do not follow shipments": (
        "models/core/intermediate/int_order_deliveries.sql",
        "where changes.order_id is not null",
        "where false",
    ),
    "deliveries do not follow orders": (
        "models/core/intermediate/int_order_deliveries.sql",
        "{{ exact.affected_by('fact_orders', ['order_id']) }}",
        "{{ exact.affected_by('fact_orders', [\"'nobody'\"]) }}",
    ),
    "fulfilment does not follow deliveries": (
        "models/marts/operations/order_fulfilment.sql",
        "from {{ exact.changes('int_order_deliveries') }}",
        "from {{ exact.changes('int_order_deliveries') }} where false",
    ),
    "a payment does not affect the settlement of its order": (
        "models/core/intermediate/int_order_settlements.sql",
        "where changes.order_id is not null",
        "where false",
    ),
    "a payment does not affect the bill of its order": (
        "models/core/intermediate/int_failed_bills.sql",
        "where changes.order_id is not null",
        "where false",
    ),
    "a bill does not affect its month": (
        "models/core/intermediate/int_payment_retries.sql",
        "from {{ exact.changes('int_failed_bills') }}",
        "from {{ exact.changes('int_failed_bills') }} where false",
    ),
    "a refund does not follow the country of its order": (
        "models/marts/operations/geography_sales.sql",
        "where payments.refunded_goods_amount is not null\n{% endcall",
        "where false\n{% endcall",
    ),
    "a refund does not affect its month": (
        "models/marts/operations/geography_sales.sql",
        "from {{ exact.changes('fact_payments') }}",
        "from {{ exact.changes('fact_payments') }} where false",
    ),
    "the return rate does not follow sales": (
        "models/marts/operations/product_returns.sql",
        "{{ exact.affected_by('int_product_sales', ['month_start', 'product_id']) }}",
        NO_MONTH_OF_A_PRODUCT,
    ),
    "the first day of activity stays after it is withdrawn": (
        "models/core/intermediate/int_first_activity.sql",
        "changes.event_date <= held.first_date",
        "changes.event_date < held.first_date",
    ),
    "the return rate does not follow returns": (
        "models/marts/operations/product_returns.sql",
        "from {{ exact.changes('fact_returns') }}",
        "from {{ exact.changes('fact_returns') }} where false",
    ),
    "a stock level does not affect the next month": (
        "models/marts/operations/inventory_turnover.sql",
        "plus_periods('month', 'changes.month_start', 1)",
        "plus_periods('month', 'changes.month_start', 0)",
    ),
    "a stock level does not affect its month": (
        "models/core/intermediate/int_stock_months.sql",
        "from {{ exact.changes('fact_inventory_daily') }}",
        "from {{ exact.changes('fact_inventory_daily') }} where false",
    ),
    "the performance of a product does not follow its sales": (
        "models/marts/customers/product_performance.sql",
        "{{ exact.affected_by('int_product_sales', ['month_start', 'product_id']) }}",
        NO_MONTH_OF_A_PRODUCT,
    ),
    "turnover does not follow sales": (
        "models/marts/operations/inventory_turnover.sql",
        "{{ exact.affected_by('int_product_sales', ['month_start', 'product_id']) }}",
        NO_MONTH_OF_A_PRODUCT,
    ),
    "reconciliation does not follow payments": (
        "models/marts/revenue/payment_reconciliation.sql",
        "where changes.order_id is not null",
        "where false",
    ),
    "a payment in another currency does not follow the rate of its order": (
        "models/marts/revenue/payment_reconciliation.sql",
        "on payments.currency <> changes.currency",
        "on false and payments.currency <> changes.currency",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("fault", MUTANTS)
def test_a_fault_is_found(
    another_start: Callable[[], Settings], build: Build, tmp_path: Path, fault: str
) -> None:
    file, text, instead = MUTANTS[fault]
    project = mutant(PROJECT, tmp_path, file, text, instead)
    # A fault in a model shows in its own rows, so its ancestors suffice. One in a macro may show in
    # any model.
    selected = ("--select", f"+{Path(file).stem}") if file.startswith("models/") else ()

    histories = chain([history_of_edges()], map(random_history, range(6)))
    found = any(
        shows_a_fault(another_start(), build, history, project, selected) for history in histories
    )
    assert found, f"no history shows that {fault}"


def shows_a_fault(
    settings: Settings,
    build: Build,
    history: list[list[Delivery]],
    project: Path,
    selected: tuple[str, ...],
) -> bool:
    """Whether the models differ from a full refresh, or failed only because of refused rows."""
    try:
        return bool(differences_after(settings, build, history, project, selected))
    except BuildFailed as failure:
        if failure.is_caused_by_refused_rows:
            return True
        raise  # a mutant that does not run shows nothing about the tests


def test_a_mutant_that_does_not_run_does_not_count_as_a_found_fault(
    another_start: Callable[[], Settings], build: Build, tmp_path: Path
) -> None:
    history = [[(FIRST_DAY, delivery(random.Random(1), FIRST_DAY))]]
    model, select = "models/core/dim_date.sql", ("--select", "+dim_date")

    def shows(number: int, text: str, instead: str) -> bool:
        project = mutant(PROJECT, tmp_path / str(number), model, text, instead)
        return shows_a_fault(another_start(), build, history, project, select)

    assert shows(0, "from days\n", "from days cross join (values (1), (2)) as twice (number)\n")
    with pytest.raises(BuildFailed, match="syntax error"):
        shows(1, "from days\n", "from from days\n")
    with pytest.raises(BuildFailed, match="nobody"):
        shows(2, "ref('landed_span')", "ref('nobody')")


def test_a_model_that_is_skipped_although_its_upstreams_have_changed_is_found(
    another_start: Callable[[], Settings], build: Build, tmp_path: Path
) -> None:
    days = [FIRST_DAY + timedelta(days=n) for n in range(2)]
    history = [[(day, delivery(random.Random(1), day))] for day in days]
    file = "packages/exact/macros/exact.sql"
    faults = {
        'if state["last_seq"].get(upstream) == seq': "",
        "exact.follows_all(upstreams) and": "upstreams | length == 0 or",
    }
    for number, (text, instead) in enumerate(faults.items()):
        project = mutant(PROJECT, tmp_path / str(number), file, text, instead)
        selected = ("--select", "+fact_orders") if number == 0 else ("--select", "+dim_date")
        assert shows_a_fault(another_start(), build, history, project, selected), text


def test_a_version_that_begins_or_ends_a_moment_too_late_is_found(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    """By the unit tests of the models: a full refresh would have the same fault."""
    examples = {
        "fact_events": "fact_events_carry_the_version_of_their_moment",
        "fact_order_items": "fact_order_items_take_the_version_valid_at_the_order",
    }
    prepare(warehouse)
    build(warehouse, "run", "--select", *(f"+{fact}" for fact in examples))
    build(warehouse, "test", "--select", *examples.values())
    # A model may use the macro valid_at in more places than its join: the fault is in all of them.
    bounds = {
        ">= {{ dimension }}.valid_from": "> {{ dimension }}.valid_from",
        "< {{ dimension }}.valid_to": "<= {{ dimension }}.valid_to",
    }
    for number, (text, instead) in enumerate(list(bounds.items())[: None if LONG else 1]):
        faulty = mutant(PROJECT, tmp_path / str(number), "macros/portable/keys.sql", text, instead)
        with pytest.raises(BuildFailed) as found:
            build(warehouse, "test", "--select", *examples.values(), project=faulty)
        for example in examples.values():
            assert f"\n{example}: " in str(found.value)


def test_models_are_exact_after_today_moves(
    warehouse: Settings, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(11)
    days = [FIRST_DAY + timedelta(days=n) for n in range(4)]
    deliveries = [(day, delivery(dice, day)) for day in days]
    # A user who is first seen after the day to which today moves, in the same week.
    newcomer = {"event_id": "first", "user_id": "newcomer", "event_type": "export_run"}
    deliveries[3][1].setdefault("events", []).append(
        {**newcomer, "event_timestamp": f"{days[3]}T09:00:00Z"}
    )
    for day, rows in deliveries:
        write_delivery(warehouse.landing_zone, day, rows)
    land_days(warehouse, *days)
    build(warehouse, "run")
    # Counted from the days of the users: the current week or month ends today.
    counts = (
        "select grain, period_start, active_users, ("
        " select count(distinct user_id) from core.int_user_days"
        " where date_trunc(grain, event_date) = period_start and event_date <= %s"
        ") from marts.growth_accounting order by 1, 2"
    )
    moves = (
        (days[1], days[3] + timedelta(days=40), days[2])
        if LONG
        else (days[3] + timedelta(days=40), days[1])
    )
    for today in moves:
        monkeypatch.setenv("DBT_AS_OF", today.isoformat())
        rebuilt = last_rebuilt(warehouse)
        build(warehouse, "run")
        assert last_rebuilt(warehouse) == rebuilt
        assert rows_of(warehouse, "core.dim_date", frozenset())[-1].startswith(f"({today}")
        with psycopg.connect(warehouse.dsn("owner")) as connection:
            found = connection.execute(counts, [today]).fetchall()
        assert found and [row for row in found if row[2] != row[3]] == []
        if LONG or today == moves[-1]:
            build(warehouse, "test", "--exclude-resource-type", "unit_test")
            tables = keep_copies(warehouse)
            build(warehouse, "run", "--full-refresh")
            assert not differences(warehouse, tables)


def test_the_order_of_landing_does_not_matter(
    another_start: Callable[[], Settings], build: Build
) -> None:
    dice = random.Random(2026)
    days = [FIRST_DAY + timedelta(days=n) for n in range(8)]
    deliveries = [(day, delivery(dice, day)) for day in days]
    found = []
    shuffled = dice.sample(deliveries, len(deliveries))
    for order in (deliveries, shuffled):
        settings = another_start()
        for position, (day, rows) in enumerate(order):
            write_delivery(settings.landing_zone, day, rows)
            land_days(settings, day)
            if position == 7 or (position == 2 and (LONG or order is shuffled)):
                build(settings, "run")
        # Loads are numbered in their order. Everything else must be equal.
        found.append(
            {
                table: rows_of(settings, table, frozenset({"_load_id"}))
                for table in built_tables(settings)
            }
        )
    one, other = found
    assert one.keys() == other.keys()
    assert [table for table in one if one[table] != other[table]] == []


def test_landing_the_same_files_again_changes_nothing(warehouse: Settings, build: Build) -> None:
    dice = random.Random(7)
    days = [FIRST_DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        write_delivery(warehouse.landing_zone, day, delivery(dice, day))
    land_days(warehouse, *days)
    some = () if LONG else ("--select", "path:models/staging", "+fact_events", "+sales_summary")
    build(warehouse, "run", *some)
    tables = keep_copies(warehouse)
    land_days(warehouse, *reversed(days))
    build(warehouse, "run", *some)
    assert not differences(warehouse, tables)


def test_a_changed_seed_changes_the_models_that_read_it(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    marts = {"marts.customer_summary", "marts.funnel_conversion"}
    dice = random.Random(3)
    for day in (FIRST_DAY + timedelta(days=n) for n in range(4)):
        write_delivery(warehouse.landing_zone, day, delivery(dice, day))
        land_days(warehouse, day)
    build(warehouse, "run", "--select", "+funnel_conversion", "+customer_summary")
    tables = keep_copies(warehouse)
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        query = (
            "select rfm_segment from marts.customer_summary"
            " where rfm_segment is not null order by 1 limit 1"
        )
        (segment,) = connection.execute(query).fetchone() or (None,)
    other_funnel = mutant(
        PROJECT, tmp_path / "funnel", "seeds/funnels.csv", "signup_to_paid,", "signup_and_paid,"
    )
    changed = mutant(
        other_funnel, tmp_path / "both", "seeds/rfm_segments.csv", f",{segment},", ",renamed,"
    )
    build(warehouse, "run", "--select", "funnels+", "rfm_segments+", project=changed)
    assert differences(warehouse, tables).keys() >= marts
    tables = keep_copies(warehouse)
    build(
        warehouse, "run", "--full-refresh", "--select", "funnels+", "rfm_segments+", project=changed
    )
    assert not differences(warehouse, tables)


def test_the_next_build_shows_each_edit_of_a_list(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    """The lists are seeds that a team edits."""
    moment = f"{FIRST_DAY}T09:00:00Z"
    order = dict.fromkeys(("user_id", "discount_amount", "shipping_amount", "updated_at"), "")
    order |= {"customer_id": "c", "ordered_at": moment, "currency": "USD", "status": "placed"}
    line = {"product_id": "p", "quantity": "1", "unit_price": "5", "discount_amount": ""}
    paid = dict.fromkeys(("order_id", "subscription_id", "method"), "")
    paid |= {"customer_id": "c", "amount": "5", "kind": "charge", "status": "succeeded"}
    subscription = {"subscription_id": "s", "customer_id": "c", "period_start": moment}
    subscription |= {"status": "trialing", "monthly_amount": "5", "currency": "USD"}
    rows: dict[str, list[Row]] = {
        "orders": [
            {**order, "order_id": "german", "shipping_country": "DE"},
            {**order, "order_id": "elsewhere", "shipping_country": "Atlantis"},
            {**order, "order_id": "done", "shipping_country": "", "status": "completed"},
        ],
        "order_items": [
            {**line, "order_item_id": order_id, "order_id": order_id}
            for order_id in ("german", "elsewhere", "done")
        ],
        "payments": [{**paid, "payment_id": "y", "currency": "GBP", "paid_at": moment}],
        "sessions": [{"session_id": "v", "utm_source": "google", "started_at": moment}],
        "subscriptions": [{**subscription, "updated_at": moment}],
    }
    write_delivery(warehouse.landing_zone, FIRST_DAY, rows)
    land_days(warehouse, FIRST_DAY)
    edits = {
        ("countries", "DE,Germany,", "DE,Allemagne,"): (
            "select country_name = 'Allemagne' from marts.geography_sales where country = 'DE'"
        ),
        ("country_aliases", "alias,code\n", "alias,code\natlantis,IS\n"): (
            "select coalesce(shipping_country = 'IS', false)"
            " from core.fact_orders where order_id = 'elsewhere'"
        ),
        ("currencies", "GBP,British Pound\n", ""): (
            "select _row_status = 'rejected' from staging.base_payments"
        ),
        # The team's own rule comes before those of the project.
        ("channel_rules", "1000,", "1,ours,google,,,false\n1000,"): (
            "select channel = 'ours' from core.fact_sessions"
        ),
        ("order_statuses", "completed,false", "completed,true"): (
            "select not is_sale from core.fact_orders where order_id = 'done'"
        ),
        ("subscription_statuses", "trialing,false,", "trialing,true,"): (
            "select paid_from is not null from core.fact_subscription_periods"
        ),
    }

    def shown() -> dict[str, bool | None]:
        """Whether the edit of each seed shows."""
        with psycopg.connect(warehouse.dsn("owner")) as connection:
            found = {
                edit[0]: connection.execute(sql.encode()).fetchone() for edit, sql in edits.items()
            }
        return {seed: row[0] if row else None for seed, row in found.items()}

    models = ("geography_sales", "fact_sessions", "fact_subscription_periods", "stg_payments")
    run = ("run", "--select", *(f"+{model}" for model in models))
    build(warehouse, *run)
    assert shown() == dict.fromkeys((edit[0] for edit in edits), False)
    project = PROJECT
    for seed, text, instead in edits:
        project = mutant(project, tmp_path / seed, f"seeds/{seed}.csv", text, instead)
    build(warehouse, *run, project=project)
    assert shown() == dict.fromkeys((edit[0] for edit in edits), True)
    tables = keep_copies(warehouse)
    build(warehouse, *run, "--full-refresh", project=project)
    assert not differences(warehouse, tables)


def test_changed_indexes_and_descriptions_reach_an_existing_table(
    warehouse: Settings, build: Build, tmp_path: Path
) -> None:
    """Of a table that follows others, one with partitions, and one that reads loads."""
    dice = random.Random(4)
    months = [FIRST_DAY, FIRST_DAY + timedelta(days=31)]
    for day in months:
        write_delivery(warehouse.landing_zone, day, delivery(dice, day))
    land_days(warehouse, *months)
    models = ("dim_date", "fact_events", "base_events")
    run = ("run", "--select", *(f"+{model}" for model in models))
    build(warehouse, *run)
    indexes_before, texts_before = indexes(warehouse, models), descriptions(warehouse, models)
    project = PROJECT
    for file, text, instead in (
        (
            "models/core/dim_date.sql",
            "['date_day'], 'unique': true}",
            "['date_day'], 'unique': true}, {'columns': ['week_start']}",
        ),
        (
            "models/core/fact_events.sql",
            "{'columns': ['user_id', 'event_date']}",
            "{'columns': ['event_date', 'user_id']}",
        ),
        ("models/staging/base/base_events.sql", "{'columns': ['_load_id', '_row_status']},", ""),
        ("models/core/dim_date.yml", "The calendar:", "The days:"),
        (
            "models/core/fact_events.yml",
            "What users did in the product:",
            "What was done in the product:",
        ),
        (
            "models/staging/base/base_events.yml",
            "description: The user who did it.",
            "description: Who did it.",
        ),
    ):
        project = mutant(project, tmp_path / Path(file).name, file, text, instead)
    rebuilt = last_rebuilt(warehouse)
    build(warehouse, *run, project=project)
    assert last_rebuilt(warehouse) == rebuilt
    indexes_after, texts_after = indexes(warehouse, models), descriptions(warehouse, models)
    build(warehouse, *run, "--full-refresh", project=project)
    assert [
        model
        for model in models
        if indexes_before[model] == indexes_after[model]
        or texts_before[model] == texts_after[model]
    ] == []
    assert indexes_after == indexes(warehouse, models)
    assert texts_after == descriptions(warehouse, models)


def indexes(settings: Settings, models: tuple[str, ...]) -> dict[str, list[str]]:
    """The indexes of each table, without their names: dbt's contain a time."""
    query = (
        "select regexp_replace(indexdef, 'INDEX \\S+ ON', 'ON')"
        " from pg_indexes where tablename = %s order by 1"
    )
    with psycopg.connect(settings.dsn("owner")) as connection:
        return {model: [row[0] for row in connection.execute(query, [model])] for model in models}


def descriptions(settings: Settings, models: tuple[str, ...]) -> dict[str, list[str]]:
    """The comments of the database on each table and its columns."""
    query = """
        select coalesce(attname, ''), description
        from pg_class
        inner join pg_description on pg_class.oid = objoid and classoid = 'pg_class'::regclass
        left join pg_attribute on objoid = attrelid and objsubid = attnum
        where
            relname = %s
            and relnamespace = any (array['staging', 'core', 'marts']::regnamespace[])
        order by 1
    """
    with psycopg.connect(settings.dsn("owner")) as connection:
        return {
            model: [": ".join(row) for row in connection.execute(query, [model])]
            for model in models
        }
