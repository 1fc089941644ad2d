"""The contracts: valid by the standard's own schema, and consistent in themselves."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from saas_analytics.contracts import CONTRACTS, SOURCES, ContractError, load_contract, read_contract


@pytest.mark.parametrize("source", SOURCES)
def test_contract_fulfils_the_open_data_contract_standard(source: str) -> None:
    document = yaml.safe_load((CONTRACTS / f"{source}.yaml").read_text())
    schema_file = (
        resources.files("datacontract")
        / f"schemas/odcs-{document['apiVersion'].removeprefix('v')}.schema.json"
    )

    jsonschema.validate(document, yaml.safe_load(schema_file.read_text()))

    assert document["id"] == source
    assert [schema["name"] for schema in document["schema"]] == [source]


@pytest.mark.parametrize("source", SOURCES)
def test_contract_is_consistent(source: str) -> None:
    contract = load_contract(source)
    names = contract.column_names

    assert contract.source == source
    assert len(set(names)) == len(names)
    assert contract.required
    assert contract.key, "without a key rows cannot be distinguished"
    assert set(contract.key) <= set(names)
    if contract.event_time is not None:
        assert contract.column(contract.event_time).logical_type in ("date", "timestamp")
    assert contract.payload == (
        "document" if contract.delivery_format in ("json", "jsonl") else "columns"
    )
    assert not {"_doc", "_extra", "_file", "_line", "_load_id", "_partition"} & set(names)


def test_columns_that_identify_a_person_are_classified() -> None:
    personal = {column.name for column in load_contract("users").columns if column.pii}

    assert personal == {"email", "full_name", "phone"}
    users = load_contract("users")
    assert all(users.column(name).classification == "restricted" for name in personal)


def test_unknown_source_is_reported_with_the_known_ones() -> None:
    with pytest.raises(ContractError, match=r"no contract for the source 'evnts'.*events"):
        load_contract("evnts")


def test_broken_contract_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text("schema: []")

    with pytest.raises(ContractError, match=r"odd\.yaml"):
        read_contract(path)
