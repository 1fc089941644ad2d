"""The input of generated pages: dbt's manifest and catalogue, and the contracts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

Node = Mapping[str, Any]
LAYERS = {"staging": "Staging", "core": "Core", "marts": "Marts"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that refers to a column of another table, by a test or by a contract."""

    table: str
    column: str
    to: str
    to_column: str


@dataclass(frozen=True)
class Project:
    """dbt's manifest and catalogue (empty without a warehouse), and the contracts by source."""

    manifest: Mapping[str, Any]
    catalog: Mapping[str, Any]
    contracts: Mapping[str, Mapping[str, Any]]

    @cached_property
    def models(self) -> dict[str, Node]:
        """Models and seeds by their name."""
        nodes = self.manifest["nodes"].values()
        kept = [node for node in nodes if node["resource_type"] in ("model", "seed")]
        return {node["name"]: node for node in sorted(kept, key=lambda node: str(node["name"]))}

    @cached_property
    def tests(self) -> dict[str, list[Node]]:
        """The data tests of each model, by its name."""
        names = {node["unique_id"]: name for name, node in self.models.items()}
        found: dict[str, list[Node]] = {name: [] for name in self.models}
        for node in self.manifest["nodes"].values():
            if node["resource_type"] == "test" and node.get("attached_node") in names:
                found[names[node["attached_node"]]].append(node)
        return found

    @cached_property
    def unit_tests(self) -> dict[str, Node]:
        return {test["name"]: test for test in self.manifest["unit_tests"].values()}

    @cached_property
    def references(self) -> list[Reference]:
        """The references that the tests `relationships` and `relationships_where` check."""
        found = []
        for name, tests in self.tests.items():
            for test in tests:
                about = test.get("test_metadata") or {}
                if about.get("name") in ("relationships", "relationships_where"):
                    arguments = about["kwargs"]
                    to = re.sub(r"^ref\(['\"](\w+)['\"]\)$", r"\1", arguments["to"])
                    found.append(Reference(name, arguments["column_name"], to, arguments["field"]))
        return sorted(found, key=lambda reference: (reference.table, reference.column))

    @cached_property
    def contract_references(self) -> list[Reference]:
        """References between contracts, by name: `customer_id` refers to customers."""
        return [
            Reference(source, column["name"], owner, column["name"])
            for source, contract in self.contracts.items()
            for column in columns_of(contract)
            if (owner := column["name"].removesuffix("_id") + "s") in self.contracts
            and column["name"].endswith("_id")
            and owner != source
        ]

    def key(self, name: str) -> list[str]:
        """The key columns of a model, from its tests or else its unique index; empty if unknown."""
        for test in self.tests[name]:
            about = test.get("test_metadata") or {}
            if about.get("name") == "every_row" and (key := key_of(about["kwargs"])):
                return key
            if about.get("name") == "unique":
                return [about["kwargs"]["column_name"]]
        for index in self.models[name]["config"].get("indexes") or []:
            if index.get("unique"):
                return list(index["columns"])
        return []

    def column_type(self, node: Node, column: str) -> str:
        """The type in the warehouse, or the declared one if no warehouse answered."""
        known = self.catalog.get("nodes", {}).get(node["unique_id"], {}).get("columns", {})
        if column in known:
            return str(known[column]["type"])
        return str(node["columns"][column].get("data_type") or "")

    def part(self, node: Node) -> str:
        """The page of a model in the data dictionary: its layer, and for marts also its domain."""
        if node["resource_type"] == "seed":
            return "seeds"
        folder = Path(node["path"]).parts
        return f"{folder[0]}-{folder[1]}" if folder[0] == "marts" else folder[0]


def key_of(arguments: Mapping[str, Any]) -> list[str]:
    """The key columns that a test `every_row` checks; empty if there are none."""
    return list(arguments.get("enforced_key") or arguments.get("key") or ())


def columns_of(contract: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The columns of a contract, as it declares them."""
    yield from contract["schema"][0]["properties"]


def read_project(target: Path, contracts: Path) -> Project:
    """Read the project.

    `target` holds manifest.json and, after `dbt docs generate`, catalog.json. `contracts` is the
    folder of the YAML files.
    """
    catalog = target / "catalog.json"
    return Project(
        manifest=json.loads((target / "manifest.json").read_text(encoding="utf-8")),
        catalog=json.loads(catalog.read_text(encoding="utf-8")) if catalog.exists() else {},
        contracts={
            path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in sorted(contracts.glob("*.yaml"))
        },
    )
