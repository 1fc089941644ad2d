"""rules.yaml as a whole: its sections, and what must hold between keys."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from data_gen.company.reading import RulesError, Share, parse, read
from data_gen.company.rule_sections import (
    DRAWN_KINDS,
    KINDS,
    CompanyRules,
    CountryRules,
    CustomerRules,
    DeliveryRules,
    DirtRules,
    EventRules,
    FxRules,
    GrowthRules,
    InventoryRules,
    MarketingRules,
    OrderRules,
    PaymentRules,
    ProductRules,
    ReturnRules,
    RhythmRules,
    SessionRules,
    ShipmentRules,
    SubscriptionRules,
    UserRules,
    Weights,
)

BASE_CURRENCY = "USD"
MOST_EVENTS = 60  # one bit of a number for each
DATA_GEN = Path(__file__).resolve().parents[1]
DEFAULT_RULES = DATA_GEN / "rules.yaml"
# Lists that rules draw on: the countries of ISO 3166-1 (code, name, region) and the rates at the
# founding (currency, usd_rate), in US dollars for one unit.
COUNTRIES = DATA_GEN / "seeds" / "iso_countries.csv"
RATES = DATA_GEN / "seeds" / "fx_rates.csv"


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
    shipments: ShipmentRules
    returns: ReturnRules
    inventory: InventoryRules
    marketing: MarketingRules
    fx: FxRules
    delivery: DeliveryRules
    dirt: DirtRules

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
    document = parse(text)
    if isinstance(document, dict) and isinstance(document.get("fx"), dict):
        document["fx"].setdefault("rates", founding_rates())
    rules: Rules = read(Rules, document)
    _check(rules)
    return rules


def founding_rates(path: Path = RATES) -> dict[str, Any]:
    """US dollars for one unit of each currency, by its code, in the order of the file.

    What is not a number stays a text, for which the rules have an error.
    """
    rates: dict[str, Any] = {}
    for row in _rows(path):
        try:
            rates[row["currency"]] = Decimal(row["usd_rate"])
        except InvalidOperation:
            rates[row["currency"]] = row["usd_rate"]
    return rates


def country_codes(path: Path = COUNTRIES) -> frozenset[str]:
    """The codes of all countries."""
    return frozenset(row["code"] for row in _rows(path))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


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
        ("shipments.carriers", rules.shipments.carriers),
        ("returns.reasons", rules.returns.reasons),
        ("marketing.channels", {name: c.weight for name, c in rules.marketing.channels.items()}),
        ("subscriptions.plans", {name: p.weight for name, p in rules.subscriptions.plans.items()}),
    ):
        _some(path, tuple(weights.values()))
    _names("users.changes", rules.users.changes, ("country", "role", "phone", "opt_in"))
    _names("customers.changes", rules.customers.changes, ("segment", "country", "industry"))
    for path, values in (
        ("products.categories", rules.products.categories),
        ("marketing.landing_pages", rules.marketing.landing_pages),
        *((f"marketing.channels.{name}.campaigns", c.campaigns) for name, c in rules.marketing.channels.items()),
    ):
        if not values:
            raise RulesError(path, "needs at least one entry")
    for path, shares in (("dirt.rows", rules.dirt.rows), ("dirt.files", rules.dirt.files)):
        if sum(vars(shares).values()) > 1:
            raise RulesError(path, "the shares exclude each other, so together they must not be more than 1")
    _check_events(rules)
    _check_calendar(rules)
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
        if event.released is not None and event.kind != "feature":
            raise RulesError(f"{path}.released", "is for events of the kind feature")
        if event.properties and not all(event.properties.values()):
            raise RulesError(f"{path}.properties", "each needs at least one value")
    for kind in ("signup", "login"):
        if sum(event.kind == kind for event in rules.events.values()) != 1:
            raise RulesError("events", f"needs exactly one event of kind {kind}")
    if len(rules.events) > MOST_EVENTS:
        raise RulesError("events", f"can be at most {MOST_EVENTS}")
    _some("events", tuple(e.weight or 0 for e in rules.events.values() if e.kind == "engagement"))
    if len(rules.funnel) > 8:
        raise RulesError("funnel", "can have at most 8 steps")
    for step in rules.funnel:
        if step not in rules.events or rules.events[step].kind != "commerce":
            raise RulesError(f"funnel.{step}", "is no event of kind commerce")


def _check_calendar(rules: Rules) -> None:
    codes = country_codes()
    _length("rhythm.outage_hours", rules.rhythm.outage_hours, 2)
    closes, opens = rules.rhythm.outage_hours
    if not closes < opens < 24:
        raise RulesError("rhythm.outage_hours", "must be [from, to] with from before to, and to before 24")
    for name, country in rules.countries.items():
        if name not in codes:
            raise RulesError(f"countries.{name}", "is not a code of ISO 3166-1 (data_gen/seeds/iso_countries.csv)")
        for holiday in country.holidays:
            try:
                date.fromisoformat(f"2024-{holiday}")  # a leap year
            except ValueError:
                raise RulesError(f"countries.{name}.holidays", f"must be days as MM-DD, not {holiday!r}") from None
        if country.currency != BASE_CURRENCY and country.currency not in rules.fx.rates:
            raise RulesError(f"fx.rates.{country.currency}", f"is missing; it is the currency of {name}")
    if BASE_CURRENCY in rules.fx.rates:
        raise RulesError(f"fx.rates.{BASE_CURRENCY}", "is what the others are measured in, and always 1")


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
