"""Which rows and which files have a defect.

Each has a single draw, so that the classes of defects exclude one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, field, happens, splitmix64
from data_gen.company.schemas import SOURCES

# The draws, and with them the bytes of all days, depend on this name.
_STREAM = "dirt"
DEDUPE, REPAIR, REJECT, ACCEPT, ACCEPT_LATE = "dedupe", "repair", "reject", "accept", "accept late"
_NAMES = {"users": "full_name", "customers": "name", "products": "name"}
_CATEGORIES = {
    "events": "event_type",
    "users": "role",
    "customers": "segment",
    "products": "category",
    "subscriptions": "status",
    "orders": "status",
    "payments": "method",
    "shipments": "carrier",
    "returns": "reason",
    "sessions": "utm_medium",
    "ad_spend": "channel",
}
_TIMES = {
    "events": "event_timestamp",
    "users": "updated_at",
    "customers": "updated_at",
    "products": "updated_at",
    "subscriptions": "updated_at",
    "orders": "ordered_at",
    "payments": "paid_at",
    "returns": "returned_at",
    "sessions": "started_at",
}
_TEXTS = _NAMES | {
    "events": "app_version",
    "subscriptions": "status",
    "shipments": "carrier",
    "returns": "reason",
    "inventory": "product_id",
    "sessions": "landing_page",
    "ad_spend": "campaign",
    "fx_rates": "currency",
}
_OTHER_BODY = _TEXTS | {
    "users": "phone",
    "products": "unit_price",
    "subscriptions": "monthly_amount",
    "orders": "shipping_amount",
    "order_items": "quantity",
    "payments": "amount",
    "returns": "refund_amount",
    "inventory": "on_hand",
    "ad_spend": "spend",
    "fx_rates": "usd_rate",
}


def _each(columns: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {source: (column,) for source, column in columns.items()}


# class: the effect of cleaning on such a row, and the columns of the sources that can have it
ROW_CLASSES: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "exact_duplicate": (DEDUPE, dict.fromkeys(SOURCES, ())),
    "conflicting_duplicate": (DEDUPE, _each(_OTHER_BODY)),
    "missing_required": (REJECT, {name: source.required for name, source in SOURCES.items()}),
    "bad_timestamp": (REJECT, _each(_TIMES)),
    "bad_quantity": (REJECT, {"order_items": ("quantity", "unit_price"), "returns": ("quantity",)}),
    "unknown_currency": (
        REJECT,
        _each(dict.fromkeys(("orders", "payments", "subscriptions"), "currency")),
    ),
    "unknown_country": (
        REPAIR,
        _each(
            {
                "events": "country",
                "users": "country",
                "customers": "country",
                "orders": "shipping_country",
            }
        ),
    ),
    "orphan_key": (
        REPAIR,
        {
            "users": ("customer_id",),
            "subscriptions": ("customer_id",),
            "orders": ("customer_id",),
            "order_items": ("order_id", "product_id"),
            "payments": ("order_id",),
            "shipments": ("order_id",),
            "returns": ("order_item_id",),
            "inventory": ("product_id",),
            "sessions": ("customer_id",),
        },
    ),
    "unreconciled_payment": (ACCEPT, {"payments": ("amount",)}),
    "personal_data": (REPAIR, {"events": ("properties",)}),
    "untidy_text": (REPAIR, _each(_CATEGORIES)),
    "lookalike_text": (REPAIR, _each(_CATEGORIES)),
    "invalid_utf8": (REJECT, _each(_TEXTS)),
    # Not in a JSON array: a NUL can make the rest of the file unreadable, not only its row.
    "nul_byte": (
        REJECT,
        {name: (c,) for name, c in _TEXTS.items() if SOURCES[name].format in ("csv", "jsonl")},
    ),
    "embedded_newline": (REPAIR, _each(_NAMES)),
    "compound": (
        REJECT,
        {name: (_TIMES[name], _CATEGORIES[name]) for name in _TIMES if name in _CATEGORIES},
    ),
    "withdrawn_row": (
        REPAIR,
        dict.fromkeys(("events", "payments", "returns", "sessions", "shipments"), ()),
    ),
}
_OF_TEXT_FILES = frozenset({"invalid_utf8", "nul_byte", "embedded_newline"})

# class: the formats that can have it, the effect of cleaning, and the column by source.
# None: any source can have it.
FILE_CLASSES: dict[str, tuple[tuple[str, ...], str, dict[str, str] | None]] = {
    "byte_order_mark": (("csv", "json", "jsonl"), REPAIR, None),
    "crlf": (("csv", "jsonl"), REPAIR, None),
    "truncated_last_line": (("csv", "jsonl"), REJECT, None),
    "empty_file": (("csv", "json", "jsonl"), REPAIR, None),
    "column_added": (("csv", "json", "jsonl", "parquet"), REPAIR, None),
    "column_renamed": (
        ("csv", "json", "jsonl", "parquet"),
        REPAIR,
        {
            "events": "device",
            "users": "phone",
            "customers": "industry",
            "products": "category",
            "subscriptions": "plan_id",
            "orders": "shipping_country",
            "payments": "method",
            "shipments": "promised_at",
            "returns": "refund_amount",
            "sessions": "referrer",
            "ad_spend": "impressions",
        },
    ),
    "column_dropped": (
        ("csv", "json", "jsonl", "parquet"),
        REPAIR,
        {
            "events": "platform",
            "users": "marketing_opt_in",
            "customers": "industry",
            "products": "unit_cost",
            "subscriptions": "plan_id",
            "orders": "shipping_country",
            "payments": "method",
            "shipments": "promised_at",
            "returns": "refund_amount",
            "inventory": "received",
            "sessions": "referrer",
            "ad_spend": "impressions",
        },
    ),
    "column_retyped": (
        ("csv", "json", "jsonl", "parquet"),
        REPAIR,
        {
            "users": "marketing_opt_in",
            "customers": "is_deleted",
            "products": "is_active",
            "subscriptions": "monthly_amount",
            "orders": "tax_amount",
            "order_items": "discount_amount",
            "ad_spend": "clicks",
        },
    ),
    "columns_reordered": (("csv", "parquet"), REPAIR, None),
}


def drifted_column(source: str, kind: str | None) -> str | None:
    """The column that a class of file defects changes."""
    columns = FILE_CLASSES[kind][2] if kind else None
    return columns[source] if columns else None


def columns_with(name: str, source: str, kind: str | None) -> tuple[str, ...]:
    """The columns that can have a class of row defects in a file that has a defect itself.

    Empty if the class does not occur in such a file.
    """
    all_columns = ROW_CLASSES[name][1][source]
    left = tuple(column for column in all_columns if column != drifted_column(source, kind))
    return () if name == "compound" and left != all_columns else left


@dataclass(frozen=True, eq=False)
class DefectiveRows:
    """The rows of a batch that have a defect."""

    row: I64
    kind: I64  # number in row_classes
    bits: U64  # random: the details of the defect


@dataclass(frozen=True)
class FileFate:
    """The defect of a source's file of a day at its first delivery, and the day of a second one."""

    kind: str | None
    redelivered_on: int | None  # day


_CLEAN = FileFate(None, None)
_BLOCK = 128  # days whose fates are drawn at once


@lru_cache(maxsize=64)
def row_classes(company: Company, source: str, redelivered: bool) -> tuple[tuple[str, ...], I64]:
    """The classes of defects that rows of a source can have.

    With them, the upper bounds of their shares in units of 2**-32.
    """
    text_file = SOURCES[source].format != "parquet"
    names = tuple(
        name
        for name, (_, columns) in ROW_CLASSES.items()
        if source in columns
        and (text_file or name not in _OF_TEXT_FILES)
        and (redelivered or name != "withdrawn_row")
    )
    shares = vars(company.rules.defects.rows)
    return names, np.cumsum([int(shares[name] * (1 << 32)) for name in names], dtype=np.int64)


def defective_rows(company: Company, source: str, fate: FileFate, bits: U64) -> DefectiveRows:
    """The rows with a defect, among rows that land on their own day in a file with that fate.

    `bits`: the random bits of the rows.
    """
    _, bounds = row_classes(company, source, fate.redelivered_on is not None)
    drawn = company.draw(f"{_STREAM}/{source}", bits.view(np.int64))
    place = field(drawn, 32, 32)
    row = np.flatnonzero(place < bounds[-1])
    kind = np.searchsorted(bounds, place[row], side="right")
    return DefectiveRows(row, kind, splitmix64(drawn[row]))


def fate_of(company: Company, source: str, day: int) -> FileFate:
    """The fate of a source's file of a day. Files from before the founding have no defect."""
    if day < company.founded:
        return _CLEAN
    block, place = divmod(day, _BLOCK)
    return _fates(company, source, block)[place]


@lru_cache(maxsize=256)
def _fates(company: Company, source: str, block: int) -> list[FileFate]:
    """The same for consecutive days, as a day also needs the days before it."""
    rules = company.rules.defects
    day = np.arange(block * _BLOCK, (block + 1) * _BLOCK, dtype=np.int64)
    number = np.full(_BLOCK, list(SOURCES).index(source), dtype=np.int64)
    possible = [
        name
        for name, (formats, _, columns) in FILE_CLASSES.items()
        if SOURCES[source].format in formats and (columns is None or source in columns)
    ]
    reach = np.cumsum([int(getattr(rules.files, name) * (1 << 32)) for name in possible])
    drawn = np.searchsorted(
        reach, field(company.draw(f"{_STREAM}.file", number, day), 32, 32), side="right"
    )
    bits = company.draw(f"{_STREAM}.redelivered", number, day)
    after = rules.redelivered_after_days.at(splitmix64(bits))
    kinds = [*possible, None]
    again = (
        happens(bits, rules.redelivered)
        | (np.array([kind == "empty_file" for kind in kinds])[drawn])
    )
    return [
        FileFate(kinds[n], on if comes else None)
        for n, comes, on in zip(drawn.tolist(), again.tolist(), (day + after).tolist(), strict=True)
    ]


def redeliveries(company: Company, day: int) -> list[tuple[str, int]]:
    """The sources and earlier days whose corrected files are delivered on a day, oldest first."""
    longest = company.rules.defects.redelivered_after_days.largest
    return [
        (source, earlier)
        for earlier in range(max(day - longest, company.founded), day)
        for source in SOURCES
        if fate_of(company, source, earlier).redelivered_on == day
    ]
