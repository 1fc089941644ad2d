"""The sections of rules.yaml: every key, its kind and its bounds.

A manifest's `rules_hash` covers the names of these models and of their fields (rules.hashed_text).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from data_gen.company.lists import founding_rates
from data_gen.company.quantiles import Curve
from data_gen.company.rule_values import (
    Cents,
    Day,
    DayOfYear,
    MoneyPoints,
    Named,
    Names,
    Points,
    Rate,
    Share,
    Text,
    TextOrWhole,
    Weight,
    Weights,
    Whole,
    Wrong,
    some_weight,
)

MOST_EVENTS = 60  # one bit of a number for each
_MOST_PROPERTY = (1 << 31) - 1

Percent = Annotated[int, Whole(0, 10_000)]
Days = Annotated[int, Whole(1, 4000)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]

EventKind = Literal["signup", "login", "engagement", "feature", "commerce"]
DRAWN_KINDS = ("engagement", "feature")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class CompanyRules(Section):
    """When the company begins."""

    founded: Day


class GrowthRules(Section):
    """How many people sign up, at scale 1.0."""

    launch_users: Annotated[int, Whole(0, 1_000_000)]
    launch_days: Days
    signups_at_start: Annotated[int, Whole(0, 1_000_000)]
    signups_at_plateau: Annotated[int, Whole(0, 1_000_000)]
    midpoint_days: Days


class RhythmRules(Section):
    """How activity changes by weekday and hour, and on special days."""

    weekdays: Annotated[tuple[Percent, ...], Field(min_length=7, max_length=7)]
    hours: Annotated[
        tuple[Weight, ...], Field(min_length=24, max_length=24), AfterValidator(some_weight)
    ]
    holiday_share: Share
    launch_days: tuple[Annotated[int, Whole(0, 20_000)], ...]
    launch_percent: Percent
    outage_days: tuple[Annotated[int, Whole(0, 20_000)], ...]
    outage_hours: Annotated[
        tuple[Annotated[int, Whole(0, 24)], ...], Field(min_length=2, max_length=2)
    ]

    @model_validator(mode="after")
    def _outage_begins_before_it_ends(self) -> RhythmRules:
        closes, opens = self.outage_hours
        if not closes < opens < 24:
            raise Wrong("must be [from, to] with from before to, and to before 24", "outage_hours")
        return self


class CountryRules(Section):
    """A country of customers and users."""

    weight: Weight
    currency: Text
    tax_rate: Share
    utc_offset: Annotated[int, Whole(-12, 14)]
    holidays: tuple[DayOfYear, ...]


class UserRules(Section):
    """The lives and profiles of users."""

    life_days: Annotated[Curve, Points(1, 4000)]
    segment_days: Annotated[Curve, Points(1, 4000)]
    active_share: Share
    sessions_per_1000_days: Annotated[Curve, Points(0, 200_000)]
    deleted_share: Share
    abroad_share: Share
    opt_in_share: Share
    adoption_days: Annotated[Curve, Points(0, 4000)]
    roles: Weights
    change_window_days: Annotated[int, Whole(2, 4000)]
    change_share: Share
    changes: Annotated[Weights, Names(("country", "role", "phone", "opt_in"))]


class CustomerRules(Section):
    """The accounts that users belong to."""

    users_each: Annotated[int, Whole(1, 10_000)]
    solo_every: Annotated[int, Whole(2, 1_000_000)]
    segments: Weights
    industries: Weights
    change_window_days: Annotated[int, Whole(2, 4000)]
    change_share: Share
    changes: Annotated[Weights, Names(("segment", "country", "industry"))]


class DeviceRules(Section):
    """A kind of device."""

    device: Text
    platform: Text
    weight: Weight


class SessionRules(Section):
    """The length, the devices and the app versions of sessions."""

    events: Annotated[Curve, Points(0, 1000)]
    gap_ms: Annotated[Curve, Points(1, 3_600_000)]
    second_device_share: Share
    devices: Annotated[tuple[DeviceRules, ...], AfterValidator(some_weight)]
    release_every_days: Days
    rollout_days: Annotated[int, Whole(0, 1000)]


class EventRules(Section):
    """A type of event."""

    kind: EventKind
    weight: Weight | None = None
    released: Annotated[int, Whole(0, 20_000)] | None = None
    properties: Named[Annotated[tuple[TextOrWhole, ...], Field(min_length=1)]] | None = None

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> EventRules:
        if (self.weight is None) == (self.kind in DRAWN_KINDS):
            kinds = " and ".join(DRAWN_KINDS)
            raise Wrong(f"is for events of the kinds {kinds}, and needed there", "weight")
        if self.released is not None and self.kind != "feature":
            raise Wrong("is for events of the kind feature", "released")
        if self.properties and self.kind == "commerce":
            raise Wrong("commerce events have the properties of their step", "properties")
        for name, values in (self.properties or {}).items():
            numbers = [value for value in values if isinstance(value, int)]
            if numbers and not _is_span(values):
                raise Wrong("must be texts, or [from, to] in whole numbers", "properties", name)
        return self


def _is_span(values: tuple[str | int, ...]) -> bool:
    match values:
        case (int(low), int(high)):
            return 0 <= low <= high <= _MOST_PROPERTY
    return False


def _complete_events(events: dict[str, EventRules]) -> dict[str, EventRules]:
    kinds = [event.kind for event in events.values()]
    for kind in ("signup", "login"):
        if kinds.count(kind) != 1:
            raise Wrong(f"needs exactly one event of kind {kind}")
    some_weight([event.weight or 0 for event in events.values() if event.kind == "engagement"])
    return events


Events = Annotated[
    dict[str, EventRules],
    Field(min_length=1, max_length=MOST_EVENTS),
    AfterValidator(_complete_events),
]


class ProductRules(Section):
    """The catalogue and its prices."""

    count: Annotated[int, Whole(1, 9999)]
    always_share: Share
    introduced_within_days: Days
    discontinued_share: Share
    lifetime_days: Days
    currency: Text
    price: Annotated[Curve, MoneyPoints(1, 100_000_000)]
    price_days: Annotated[Curve, Points(1, 4000)]
    price_change: Share
    cost: Share
    categories: Texts

    @model_validator(mode="after")
    def _a_product_always_exists(self) -> ProductRules:
        if self.always_share * self.count < 1:
            raise Wrong(f"leaves no product of {self.count} that always exists", "always_share")
        return self


class OrderRules(Section):
    """The lines, discounts and shipping of orders."""

    items: Annotated[Curve, Points(1, 100)]
    quantity: Annotated[Curve, Points(1, 1000)]
    line_discount_share: Share
    discount_share: Share
    discount: Share
    shipping: Annotated[Curve, MoneyPoints(0, 1_000_000)]
    free_shipping_from: Cents
    cancelled_share: Share


class PaymentRules(Section):
    """When and how orders are paid and refunded."""

    methods: Weights
    failed_share: Share
    failures: Annotated[Curve, Points(1, 8)]
    later_share: Share
    later_days: Annotated[Curve, Points(1, 60)]
    parts_share: Share
    refund_share: Share
    refund_days: Annotated[Curve, Points(1, 60)]
    partial_refund_share: Share


class PlanRules(Section):
    """A plan that customers subscribe to."""

    price: Cents
    weight: Weight


class SubscriptionRules(Section):
    """The subscriptions of customers."""

    share: Share
    start_days: Annotated[Curve, Points(1, 90)]
    trial_share: Share
    trial_days: Annotated[int, Whole(1, 27)]
    trial_converted_share: Share
    months: Annotated[Curve, Points(1, 240)]
    upgrade_share: Share
    downgrade_share: Share
    plan_change_after_months: Annotated[Curve, Points(1, 240)]
    seats: Annotated[Curve, Points(1, 10_000)]
    past_due_share: Share
    retry_days: Annotated[int, Whole(1, 26)]
    reactivated_share: Share
    reactivated_after_days: Annotated[Curve, Points(1, 400)]
    several_share: Share
    plans: Annotated[Named[PlanRules], AfterValidator(some_weight)]

    @model_validator(mode="after")
    def _plans_go_one_way(self) -> SubscriptionRules:
        if self.upgrade_share + self.downgrade_share > 1:
            raise Wrong("is more than what upgrade_share leaves", "downgrade_share")
        return self


class ShipmentRules(Section):
    """How orders are shipped."""

    carriers: Weights
    ship_days: Annotated[Curve, Points(1, 10)]
    transit_days: Annotated[Curve, Points(1, 20)]
    promised_days: Annotated[int, Whole(1, 60)]
    lost_share: Share


class ReturnRules(Section):
    """Why goods come back."""

    reasons: Weights


class InventoryRules(Section):
    """The stock of each product."""

    restock_days: Annotated[Curve, Points(2, 400)]
    level: Annotated[Curve, Points(1, 1_000_000)]
    sold_out_share: Share


class ChannelRules(Section):
    """A marketing channel."""

    weight: Weight
    source: Text
    medium: Text
    referrer: Text | None = None
    cost_per_click: Cents
    campaigns: Texts


class MarketingRules(Section):
    """Where visits come from."""

    channels: Annotated[Named[ChannelRules], AfterValidator(some_weight)]
    touches: Annotated[Curve, Points(0, 30)]
    touch_days: Annotated[int, Whole(1, 60)]
    tagged_share: Share
    tagged_buyer_share: Share
    landing_pages: Texts
    clicks_per_touch: Annotated[Curve, Points(1, 1000)]
    impressions_per_click: Annotated[Curve, Points(1, 10_000)]


class FxRules(Section):
    """How exchange rates move."""

    daily_move: Share
    most: Share
    rates: Annotated[Named[Rate], Field(default_factory=founding_rates, validate_default=True)]


class DeliveryRules(Section):
    """How late rows reach the landing zone."""

    late_share: Share
    late_days: Annotated[Curve, Points(1, 90)]
    tail_share: Share
    tail_days: Annotated[Curve, Points(1, 90)]


class _Shares(Section):
    """Shares of the same rows or files, each of which has at most one defect."""

    @model_validator(mode="after")
    def _exclude_each_other(self) -> _Shares:
        shares: dict[str, Decimal] = vars(self)
        if sum(shares.values()) > 1:
            raise Wrong("the shares exclude each other, so their sum must not be more than 1")
        return self


class RowDefectRules(_Shares):
    """Shares of the rows that have a defect, by class."""

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


class FileDefectRules(_Shares):
    """Shares of the daily files that have a defect, by class."""

    byte_order_mark: Share
    crlf: Share
    truncated_last_line: Share
    empty_file: Share
    column_added: Share
    column_renamed: Share
    column_dropped: Share
    column_retyped: Share
    columns_reordered: Share


class DefectRules(Section):
    """The defects of the data."""

    rows: RowDefectRules
    files: FileDefectRules
    redelivered: Share
    redelivered_after_days: Annotated[Curve, Points(1, 30)]
    skew: Share
    skew_sessions: Annotated[int, Whole(1, 500)]
