"""The declarations of core, marts and dashboards in dbt's manifest; no warehouse is needed."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from saas_analytics.documentation import metrics
from saas_analytics.documentation.project import Project, key_of
from saas_analytics.settings import PROJECT_ROOT

PROJECT = PROJECT_ROOT / "dbt"
Node = dict[str, Any]
MOMENTS = ("updated_at", "period_start")


@pytest.fixture(scope="module")
def manifest(project_manifest: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(project_manifest.read_text())
    return read


def models(manifest: dict[str, Any], layer: str) -> dict[str, Node]:
    """The models of a layer by name. There are some, so no test passes without checking any."""
    found = {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == layer
    }
    assert len(found) >= 20
    return found


@pytest.mark.parametrize(("layer", "access"), [("core", "protected"), ("marts", "public")])
def test_models_have_an_owner_and_an_enforced_contract(
    manifest: dict[str, Any], layer: str, access: str
) -> None:
    groups = {group["name"] for group in manifest["groups"].values()}
    wrong = {
        name: (
            node["access"],
            node["group"],
            node["meta"].get("owner"),
            node["contract"]["enforced"],
        )
        for name, node in models(manifest, layer).items()
        if node["access"] != access
        or node["group"] not in groups
        or not node["meta"].get("owner")
        or not node["contract"]["enforced"]
    }
    assert not wrong


@pytest.mark.parametrize("layer", ["core", "marts"])
def test_every_model_has_a_tested_key(manifest: dict[str, Any], layer: str) -> None:
    """A test checks it in all rows, or the database enforces it; a warning is not enough."""
    held = {
        test["attached_node"]
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        and (about := test.get("test_metadata"))
        and about["name"] == "every_row"
        and key_of(about["kwargs"])
        and (test["config"]["severity"].lower(), test["config"]["where"]) == ("error", None)
    }
    assert not {
        name for name, node in models(manifest, layer).items() if node["unique_id"] not in held
    }


def test_a_mart_is_in_the_group_of_its_folder(manifest: dict[str, Any]) -> None:
    """The group says whom to ask. Marts about the platform itself belong to the platform."""
    groups = {name: node["group"] for name, node in models(manifest, "marts").items()}
    folders = {name: node["fqn"][2] for name, node in models(manifest, "marts").items()}
    assert groups == {
        name: "data_platform" if folder == "quality" else folder for name, folder in folders.items()
    }


def test_every_group_has_an_owner(manifest: dict[str, Any]) -> None:
    assert all(group["owner"]["name"] for group in manifest["groups"].values())


def test_a_dashboard_has_an_owner_and_reads_only_marts(manifest: dict[str, Any]) -> None:
    marts = {node["unique_id"] for node in models(manifest, "marts").values()}
    exposures = manifest["exposures"].values()
    assert exposures
    for exposure in exposures:
        assert exposure["owner"]["name"], exposure["name"]
        assert exposure["depends_on"]["nodes"], exposure["name"]
        assert set(exposure["depends_on"]["nodes"]) <= marts, exposure["name"]


def test_an_exact_model_has_an_index_on_its_rebuild_key(manifest: dict[str, Any]) -> None:
    """With index_lookup its upstreams have one: otherwise each lookup would read the table."""
    nodes = {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "exact"
    }
    exact = {name: node["config"] for name, node in nodes.items()}
    assert len(exact) >= 60
    without = {
        name
        for name, config in exact.items()
        if not any(
            set(index["columns"][: len(config["rebuild_key"])]) == set(config["rebuild_key"])
            for index in config.get("indexes") or []
        )
    }
    assert not without
    looking_up = {
        name: config["index_lookup"] for name, config in exact.items() if config.get("index_lookup")
    }
    assert looking_up
    for name, looked_up in looking_up.items():
        upstreams = {
            key.rpartition(".")[2] for key in nodes[name]["depends_on"]["nodes"]
        } & exact.keys()
        assert looked_up.keys() == upstreams, name
        for upstream, columns in looked_up.items():
            indexes = exact[upstream].get("indexes") or []
            assert any(index["columns"][: len(columns)] == columns for index in indexes), (
                f"{upstream} of {name}"
            )


def test_every_metric_of_the_documentation_agrees_with_its_model_and_its_unit_test(
    manifest: dict[str, Any],
) -> None:
    """Building the page, as `make docs` does, raises an error if one does not."""
    read = metrics.read_metrics(PROJECT_ROOT / "docs/metrics.yml")
    text = metrics.page(Project(manifest, catalog={}, contracts={}), read)["metric-examples.md"]
    assert text.count("\n### ") == len(read)


def test_rejected_rows_are_identified_by_their_key(manifest: dict[str, Any]) -> None:
    """The columns with moments are not part of it."""
    macro = manifest["macros"]["macro.saas_analytics.landed_sources"]["macro_sql"]
    (listed,) = re.findall(r"return\((.*)\) }}", macro, re.DOTALL)
    keys = {
        name.removeprefix("base_"): [
            column for column in node["config"]["key"] if column not in MOMENTS
        ]
        for name, node in models(manifest, "staging").items()
        if name.startswith("base_")
    }
    assert ast.literal_eval(listed.strip()) == keys
