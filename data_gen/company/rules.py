"""The shape of rules.yaml: every key, its kind and its bounds, and what must hold between keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from data_gen.company.quantiles import Curve
from data_gen.company.reading import Cents, CurveOfMoney, Range, RulesError, Share, parse, read

DEFAULT_RULES = Path(__file__).resolve().parents[1] / "rules.yaml"

Weight = Annotated[int, Range(0, 1_000_000)]
Weights = dict[str, Weight]
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
    weekdays: tuple[Annotated[int, Range(0, 10_000)], ...]
    hours: tuple[Weight, ...]


@dataclass(frozen=True)
class CountryRules:
    weight: Weight
    currency: str
    tax_rate: Share
    utc_offset: Annotated[int, Range(-12, 14)]


@dataclass(frozen=True)
class UserRules:
    life_days: Annotated[Curve, Range(1, 4000)]
    segment_days: Annotated[Curve, Range(1, 4000)]
    active_share: Share
    sessions_per_1000_days: Annotated[Curve, Range(0, 200_000)]
    deleted_share: Share
    abroad_share: Share
    opt_in_share: Share
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
    plans: dict[str, PlanRules]


@dataclass(frozen=True)
class DeliveryRules:
    late_share: Share
    late_days: Annotated[Curve, Range(1, 90)]
    duplicate_share: Share


@dataclass(frozen=True)
class Rules:
    company: CompanyRules
    growth: GrowthRules
    rhythm: RhythmRules
    countries: dict[str, CountryRules]
    users: UserRules
    customers: CustomerRules
    sessions: SessionRules
    events: dict[str, EventRules]
    funnel: dict[str, Share]
    products: ProductRules
    orders: OrderRules
    payments: PaymentRules
    subscriptions: SubscriptionRules
    delivery: DeliveryRules

    def founded_on(self, day: date) -> Rules:
        """The same company, founded on another day."""
        return replace(self, company=replace(self.company, founded=day))


def load_rules(path: Path = DEFAULT_RULES) -> Rules:
    """The rules in a file. Raises RulesError that names the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError("", f"cannot read {path}: {error}") from error
    return rules_from(text)


def rules_from(text: str) -> Rules:
    """The rules in a YAML text. Raises RulesError that names the key."""
    rules: Rules = read(Rules, parse(text))
    _check(rules)
    return rules


def _check(rules: Rules) -> None:
    """What holds between keys, or cannot be said by a kind and bounds."""
    _length("rhythm.weekdays", rules.rhythm.weekdays, 7)
    _length("rhythm.hours", rules.rhythm.hours, 24)
    _some("rhythm.hours", rules.rhythm.hours)
    for path, weights in (
        ("users.roles", rules.users.roles),
        ("users.changes", rules.users.changes),
        ("customers.segments", rules.customers.segments),
        ("customers.industries", rules.customers.industries),
        ("customers.changes", rules.customers.changes),
        ("payments.methods", rules.payments.methods),
        ("countries", {name: c.weight for name, c in rules.countries.items()}),
        ("sessions.devices", {str(n): d.weight for n, d in enumerate(rules.sessions.devices)}),
        ("subscriptions.plans", {name: p.weight for name, p in rules.subscriptions.plans.items()}),
    ):
        _some(path, tuple(weights.values()))
    _names("users.changes", rules.users.changes, ("country", "role", "phone", "opt_in"))
    _names("customers.changes", rules.customers.changes, ("segment", "country", "industry"))
    _check_events(rules)
    if rules.subscriptions.upgrade_share + rules.subscriptions.downgrade_share > 1:
        raise RulesError("subscriptions.downgrade_share", "is more than what upgrade_share leaves")
    if rules.products.always_share * rules.products.count < 1:
        raise RulesError("products.always_share", f"leaves no product of {rules.products.count} that always exists")


def _check_events(rules: Rules) -> None:
    for name, event in rules.events.items():
        path = f"events.{name}"
        if event.kind not in KINDS:
            raise RulesError(f"{path}.kind", f"must be one of {', '.join(KINDS)}, not {event.kind!r}")
        if (event.weight is None) == (event.kind in DRAWN_KINDS):
            raise RulesError(
                f"{path}.weight", "is for events of the kinds " + " and ".join(DRAWN_KINDS) + ", and needed there"
            )
        if event.kind == "commerce" and event.properties:
            raise RulesError(f"{path}.properties", "commerce events have the properties of their step")
        if event.kind == "commerce" and name not in rules.funnel:
            raise RulesError(path, "is a commerce event that is no step of the funnel")
        for key, values in (event.properties or {}).items():
            numbers = [v for v in values if isinstance(v, int)]
            if numbers and (len(values) != 2 or len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] < 1 << 31):
                raise RulesError(f"{path}.properties.{key}", "must be texts, or [from, to] in whole numbers")
    for kind in ("signup", "login"):
        if sum(event.kind == kind for event in rules.events.values()) != 1:
            raise RulesError("events", f"needs exactly one event of kind {kind}")
    _some("events", tuple(e.weight or 0 for e in rules.events.values()))
    if len(rules.funnel) > 8:
        raise RulesError("funnel", "can have at most 8 steps")
    for step in rules.funnel:
        if step not in rules.events or rules.events[step].kind != "commerce":
            raise RulesError(f"funnel.{step}", "is no event of kind commerce")


def _length(path: str, values: tuple[int, ...], wanted: int) -> None:
    if len(values) != wanted:
        raise RulesError(path, f"needs {wanted} values, not {len(values)}")


def _some(path: str, weights: tuple[int, ...]) -> None:
    if sum(weights) <= 0:
        raise RulesError(path, "needs at least one weight above 0")


def _names(path: str, given: Weights, allowed: tuple[str, ...]) -> None:
    for name in given:
        if name not in allowed:
            raise RulesError(f"{path}.{name}", f"is not a known key; known keys: {', '.join(allowed)}")
    for name in allowed:
        if name not in given:
            raise RulesError(f"{path}.{name}", "is missing")
