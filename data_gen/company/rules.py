"""rules.yaml as a whole: its sections, and the conditions between them.

`python -m data_gen.company.rules > data_gen/rules.schema.json` writes the JSON Schema for editors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from data_gen.company.lists import country_codes
from data_gen.company.reading import RulesError, parse, read
from data_gen.company.rule_sections import (
    CompanyRules,
    CountryRules,
    CustomerRules,
    DefectRules,
    DeliveryRules,
    Events,
    FxRules,
    GrowthRules,
    InventoryRules,
    MarketingRules,
    OrderRules,
    PaymentRules,
    ProductRules,
    ReturnRules,
    RhythmRules,
    Section,
    SessionRules,
    ShipmentRules,
    SubscriptionRules,
    UserRules,
)
from data_gen.company.rule_values import Named, Share, Wrong, some_weight

BASE_CURRENCY = "USD"
DEFAULT_RULES = Path(__file__).resolve().parents[1] / "rules.yaml"

# Names that `rules_hash` uses for renamed models and keys: renaming one must not change the
# manifests of unchanged rules.
_HASHED_AS = {
    "DefectRules": "DirtRules",
    "RowDefectRules": "DirtyRowRules",
    "FileDefectRules": "DirtyFileRules",
    "defects": "dirt",
}


class Rules(Section):
    """The rules of the synthetic company."""

    company: CompanyRules
    growth: GrowthRules
    rhythm: RhythmRules
    countries: Annotated[Named[CountryRules], AfterValidator(some_weight)]
    users: UserRules
    customers: CustomerRules
    sessions: SessionRules
    events: Events
    funnel: Annotated[dict[str, Share], Field(min_length=1, max_length=8)]
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
    defects: DefectRules

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, document: Any) -> Any:
        if isinstance(document, Mapping) and "dirt" in document:
            raise Wrong("is now named 'defects'; rename the key and keep what is below it", "dirt")
        return document

    @model_validator(mode="after")
    def _funnel_and_events_fit(self) -> Rules:
        for name, event in self.events.items():
            if event.kind == "commerce" and name not in self.funnel:
                raise Wrong("is a commerce event that the funnel does not have", "events", name)
        for step in self.funnel:
            if step not in self.events or self.events[step].kind != "commerce":
                raise Wrong("is not an event of kind commerce", "funnel", step)
        return self

    @model_validator(mode="after")
    def _countries_exist(self) -> Rules:
        for name in self.countries.keys() - country_codes():
            problem = "is not a code of ISO 3166-1 (data_gen/seeds/iso_countries.csv)"
            raise Wrong(problem, "countries", name)
        return self

    @model_validator(mode="after")
    def _currencies_have_rates(self) -> Rules:
        rates = self.fx.rates
        for name, country in self.countries.items():
            currency = country.currency
            if currency != BASE_CURRENCY and currency not in rates:
                raise Wrong(f"is missing; it is the currency of {name}", "fx", "rates", currency)
        if BASE_CURRENCY in rates:
            problem = "is what the others are measured in, and always 1"
            raise Wrong(problem, "fx", "rates", BASE_CURRENCY)
        return self

    def founded_on(self, day: date) -> Rules:
        """The same company, founded on another day."""
        return self.model_copy(update={"company": CompanyRules(founded=day)})

    def digest(self) -> str:
        """The `rules_hash` of manifests. It is that of the values: comments do not change it."""
        return hashlib.sha256(hashed_text(self).encode()).hexdigest()


def load_rules(path: Path = DEFAULT_RULES) -> Rules:
    """The rules in a file. Raises RulesError, which names the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError("rules", "", f"cannot read {path}: {error}") from error
    return rules_from(text, str(path))


def rules_from(text: str, file: str = "rules") -> Rules:
    """The rules in a YAML text. Raises RulesError, which names the file and the key."""
    return read(Rules, parse(text, file), file)


def hashed_text(value: Any) -> str:
    """The text of rules, or of a part of them, of which `rules_hash` is the digest.

    It is the `repr` of the values with the names of the models and their fields.
    """
    if isinstance(value, Section):
        name = type(value).__name__
        fields = ", ".join(
            f"{_HASHED_AS.get(key, key)}={hashed_text(part)}" for key, part in vars(value).items()
        )
        return f"{_HASHED_AS.get(name, name)}({fields})"
    if isinstance(value, dict):
        parts = ", ".join(f"{key!r}: {hashed_text(part)}" for key, part in value.items())
        return f"{{{parts}}}"
    if isinstance(value, tuple):
        parts = ", ".join(map(hashed_text, value))
        return f"({parts},)" if len(value) == 1 else f"({parts})"
    return repr(value)


# -- JSON Schema -------------------------------------------------------------------------------


class _WithoutTitles(GenerateJsonSchema):
    """A title of a key would only repeat the key."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def schema_text() -> str:
    """The JSON Schema of rules.yaml, as data_gen/rules.schema.json has it."""
    schema = Rules.model_json_schema(schema_generator=_WithoutTitles)
    document = {"$schema": _WithoutTitles.schema_dialect, **schema}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
