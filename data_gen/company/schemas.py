"""The columns of each source with their types, and the format of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from data_gen.company.columns import INSTANT, MONEY, RATE

Format = Literal["jsonl", "csv", "json", "parquet"]


@dataclass(frozen=True)
class Source:
    name: str
    format: Format
    schema: pa.Schema
    key: tuple[str, ...]
    required: tuple[str, ...]
    json: tuple[str, ...] = ()  # columns whose text is JSON itself
    version: str = "1.0.0"  # of its contract


def _source(name: str, form: Format, key: str, required: int, /, **columns: pa.DataType) -> Source:
    """A source whose first columns are required."""
    names = tuple(columns)
    documents = tuple(column for column in columns if column == "properties")
    return Source(
        name,
        form,
        pa.schema(list(columns.items())),
        tuple(key.split()),
        names[:required],
        documents,
    )


_TEXT, _DAY, _FLAG, _WHOLE = pa.string(), pa.date32(), pa.bool_(), pa.int32()

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        _source(
            "events",
            "jsonl",
            "event_id",
            4,
            event_id=_TEXT,
            user_id=_TEXT,
            event_type=_TEXT,
            event_timestamp=INSTANT,
            received_at=INSTANT,
            session_id=_TEXT,
            device=_TEXT,
            platform=_TEXT,
            app_version=_TEXT,
            country=_TEXT,
            properties=_TEXT,
        ),
        _source(
            "users",
            "csv",
            "user_id updated_at",
            2,
            user_id=_TEXT,
            updated_at=INSTANT,
            customer_id=_TEXT,
            email=_TEXT,
            full_name=_TEXT,
            phone=_TEXT,
            country=_TEXT,
            role=_TEXT,
            signed_up_at=INSTANT,
            marketing_opt_in=_FLAG,
            is_deleted=_FLAG,
        ),
        _source(
            "customers",
            "csv",
            "customer_id updated_at",
            2,
            customer_id=_TEXT,
            updated_at=INSTANT,
            name=_TEXT,
            segment=_TEXT,
            industry=_TEXT,
            country=_TEXT,
            created_at=INSTANT,
            is_deleted=_FLAG,
        ),
        _source(
            "products",
            "csv",
            "product_id updated_at",
            2,
            product_id=_TEXT,
            updated_at=INSTANT,
            name=_TEXT,
            category=_TEXT,
            unit_price=MONEY,
            unit_cost=MONEY,
            currency=_TEXT,
            is_active=_FLAG,
        ),
        _source(
            "subscriptions",
            "json",
            "subscription_id period_start",
            6,
            subscription_id=_TEXT,
            customer_id=_TEXT,
            period_start=_DAY,
            monthly_amount=MONEY,
            currency=_TEXT,
            updated_at=INSTANT,
            period_end=_DAY,
            plan_id=_TEXT,
            status=_TEXT,
            trial_end=_DAY,
        ),
        _source(
            "orders",
            "parquet",
            "order_id",
            3,
            order_id=_TEXT,
            customer_id=_TEXT,
            ordered_at=INSTANT,
            user_id=_TEXT,
            status=_TEXT,
            currency=_TEXT,
            shipping_country=_TEXT,
            discount_amount=MONEY,
            shipping_amount=MONEY,
            tax_amount=MONEY,
            updated_at=INSTANT,
        ),
        _source(
            "order_items",
            "parquet",
            "order_item_id",
            5,
            order_item_id=_TEXT,
            order_id=_TEXT,
            product_id=_TEXT,
            quantity=_WHOLE,
            unit_price=MONEY,
            discount_amount=MONEY,
        ),
        _source(
            "payments",
            "parquet",
            "payment_id",
            4,
            payment_id=_TEXT,
            amount=MONEY,
            currency=_TEXT,
            paid_at=INSTANT,
            customer_id=_TEXT,
            order_id=_TEXT,
            subscription_id=_TEXT,
            kind=_TEXT,
            method=_TEXT,
            status=_TEXT,
        ),
        _source(
            "shipments",
            "csv",
            "shipment_id",
            2,
            shipment_id=_TEXT,
            order_id=_TEXT,
            carrier=_TEXT,
            shipped_at=INSTANT,
            promised_at=INSTANT,
            delivered_at=INSTANT,
            updated_at=INSTANT,
        ),
        _source(
            "returns",
            "csv",
            "return_id",
            4,
            return_id=_TEXT,
            order_item_id=_TEXT,
            returned_at=INSTANT,
            quantity=_WHOLE,
            reason=_TEXT,
            refund_amount=MONEY,
        ),
        _source(
            "inventory",
            "csv",
            "product_id stock_date",
            3,
            product_id=_TEXT,
            stock_date=_DAY,
            on_hand=_WHOLE,
            received=_WHOLE,
        ),
        _source(
            "sessions",
            "jsonl",
            "session_id",
            2,
            session_id=_TEXT,
            started_at=INSTANT,
            user_id=_TEXT,
            customer_id=_TEXT,
            anonymous_id=_TEXT,
            utm_source=_TEXT,
            utm_medium=_TEXT,
            utm_campaign=_TEXT,
            referrer=_TEXT,
            landing_page=_TEXT,
        ),
        _source(
            "ad_spend",
            "json",
            "spend_date channel campaign",
            3,
            spend_date=_DAY,
            channel=_TEXT,
            spend=MONEY,
            campaign=_TEXT,
            currency=_TEXT,
            clicks=_WHOLE,
            impressions=_WHOLE,
        ),
        _source(
            "fx_rates",
            "csv",
            "rate_date currency",
            3,
            rate_date=_DAY,
            currency=_TEXT,
            usd_rate=RATE,
        ),
    )
}


def table(source: str, columns: Mapping[str, pa.Array]) -> pa.Table:
    """A table of a source. Raises ValueError or TypeError if the columns do not fit."""
    schema = SOURCES[source].schema
    if set(columns) != set(schema.names):
        raise ValueError(
            f"{source}: columns {sorted(set(columns) ^ set(schema.names))} are missing or unknown"
        )
    made = pa.Table.from_arrays([columns[name] for name in schema.names], names=schema.names)
    if made.schema != schema:
        raise TypeError(f"{source}: {made.schema} is not {schema}")
    return made
