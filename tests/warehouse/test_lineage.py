"""The lineage of a dbt run, of tables and columns from raw to the marts: in a file, at a server."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from saas_analytics.pipeline.lineage import PARENT, emit_lineage
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.receivers import hook
from tests.warehouse.conftest import Build, land_days
from tests.warehouse.random_company import FIRST_DAY, delivery, write_delivery

RUN = "01890000-0000-7000-8000-000000000000"  # in Airflow


def test_lineage_connects_raw_to_the_marts_in_a_file_and_at_a_server(
    warehouse: Settings,
    build: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_delivery(warehouse.landing_zone, FIRST_DAY, delivery(random.Random(1), FIRST_DAY))
    land_days(warehouse, FIRST_DAY)
    # Lineage is read from dbt's files.
    build(
        warehouse, "build", "--write-json", "--select", "+mrr", "--indirect-selection", "cautious"
    )
    (tmp_path / "dbt").symlink_to(PROJECT_ROOT / "dbt")
    monkeypatch.setenv(PARENT, f"saas_analytics/saas_analytics_pipeline.dbt_build/{RUN}")
    settings, target = replace(warehouse, root=tmp_path), os.environ["DBT_TARGET_PATH"]

    emit_lineage(settings, target)
    lines = (tmp_path / ".local/logs/lineage/events.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["eventType"] == "COMPLETE"]
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in events} == {RUN}
    tables = sources_by_output((table(output), table(input)) for output, input in edges(events))
    assert {"raw.subscriptions", "raw.customers", "raw.fx_rates"} <= upstream_of(
        tables, "marts.mrr"
    )
    columns = sources_by_output(
        ((table(output), column), (table(source), source["field"]))
        for output, _ in edges(events)
        for column, origin in output["facets"]
        .get("columnLineage", {"fields": {}})["fields"]
        .items()
        for source in origin["inputFields"]
    )
    # A column that the library can trace: it does not read every WITH.
    assert ("core.fact_subscription_periods", "customer_id") in upstream_of(
        columns, ("marts.mrr", "customer_id")
    )
    # A test of one model is an assertion about it; any other test is a run of its own.
    asserted = {
        assertion["name"]
        for event in events
        for dataset in event["inputs"]
        if table(dataset) == "marts.mrr"
        for assertion in dataset["facets"].get("dataQualityAssertions", {"assertions": []})[
            "assertions"
        ]
    }
    assert "every_row_of_mrr" in asserted
    assert "test.saas_analytics.mrr_has_every_month_of_a_customer" in {
        event["job"]["name"] for event in events
    }

    with hook() as server:
        emit_lineage(
            replace(settings, lineage_url=f"http://127.0.0.1:{server.server_port}"), target
        )
    assert len(server.got) == len(lines)
    capsys.readouterr()
    # The server is down now.
    emit_lineage(replace(settings, lineage_url=f"http://127.0.0.1:{server.server_port}"), target)
    assert "The lineage of this dbt run could not be emitted" in capsys.readouterr().err


def edges(events: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each pair of an output and an input of an event."""
    for event in events:
        for output in event.get("outputs", ()):
            for input in event.get("inputs", ()):
                yield output, input


def table(dataset: dict[str, Any]) -> str:
    """The name of a data set without the database."""
    return str(dataset["name"].partition(".")[2])


def sources_by_output(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, set[Any]]:
    graph = defaultdict(set)
    for made, source in pairs:
        graph[made].add(source)
    return graph


def upstream_of(graph: dict[Any, set[Any]], start: Any) -> set[Any]:
    """Everything upstream of `start`."""
    seen: set[Any] = set()
    waiting = [start]
    while waiting:
        for source in graph.get(waiting.pop(), set()) - seen:
            seen.add(source)
            waiting.append(source)
    return seen
