"""rules.yaml: an error names the file, the key and the problem. Its JSON Schema is up to date."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from data_gen.company.lists import COUNTRIES, country_codes, founding_rates
from data_gen.company.reading import RulesError
from data_gen.company.rules import (
    DEFAULT_RULES,
    hashed_text,
    load_rules,
    rules_from,
    schema_text,
)

TEXT = DEFAULT_RULES.read_text(encoding="utf-8")


def with_change(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, f"{old!r} must occur once in rules.yaml for this test"
    return TEXT.replace(old, new)


def test_shipped_rules_are_valid_and_exact() -> None:
    rules = load_rules()
    assert rules.users.active_share == Decimal("0.62")  # not the nearest binary number
    assert rules.products.price.smallest == 450
    assert list(rules.funnel) == ["view_product", "add_to_cart", "checkout_started", "purchase"]


def test_every_key_is_explained() -> None:
    """Each key has a comment in its line, above it or below it. Tables have one at their head."""
    tables = ("countries", "events", "funnel")
    lines = TEXT.splitlines()
    section, missing = "", []
    for number, line in enumerate(lines):
        key = line.split(":")[0]
        following = lines[number + 1].strip() if number + 1 < len(lines) else ""
        commented = (
            "#" in line or following.startswith("#") or lines[number - 1].strip().startswith("#")
        )
        if line and not line.startswith((" ", "#")):
            section = key
            if section in tables and not commented and not lines[number - 1].startswith("#"):
                missing.append(section)
        elif (
            line.startswith("  ") and line[2].isalpha() and section not in tables and not commented
        ):
            missing.append(f"{section}.{key.strip()}")
    assert missing == []


@pytest.mark.parametrize(
    ("old", "new", "path", "problem"),
    [
        (
            "launch_users: 1000",
            "launch_user: 1000",
            "growth.launch_user",
            "did you mean 'launch_users'",
        ),
        ("  launch_days: 14 ", "  #launch_days: 14 ", "growth.launch_days", "is missing"),
        ("launch_users: 1000", "launch_users: many", "growth.launch_users", "whole number"),
        ("launch_users: 1000", "launch_users: true", "growth.launch_users", "whole number"),
        ("launch_users: 1000", "launch_users: -1", "growth.launch_users", "between 0 and"),
        ("active_share: 0.62", "active_share: 1.2", "users.active_share", "share between 0 and 1"),
        ("active_share: 0.62", "active_share: .nan", "", "not a number"),
        ("founded: 2023-01-01", "founded: soon", "company.founded", "YYYY-MM-DD"),
        ("founded: 2023-01-01", "founded: 2023-02-30", "", "YAML"),
        (
            "free_shipping_from: 150.00",
            "free_shipping_from: 1.005",
            "orders.free_shipping_from",
            "two digits",
        ),
        ("items: [[0, 1], [45, 2]", "items: [[0, 1], [45, 0]", "orders.items", "must not fall"),
        (
            "items: [[0, 1], [45, 2]",
            "items: [[1, 1], [45, 2]",
            "orders.items",
            "rise from 0 to 100",
        ),
        ("items: [[0, 1], [45, 2]", "items: [[0, 0], [45, 2]", "orders.items", "between 1 and 100"),
        ("items: [[0, 1], [45, 2]", "items: [[0, 1, 2], [45, 2]", "orders.items", "curve"),
        (
            "late_days: [[0, 1], [70, 3], [100, 8]]",
            "late_days: [[0, 1], [100, 91]]",
            "delivery.late_days",
            "90",
        ),
        ("weekdays: [108, ", "weekdays: [", "rhythm.weekdays", "7 values"),
        (
            "page_view: {kind: engagement, weight",
            "page_view: {kind: fun, weight",
            "events.page_view.kind",
            "one of",
        ),
        (
            "view_product: {kind: commerce}",
            "view_product: {kind: commerce, weight: 2}",
            "events.view_product.weight",
            "",
        ),
        ("  purchase: 0.82 ", "  buy: 0.82 ", "events.purchase", "the funnel does not have"),
        (
            "results: [0, 250]",
            "results: [0, 250, 9]",
            "events.search.properties.results",
            "from, to",
        ),
        (
            "api_call: {kind: feature, weight: 6,",
            "api_call: {kind: feature,",
            "events.api_call.weight",
            "needed",
        ),
        (
            "changes: {country: 20, role: 45,",
            "changes: {country: 20, rolle: 45,",
            "users.changes.rolle",
            "known keys",
        ),
        (
            "GB: {weight: 14, currency: GBP, ",
            "GB: {weight: 14, ",
            "countries.GB.currency",
            "is missing",
        ),
        ("  ES: {", "  NO: {", "countries.False", "quotes"),  # the YAML trap: NO is false
        (
            "downgrade_share: 0.08",
            "downgrade_share: 0.8",
            "subscriptions.downgrade_share",
            "more than",
        ),
        ("always_share: 0.6", "always_share: 0", "products.always_share", "no product"),
        ("exact_duplicate: 0.004", "exact_duplicate: 0.994", "defects.rows", "more than 1"),
        ("crlf: 0.01", "clrf: 0.01", "defects.files.clrf", "did you mean 'crlf'"),
        ("holidays: [01-26, ", "holidays: [02-30, ", "countries.IN.holidays", "MM-DD"),
        ("outage_hours: [9, 12]", "outage_hours: [12, 9]", "rhythm.outage_hours", "before"),
        (
            "  daily_move: 0.006 ",
            "  rates: {EUR: 1.09, JPY: 0.0068}\n  daily_move: 0.006 ",
            "fx.rates.GBP",
            "is missing",
        ),
        (
            "  daily_move: 0.006 ",
            "  rates: {JPY: 0.00000001}\n  daily_move: 0.006 ",
            "fx.rates.JPY",
            "digits",
        ),
        ("  ES: {", "  UK: {", "countries.UK", "ISO 3166-1"),
        (
            "search: {kind: engagement, ",
            "search: {kind: engagement, released: 3, ",
            "events.search.released",
            "feature",
        ),
        (
            "campaigns: [awareness]",
            "campaigns: []",
            "marketing.channels.display.campaigns",
            "at least one",
        ),
        ("growth:", "groth:", "groth", "did you mean 'growth'"),
        ("\ndefects:\n", "\ndirt:\n", "dirt", "is now named 'defects'"),
        ("  launch_days: 14 ", "  launch_users: 14 ", "", "twice"),
        ("role: 45", "role: [45", "", "YAML"),
    ],
)
def test_a_wrong_rule_is_named(old: str, new: str, path: str, problem: str) -> None:
    with pytest.raises(RulesError) as caught:
        rules_from(with_change(old, new))
    assert path in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_rates_at_the_founding_are_those_of_the_list(tmp_path: Path) -> None:
    assert load_rules().fx.rates == {"EUR": 1_090_000, "GBP": 1_270_000, "JPY": 6_800}
    path = tmp_path / "fx_rates.csv"
    path.write_text("currency,usd_rate\nEUR,1.09\nGBP,soon\n")
    assert founding_rates(path) == {"EUR": Decimal("1.09"), "GBP": "soon"}


def test_the_countries_of_the_generator_are_those_of_the_models() -> None:
    """Both lists are files of their own, as neither part reads the other's."""
    models = DEFAULT_RULES.parents[1] / "dbt" / "seeds" / "countries.csv"
    assert models.read_text(encoding="utf-8") == COUNTRIES.read_text(encoding="utf-8")
    assert len(country_codes()) == 249


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot read"):
        load_rules(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RulesError, match="cannot read"):
        load_rules(tmp_path / "latin.yaml")
    for text in ("", "[]", "17"):
        with pytest.raises(RulesError, match="the file: must be a mapping"):
            rules_from(text)


def test_a_message_names_the_file_and_every_wrong_key(tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    text = with_change("launch_users: 1000", "launch_user: 1000")
    text = text.replace("active_share: 0.62", "active_share: 2")
    file.write_text(text.replace("utc_offset: 9,", "utc_offset: 90,"), encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_rules(file)
    assert str(caught.value) == (
        f"{file}: growth.launch_user: is not a known key; did you mean 'launch_users'? "
        "(also wrong: countries.JP.utc_offset, users.active_share)"
    )


def test_a_key_in_a_list_is_named_with_its_place() -> None:
    text = with_change("{device: tablet, platform: ios, weight: 6}", "{device: tablet, weight: 6}")
    with pytest.raises(RulesError, match=r"sessions\.devices\[3\]\.platform: is missing"):
        rules_from(text)


def test_rules_hash_is_that_of_the_values() -> None:
    """A renamed model or key, or another version of pydantic, must not change the manifests."""
    rules = load_rules()
    assert rules_from(TEXT.replace("# ", "# Another comment. ")).digest() == rules.digest()
    assert rules_from(with_change("skew: 0.03", "skew: 0.04")).digest() != rules.digest()
    text = hashed_text(rules)
    assert text.startswith(
        "Rules(company=CompanyRules(founded=datetime.date(2023, 1, 1)), "
        "growth=GrowthRules(launch_users=1000, launch_days=14, signups_at_start=24, "
    )
    for part in (
        "countries={'US': CountryRules(weight=40, currency='USD', tax_rate=Decimal('0.07'), ",
        "devices=(DeviceRules(device='desktop', platform='web', weight=55), DeviceRules(",
        "EventRules(kind='signup', weight=None, released=None, properties={'method': ('email', ",
        "campaigns=('awareness',))",
        ", dirt=DirtRules(rows=DirtyRowRules(exact_duplicate=Decimal('0.004'), ",
        ", files=DirtyFileRules(byte_order_mark=Decimal('0.01'), ",
        "redelivered_after_days=Curve([1, 1, ",
    ):
        assert part in text


# -- JSON Schema -------------------------------------------------------------------------------


def test_the_schema_is_that_of_the_models() -> None:
    schema = DEFAULT_RULES.with_name("rules.schema.json")
    assert schema.read_text(encoding="utf-8") == schema_text(), (
        f"python -m data_gen.company.rules > {schema.relative_to(DEFAULT_RULES.parents[1])}"
    )
    assert TEXT.startswith(f"# yaml-language-server: $schema={schema.name}\n")


def as_json(text: str) -> Any:
    """YAML as an editor checks it: days are texts."""

    def day(value: Any) -> str:
        assert isinstance(value, date) and not isinstance(value, datetime)
        return value.isoformat()

    return json.loads(json.dumps(yaml.safe_load(text), default=day))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("launch_users: 1000", "launch_user: 1000"),
        ("launch_users: 1000", "launch_users: many"),
        ("active_share: 0.62", "active_share: 1.2"),
        ("items: [[0, 1], [45, 2]", "items: [[0, 0], [45, 2]"),
        ("weekdays: [108, ", "weekdays: ["),
        ("page_view: {kind: engagement, weight", "page_view: {kind: fun, weight"),
        ("changes: {country: 20, role: 45,", "changes: {country: 20, rolle: 45,"),
        ("campaigns: [awareness]", "campaigns: []"),
    ],
)
def test_the_schema_accepts_the_rules_and_rejects_wrong_ones(old: str, new: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert validator.is_valid(as_json(TEXT))
    assert not validator.is_valid(as_json(with_change(old, new)))
