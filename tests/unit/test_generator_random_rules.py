"""Random rules: valid ones never crash or break a manifest; errors of invalid ones name the key."""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_gen.company.company import Company, exact_scale
from data_gen.company.making import write_day
from data_gen.company.reading import RulesError
from data_gen.company.rule_sections import Section
from data_gen.company.rule_values import (
    Cents,
    MoneyPoints,
    Points,
    Rate,
    Share,
    ValueKind,
    Whole,
)
from data_gen.company.rules import DEFAULT_RULES, Rules, rules_from
from tests.generator_reading import read

FOUNDED = date(2026, 1, 1)
DEFAULT: dict[str, Any] = yaml.safe_load(DEFAULT_RULES.read_text(encoding="utf-8"))
SCALE = "0.01"
# Larger values only make more work, or are bound by another key.
MOST = {
    "growth.signups_at_start": 800,
    "growth.signups_at_plateau": 800,
    "growth.launch_users": 4000,
    "sessions.events": 60,
    "users.sessions_per_1000_days": 6000,
    "subscriptions.upgrade_share": 0.5,
    "subscriptions.downgrade_share": 0.5,
    "defects.rows": 0.05,
    "defects.files": 0.1,
    "orders.items": 12,
    "products.count": 400,
    "customers.users_each": 50,
}
# Texts, names and lists that belong together stay as they are.
FIXED = {
    "company",
    "countries",
    "events",
    "funnel",
    "rhythm.hours",
    "rhythm.outage_hours",
    "marketing.channels",
}


def most(path: str, otherwise: Any) -> Any:
    return next(
        (value for key, value in MOST.items() if path == key or path.startswith(f"{key}.")),
        otherwise,
    )


def values_of(kind: Any, default: Any, path: str = "") -> st.SearchStrategy[Any]:
    """Valid values for a key of the rules."""
    if path in FIXED:
        return st.just(default)
    if isinstance(kind, type) and issubclass(kind, Section):
        inner = (f"{path}.{{}}" if path else "{}").format
        return st.fixed_dictionaries(
            {
                name: values_of(kind_of(kind, name), default[name], inner(name))
                for name in kind.model_fields
                if name in default
            }
        )
    if get_origin(kind) is dict:
        item = get_args(kind)[1]
        return st.fixed_dictionaries(
            {name: values_of(item, value, f"{path}.{name}") for name, value in default.items()}
        )
    if kind == Share:
        return st.integers(0, int(most(path, 1) * 1000)).map(lambda n: n / 1000)
    if kind == Cents:
        return st.integers(0, 30_000).map(lambda n: n / 100)
    if kind == Rate:
        return st.integers(1, 5_000_000).map(lambda n: n / 10**6)
    limits = limits_of(kind)
    if limits is None:
        return st.just(default)
    low, high = limits.low, min(limits.high, max(limits.low + 60, 400))
    if isinstance(limits, MoneyPoints):
        return curves(st.integers(max(low, 1), 90_000)).map(
            lambda points: [[at, cents / 100] for at, cents in points]
        )
    numbers = st.integers(low, int(most(path, high)))
    return numbers if isinstance(limits, Whole) else curves(numbers)


def kind_of(section: type[Section], name: str) -> Any:
    """The type of a key as it is written in the section."""
    field = section.model_fields[name]
    kinds = [metadata for metadata in field.metadata if isinstance(metadata, ValueKind)]
    return Annotated[field.annotation, kinds[0]] if kinds else field.annotation


def limits_of(kind: Any) -> Whole | Points | None:
    """The bounds of a number or a curve."""
    if get_origin(kind) is not Annotated:
        return None
    return next((limit for limit in get_args(kind)[1:] if isinstance(limit, Whole | Points)), None)


def curves(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    middle = st.lists(st.integers(1, 99), unique=True, max_size=3).map(sorted)
    return middle.flatmap(
        lambda at: st.lists(values, min_size=len(at) + 2, max_size=len(at) + 2).map(
            lambda drawn: [list(point) for point in zip([0, *at, 100], sorted(drawn), strict=True)]
        )
    )


def weights_are_there(document: dict[str, Any]) -> dict[str, Any]:
    """At least one weight of each kind is above 0, as the rules ask for."""
    for section, key in (
        ("users", "roles"),
        ("users", "changes"),
        ("customers", "segments"),
        ("customers", "industries"),
        ("customers", "changes"),
        ("payments", "methods"),
        ("shipments", "carriers"),
        ("returns", "reasons"),
    ):
        weights = document[section][key]
        weights[next(iter(weights))] += 1
    next(iter(document["subscriptions"]["plans"].values()))["weight"] += 1
    document["rhythm"]["weekdays"] = DEFAULT["rhythm"]["weekdays"]
    document["products"]["always_share"] = max(document["products"]["always_share"], 0.5)
    document["products"]["count"] = max(document["products"]["count"], 2)
    return document


RULES = values_of(Rules, DEFAULT).map(weights_are_there)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(document=RULES, later=st.integers(0, 150))
def test_random_valid_rules(document: dict[str, Any], later: int) -> None:
    rules = rules_from(yaml.safe_dump(document, sort_keys=False)).founded_on(FOUNDED)
    company = Company(rules, 1, exact_scale(SCALE))
    with tempfile.TemporaryDirectory() as place:
        for day in {FOUNDED, FOUNDED + timedelta(days=later)}:
            written = write_day(company, day, Path(place))
            truth = Path(place) / "_truth" / f"dt={day}"
            assert pq.read_table(truth / "kpis.parquet").num_rows >= 12
            for file in written:
                content = file.path.read_bytes()
                assert (len(content), hashlib.sha256(content).hexdigest()) == (
                    file.bytes,
                    file.sha256,
                )
                if truth in file.path.parents:
                    continue
                manifest = json.loads((file.path.parent / "_manifest.json").read_text())
                assert manifest["files"] == [
                    {
                        "name": file.path.name,
                        "rows": file.rows,
                        "bytes": file.bytes,
                        "sha256": file.sha256,
                    }
                ]
                found = read(file.path)
                assert len(found.rows) + len(found.rejects) == file.rows, file.path


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    return [path]


LEAVES = [leaf for leaf in leaves(DEFAULT) if leaf[0] != "countries" or leaf[-1] != "holidays"]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    leaf=st.sampled_from(LEAVES),
    wrong=st.sampled_from(
        [-1, "much", True, [], {"a": 1}, [[0, -3], [100, 2]], [1, "x"], 1e40, None, "NaN"]
    ),
)
def test_random_invalid_values_are_named(leaf: tuple[Any, ...], wrong: Any) -> None:
    document = copy.deepcopy(DEFAULT)
    parent = document
    for key in leaf[:-1]:
        parent = parent[key]
    if isinstance(parent[leaf[-1]], str) and isinstance(wrong, str):
        wrong = -1  # any text is valid where texts are free
    parent[leaf[-1]] = wrong
    if wrong == -1 and leaf[-1] == "utc_offset":
        return  # west of Greenwich
    if wrong is None and leaf[-1] in ("weight", "released", "properties", "referrer"):
        return  # is optional
    if wrong == [] and leaf[-1] in ("launch_days", "outage_days"):
        return  # none
    with pytest.raises(RulesError) as caught:
        rules_from(yaml.safe_dump(document, sort_keys=False))
    message = str(caught.value)
    path = ".".join(str(key) for key in leaf)
    assert path in message or path.rsplit(".", 1)[0] in message
    assert "\n" not in message


@settings(max_examples=60, deadline=None, derandomize=True)
@given(leaf=st.sampled_from(LEAVES), other=st.booleans())
def test_keys_that_are_missing_or_unknown_are_named(leaf: tuple[Any, ...], other: bool) -> None:
    document = copy.deepcopy(DEFAULT)
    parent = document
    for key in leaf[:-1]:
        parent = parent[key]
    value = parent.pop(leaf[-1])
    if other:
        parent[f"{leaf[-1]}_x"] = value
    try:
        rules_from(yaml.safe_dump(document, sort_keys=False))
    except RulesError as error:
        assert str(leaf[-1]) in str(error) or ".".join(map(str, leaf[:-1])) in str(error)
    else:  # only where names are free, or the key is optional
        assert leaf[-1] in ("weight", "released", "properties", "referrer") or leaf[0] in (
            "users", "customers", "returns", "shipments", "payments", "events", "countries", "fx",
        )  # fmt: skip
