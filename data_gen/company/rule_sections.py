"""The sections of rules.yaml: every key, its kind and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from data_gen.company.quantiles import Curve
from data_gen.company.reading import Cents, CurveOfMoney, Range, Rate, Share

Weight = Annotated[int, Range(0, 1_000_000)]
Weights = dict[str, Weight]
Percent = Annotated[int, Range(0, 10_000)]
Days = Annotated[int, Range(1, 4000)]
CurveOfDays = Annotated[Curve, Range(0, 4000)]

Kind = Literal["signup", "login", "engagement", "feature", "commerce"]
KINDS = ("signup", "login", "engagement", "feature", "commerce")
DRAWN_KINDS = ("engagement", "feature")


@dataclass(frozen=True)
class CompanyRules:
    founded: date


@dataclass(frozen=True)
class GrowthRules:
    launch_users: Annotated[int, Range(0, 1_000_000)]
    launch_days: Days
    signups_at_start: Annotated[int, Range(0, 1_000_000)]
    signups_at_plateau: Annotated[int, Range(0, 1_000_000)]
    midpoint_days: Days


@dataclass(frozen=True)
class RhythmRules:
    weekdays: tuple[Percent, ...]
    hours: tuple[Weight, ...]
    holiday_share: Share
    launch_days: tuple[Annotated[int, Range(0, 20_000)], ...]
    launch_percent: Percent
    outage_days: tuple[Annotated[int, Range(0, 20_000)], ...]
    outage_hours: tuple[Annotated[int, Range(0, 24)], ...]


@dataclass(frozen=True)
class CountryRules:
    weight: Weight
    currency: str
    tax_rate: Share
    utc_offset: Annotated[int, Range(-12, 14)]
    holidays: tuple[str, ...]


@dataclass(frozen=True)
class UserRules:
    life_days: Annotated[Curve, Range(1, 4000)]
    segment_days: Annotated[Curve, Range(1, 4000)]
    active_share: Share
    sessions_per_1000_days: Annotated[Curve, Range(0, 200_000)]
    deleted_share: Share
    abroad_share: Share
    opt_in_share: Share
    adoption_days: CurveOfDays
    roles: Weights
    change_window_days: Annotated[int, Range(2, 4000)]
    change_share: Share
    changes: Weights


@dataclass(frozen=True)
class CustomerRules:
    users_each: Annotated[int, Range(1, 10_000)]
    solo_every: Annotated[int, Range(2, 1_000_000)]
    segments: Weights
    industries: Weights
    change_window_days: Annotated[int, Range(2, 4000)]
    change_share: Share
    changes: Weights


@dataclass(frozen=True)
class DeviceRules:
    device: str
    platform: str
    weight: Weight


@dataclass(frozen=True)
class SessionRules:
    events: Annotated[Curve, Range(0, 1000)]
    gap_ms: Annotated[Curve, Range(1, 3_600_000)]
    second_device_share: Share
    devices: tuple[DeviceRules, ...]
    release_every_days: Days
    rollout_days: Annotated[int, Range(0, 1000)]


@dataclass(frozen=True)
class EventRules:
    kind: str
    weight: Weight | None
    released: Annotated[int, Range(0, 20_000)] | None
    properties: dict[str, tuple[str | int, ...]] | None


@dataclass(frozen=True)
class ProductRules:
    count: Annotated[int, Range(1, 9999)]
    always_share: Share
    introduced_within_days: Days
    discontinued_share: Share
    lifetime_days: Days
    currency: str
    price: Annotated[CurveOfMoney, Range(1, 100_000_000)]
    price_days: Annotated[Curve, Range(1, 4000)]
    price_change: Share
    cost: Share
    categories: tuple[str, ...]


@dataclass(frozen=True)
class OrderRules:
    items: Annotated[Curve, Range(1, 100)]
    quantity: Annotated[Curve, Range(1, 1000)]
    line_discount_share: Share
    discount_share: Share
    discount: Share
    shipping: Annotated[CurveOfMoney, Range(0, 1_000_000)]
    free_shipping_from: Cents
    cancelled_share: Share


@dataclass(frozen=True)
class PaymentRules:
    methods: Weights
    failed_share: Share
    failures: Annotated[Curve, Range(1, 8)]
    later_share: Share
    later_days: Annotated[Curve, Range(1, 60)]
    parts_share: Share
    refund_share: Share
    refund_days: Annotated[Curve, Range(1, 60)]
    partial_refund_share: Share


@dataclass(frozen=True)
class PlanRules:
    price: Cents
    weight: Weight


@dataclass(frozen=True)
class SubscriptionRules:
    share: Share
    start_days: Annotated[Curve, Range(1, 90)]
    trial_share: Share
    trial_days: Annotated[int, Range(1, 27)]
    trial_converted_share: Share
    months: Annotated[Curve, Range(1, 240)]
    upgrade_share: Share
    downgrade_share: Share
    plan_change_after_months: Annotated[Curve, Range(1, 240)]
    seats: Annotated[Curve, Range(1, 10_000)]
    past_due_share: Share
    retry_days: Annotated[int, Range(1, 26)]
    reactivated_share: Share
    reactivated_after_days: Annotated[Curve, Range(1, 400)]
    several_share: Share
    plans: dict[str, PlanRules]


@dataclass(frozen=True)
class ShipmentRules:
    carriers: Weights
    ship_days: Annotated[Curve, Range(1, 10)]
    transit_days: Annotated[Curve, Range(1, 20)]
    promised_days: Annotated[int, Range(1, 60)]
    lost_share: Share


@dataclass(frozen=True)
class ReturnRules:
    reasons: Weights


@dataclass(frozen=True)
class InventoryRules:
    restock_days: Annotated[Curve, Range(2, 400)]
    level: Annotated[Curve, Range(1, 1_000_000)]
    sold_out_share: Share


@dataclass(frozen=True)
class ChannelRules:
    weight: Weight
    source: str
    medium: str
    referrer: str | None
    cost_per_click: Cents
    campaigns: tuple[str, ...]


@dataclass(frozen=True)
class MarketingRules:
    channels: dict[str, ChannelRules]
    touches: Annotated[Curve, Range(0, 30)]
    touch_days: Annotated[int, Range(1, 60)]
    tagged_share: Share
    tagged_buyer_share: Share
    landing_pages: tuple[str, ...]
    clicks_per_touch: Annotated[Curve, Range(1, 1000)]
    impressions_per_click: Annotated[Curve, Range(1, 10_000)]


@dataclass(frozen=True)
class FxRules:
    daily_move: Share
    most: Share
    rates: dict[str, Rate]


@dataclass(frozen=True)
class DeliveryRules:
    late_share: Share
    late_days: Annotated[Curve, Range(1, 90)]
    tail_share: Share
    tail_days: Annotated[Curve, Range(1, 90)]


@dataclass(frozen=True)
class DirtyRowRules:
    exact_duplicate: Share
    conflicting_duplicate: Share
    missing_required: Share
    bad_timestamp: Share
    bad_quantity: Share
    unknown_currency: Share
    unknown_country: Share
    orphan_key: Share
    unreconciled_payment: Share
    personal_data: Share
    untidy_text: Share
    lookalike_text: Share
    invalid_utf8: Share
    nul_byte: Share
    embedded_newline: Share
    compound: Share
    withdrawn_row: Share


@dataclass(frozen=True)
class DirtyFileRules:
    byte_order_mark: Share
    crlf: Share
    truncated_last_line: Share
    empty_file: Share
    column_added: Share
    column_renamed: Share
    column_dropped: Share
    column_retyped: Share
    columns_reordered: Share


@dataclass(frozen=True)
class DirtRules:
    rows: DirtyRowRules
    files: DirtyFileRules
    redelivered: Share
    redelivered_after_days: Annotated[Curve, Range(1, 30)]
    skew: Share
    skew_sessions: Annotated[int, Range(1, 500)]
