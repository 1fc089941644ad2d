"""The dbt project agrees with the data contracts: columns, freshness and personal data.

A contract defines the rows of a source. dbt declares the columns again, as the source that a base
model reads; these tests keep both equal.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from saas_analytics.settings import PROJECT_ROOT

CONTRACTS = PROJECT_ROOT / "saas_analytics/contracts"
STAGING = PROJECT_ROOT / "dbt" / "models" / "staging"
PROVENANCE = ["_file", "_line", "_load_id", "_partition"]
LOAD_LOG = {"loads", "touched_days", "rejects"}


@dataclass(frozen=True)
class Contract:
    """The parts of a contract that these tests need."""

    source: str
    columns: dict[str, str]  # name -> description
    required: list[str]
    personal: set[str]
    is_document: bool
    freshness_hours: int

    @classmethod
    def read(cls, path: Path) -> Contract:
        document = yaml.safe_load(path.read_text())
        (schema,) = document["schema"]
        properties = schema["properties"]
        payload = {item["property"]: item["value"] for item in schema["customProperties"]}[
            "payload"
        ]
        return cls(
            source=path.stem,
            columns={item["name"]: item["description"] for item in properties},
            required=[item["name"] for item in properties if item.get("required")],
            personal={item["name"] for item in properties if "pii" in item.get("tags", [])},
            is_document=payload == "document",
            freshness_hours=next(
                item["value"]
                for item in document["slaProperties"]
                if item["property"] == "freshness"
            ),
        )


def _source_tables() -> dict[str, dict[str, Any]]:
    (raw,) = yaml.safe_load((STAGING / "_staging__sources.yml").read_text())["sources"]
    return {table["name"]: table for table in raw["tables"]}


TABLES = _source_tables()
SOURCES = sorted(TABLES.keys() - LOAD_LOG)


def _contract(source: str) -> Contract:
    return Contract.read(CONTRACTS / f"{source}.yaml")


def test_every_base_model_reads_a_declared_source() -> None:
    base_models = {
        path.stem.removeprefix("base_") for path in (STAGING / "base").glob("base_*.sql")
    }
    assert base_models == set(SOURCES)


def test_every_source_has_a_contract() -> None:
    assert set(SOURCES) <= {path.stem for path in CONTRACTS.glob("*.yaml")}


@pytest.mark.parametrize("source", SOURCES)
def test_source_has_the_columns_of_its_raw_table(source: str) -> None:
    contract = _contract(source)
    payload = ["_doc"] if contract.is_document else [*contract.columns, "_extra"]
    assert [column["name"] for column in TABLES[source]["columns"]] == payload + PROVENANCE


@pytest.mark.parametrize("source", SOURCES)
def test_source_describes_its_columns_as_the_contract_does(source: str) -> None:
    contract = _contract(source)
    for column in TABLES[source]["columns"]:
        name = column["name"]
        if name in contract.columns:
            assert column["description"] == contract.columns[name], name
            assert column.get("config", {}).get("meta", {}).get("pii", False) == (
                name in contract.personal
            ), name


@pytest.mark.parametrize("source", SOURCES)
def test_source_is_stale_when_the_contract_says_so(source: str) -> None:
    limit = TABLES[source]["config"]["freshness"]["error_after"]
    assert limit == {"count": _contract(source).freshness_hours, "period": "hour"}


def _lists(pattern: str, source: str) -> list[str]:
    """The names in the lists of a base model that the group of the pattern matches."""
    sql = (STAGING / "base" / f"base_{source}.sql").read_text()
    return [name for found in re.findall(pattern, sql) for name in ast.literal_eval(found)]


@pytest.mark.parametrize("source", SOURCES)
def test_base_model_reads_every_column_of_the_contract(source: str) -> None:
    read = [
        *_lists(r"set columns = (\[[^]]*\])", source),
        *_lists(r"landed_columns\(\s*source\([^)]*\), (\[[^]]*\])\s*\)", source),
        *_lists(r"landed_documents\(.*?, columns, (\[[^]]*\])\)", source),
    ]
    assert sorted(read) == sorted(_contract(source).columns)


@pytest.mark.parametrize("source", SOURCES)
def test_base_model_rejects_rows_without_a_required_column(source: str) -> None:
    # A typed column is missing where its raw text is missing.
    missing = {
        name.removeprefix("raw_") for name in _lists(r"reject_missing\((\[[^]]*\])\)", source)
    }
    assert missing == set(_contract(source).required)


@pytest.mark.parametrize("source", SOURCES)
def test_personal_columns_are_marked_in_every_model(source: str) -> None:
    personal = _contract(source).personal
    for path in (PROJECT_ROOT / "dbt" / "models").rglob(f"*_{source}.yml"):
        (model,) = yaml.safe_load(path.read_text())["models"]
        for column in model["columns"]:
            if column["name"] in personal:
                assert column.get("config", {}).get("meta", {}).get("pii") is True, (
                    f"{path.name}: {column['name']}"
                )
