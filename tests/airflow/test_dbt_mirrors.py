"""The package dbt_mirrors alone: reading a manifest, resuming a build, ending a mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest

from dbt_mirrors import BuildFailed, DbtBuild
from dbt_mirrors.graph import SOURCES, Graph, cached_graph, read_graph
from dbt_mirrors.progress import Reporter, Snapshot, ending
from dbt_mirrors.results import Results, remaining
from saas_analytics.pipeline.dbt_process import NodeEnd, Outcome

RAW, ORDERS, SALES, REPORT = (
    f"model.shop.{name}" for name in ("raw_orders", "orders", "sales", "report")
)
UNIQUE, RELATED, ALONE, FRESH = (
    f"test.shop.{name}" for name in ("unique.1a", "related.2b", "alone", "fresh.3c")
)


def node(kind: str, folder: str, name: str, parents: list[str], **more: Any) -> dict[str, Any]:
    fqn = ["shop", *([folder] if folder else []), name]
    return {
        "resource_type": kind,
        "name": name,
        "fqn": fqn,
        "depends_on": {"nodes": parents},
        "config": {},
        **more,
    }


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four models, one of them ephemeral.

    One test has one model, one has two, one is attached to none, and one has a source. No build
    runs the unit test.
    """
    content = {
        "nodes": {
            RAW: node("model", "staging", "raw_orders", ["source.shop.raw.orders"]),
            ORDERS: node("model", "core", "orders", [RAW], config={"materialized": "ephemeral"}),
            SALES: node("model", "marts", "sales", [ORDERS]),
            REPORT: node("model", "marts", "report", [SALES, RAW]),
            UNIQUE: node("test", "marts", "unique", [SALES], attached_node=SALES),
            RELATED: node("test", "marts", "related", [REPORT, SALES], attached_node=SALES),
            ALONE: node("test", "", "alone", [RAW, REPORT]),
            FRESH: node("test", "staging", "fresh", ["source.shop.raw.orders"]),
            "operation.shop.hook": node("operation", "", "hook", []),
        },
        "unit_tests": {
            "unit_test.shop.sales.arithmetic": node("unit_test", "marts", "arithmetic", [SALES])
        },
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def graph(manifest: Path) -> Graph:
    return read_graph(manifest)


def test_each_model_has_a_mirror_with_its_tests_and_the_edges_of_the_manifest(graph: Graph) -> None:
    mirrors = {mirror.name: mirror for mirror in graph.mirrors}
    assert {name: mirror.nodes for name, mirror in mirrors.items()} == {
        RAW: (RAW,),
        SALES: tuple(sorted([SALES, UNIQUE, RELATED])),
        REPORT: (REPORT, ALONE),
        SOURCES: (FRESH,),
    }
    # The ephemeral model between them is not built, so it has no mirror.
    assert mirrors[SALES].upstream == {RAW}
    assert mirrors[REPORT].upstream == {RAW, SALES}
    assert (mirrors[SALES].label, mirrors[SALES].folder) == ("sales", "marts")


def test_above_the_limit_a_mirror_stands_for_a_folder(manifest: Path) -> None:
    mirrors = {mirror.name: mirror for mirror in read_graph(manifest, at_most=2).mirrors}
    assert set(mirrors) == {"staging", "marts", SOURCES}
    assert set(mirrors["marts"].nodes) == {SALES, REPORT, UNIQUE, RELATED, ALONE}
    assert mirrors["marts"].upstream == {"staging"}


@pytest.mark.parametrize(("models", "mirrors"), [(200, 200), (201, 3)])
def test_above_200_models_a_mirror_stands_for_a_folder(
    tmp_path: Path, models: int, mirrors: int
) -> None:
    nodes = {
        f"model.shop.m{number}": node(
            "model", ("staging", "core", "marts")[number % 3], f"m{number}", []
        )
        for number in range(models)
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": nodes}))
    graph = read_graph(path)
    assert len(graph.mirrors) == mirrors
    assert sorted(key for mirror in graph.mirrors for key in mirror.nodes) == sorted(nodes)


def test_folders_that_depend_on_each_other_make_no_cycle(tmp_path: Path) -> None:
    nodes = {
        "model.shop.a": node("model", "one", "a", []),
        "model.shop.b": node("model", "two", "b", ["model.shop.a"]),
        "model.shop.c": node("model", "one", "c", ["model.shop.b"]),
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": nodes}))
    upstream = {mirror.name: set(mirror.upstream) for mirror in read_graph(path, at_most=1).mirrors}
    assert upstream == {"one": {"two"}, "two": set()}


def test_an_incomplete_manifest_gives_the_graph_of_the_last_complete_one(
    manifest: Path, graph: Graph
) -> None:
    whole = manifest.read_text()
    assert cached_graph(manifest, at_most=200) == graph
    assert cached_graph(manifest, at_most=200) == graph  # now from the cache
    manifest.write_text(whole[: len(whole) // 2])
    assert cached_graph(manifest, at_most=200) == graph
    manifest.write_text(whole.replace("report", "summary"))
    again = cached_graph(manifest, at_most=200)
    assert again is not None
    assert "model.shop.summary" in again
    manifest.unlink()
    assert cached_graph(manifest, at_most=200) == again
    assert cached_graph(manifest.with_name("nowhere") / "manifest.json", at_most=200) is None


def test_the_graph_of_this_project_has_every_node_once(project_manifest: Path) -> None:
    """In the real project, each node that dbt builds is in exactly one mirror."""
    graph = read_graph(project_manifest)
    shown = [key for mirror in graph.mirrors for key in mirror.nodes]
    assert sorted(shown) == sorted(graph.selectors)
    assert "model.saas_analytics.fact_events" in graph


@pytest.mark.parametrize(
    ("statuses", "left"),
    [
        pytest.param({}, {RAW, SALES, REPORT, UNIQUE, RELATED, ALONE, FRESH}, id="nothing has run"),
        pytest.param(
            {RAW: "success", FRESH: "pass", SALES: "error", UNIQUE: "skipped"},
            {SALES, REPORT, UNIQUE, RELATED, ALONE},
            id="a model failed: run it, and the nodes that were skipped or did not run",
        ),
        pytest.param(
            {RAW: "success", FRESH: "pass", SALES: "success", UNIQUE: "fail", RELATED: "pass"},
            {SALES, UNIQUE, REPORT, ALONE},
            id="a test failed: run its model too",
        ),
        pytest.param(
            {RAW: "success", FRESH: "warn", SALES: "success", UNIQUE: "error", RELATED: "pass"},
            {UNIQUE, REPORT, ALONE},
            id="a test lost its connection: its model is fine",
        ),
    ],
)
def test_the_next_try_runs_what_remains(
    graph: Graph, statuses: dict[str, str], left: set[str]
) -> None:
    assert remaining(graph, statuses, graph.selectors) == left


def test_results_are_stored_in_a_compact_form(graph: Graph) -> None:
    results = Results()
    for key, status in ((RAW, "success"), (UNIQUE, "fail")):
        results.put(key, status)
    stored = json.loads(json.dumps(results.to_store()))
    assert stored == {"success": ["raw_orders"], "fail": ["unique.1a"]}
    assert Results.from_store(stored, graph).statuses == results.statuses
    assert Results.from_store({"success": ["gone"]}, graph).statuses == {}


def report(began: int = 0, **mirrors: tuple[str, str]) -> dict[str, Any]:
    return {"began": began, "is_last": False, "mirrors": mirrors}


@pytest.mark.parametrize(
    ("state", "value", "began", "end"),
    [
        pytest.param(None, None, 0, None, id="the build has not started"),
        pytest.param("running", None, 0, None, id="it has not reported yet"),
        pytest.param(
            "running",
            report(sales=("success", "")),
            0,
            "success",
            id="done while the build goes on",
        ),
        pytest.param(
            "running", report(sales=("failed", "")), 0, None, id="a retry may fix a failure"
        ),
        pytest.param(
            "up_for_retry", report(sales=("failed", "")), 0, None, id="and has not started"
        ),
        pytest.param(
            "failed", report(sales=("failed", "")), 0, "failed", id="until the build is over"
        ),
        pytest.param(
            "failed", report(sales=("skipped", "")), 0, "skipped", id="a node upstream failed"
        ),
        pytest.param("failed", report(), 0, "skipped", id="it was not reached"),
        pytest.param("success", report(), 0, "skipped", id="not in this build"),
        pytest.param("upstream_failed", None, 0, "skipped", id="landing failed"),
        pytest.param("removed", None, 0, "skipped", id="the task is gone"),
        pytest.param(
            "queued",
            report(sales=("success", "")),
            1,
            None,
            id="cleared with the build: the report is old",
        ),
        pytest.param(
            "running", report(1, sales=("success", "")), 1, "success", id="and this one is new"
        ),
        pytest.param("success", report(sales=("success", "")), 1, "rerun", id="cleared alone"),
        pytest.param(
            "upstream_failed",
            report(sales=("success", "")),
            1,
            "skipped",
            id="cleared, and landing failed",
        ),
    ],
)
def test_how_a_mirror_ends(state: str | None, value: Any, began: int, end: str | None) -> None:
    ended = ending(Snapshot(state, value), "sales", began)
    assert (ended and ended[0]) == end


def test_a_mirror_ends_with_all_of_its_nodes(graph: Graph) -> None:
    (mirror,) = (mirror for mirror in graph.mirrors if mirror.name == SALES)
    results = Results()
    for key in (SALES, RELATED):
        results.put(key, "success")
        assert results.of(mirror) is None
    results.put(UNIQUE, "warn")
    assert results.of(mirror) == ("success", "3 nodes: related.2b, sales, unique.1a")
    results.put(UNIQUE, "fail", "Got 3 results, configured to fail if != 0")
    assert results.of(mirror) == (
        "failed",
        "unique.1a: fail. Got 3 results, configured to fail if != 0",
    )


@pytest.fixture
def reporter_at_work(graph: Graph) -> Iterator[tuple[list[Any], Results, list[int]]]:
    """A running reporter whose receiver refuses twice.

    Gives the reports that the receiver took, the results, and the receiver's calls.
    """
    values: list[Any] = []
    calls: list[int] = []

    def publish(value: Any) -> None:
        calls.append(len(calls))
        if len(calls) in (2, 3):
            raise ConnectionError("the API server is down")
        values.append(value)

    results = Results()
    with Reporter(results, graph, 7, publish, lambda: None):
        yield values, results, calls


def test_the_reporter_starts_empty_and_survives_a_receiver_that_refuses(
    reporter_at_work: tuple[list[Any], Results, list[int]],
) -> None:
    values, results, calls = reporter_at_work
    assert values == [{"began": 7, "is_last": False, "mirrors": {}}]
    # dbt reports its nodes from its own threads.
    thread = Thread(target=results.on_node, args=[NodeEnd(RAW, "success")])
    thread.start()
    thread.join()
    for _ in range(100):
        if len(values) > 1:
            break
        Event().wait(0.1)
    assert len(calls) == 4
    assert values[-1]["mirrors"] == {RAW: ("success", "1 node: raw_orders")}


class Killed(BaseException):
    """Ends the task in a test, like a kill -9."""


class ScriptedBuild(DbtBuild):
    """A build whose dbt ends each node as `script` says. Other nodes do not run."""

    def __init__(self, *, script: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(task_id="build", **kwargs)
        self.script = script
        self.runs: list[list[str]] = []
        self.called: list[str] = []
        self.killed_in_built = False

    def invoke(self, context: Any, arguments: list[str], listeners: list[Any]) -> Outcome:
        self.runs.append(arguments)
        ended = (
            NodeEnd(node, status, f"{node} {message}")
            for node, (status, message) in self.script.items()
        )
        return Outcome(
            all(status in ("success", "pass") for status, _ in self.script.values()), tuple(ended)
        )

    def redact(self, text: str) -> str:
        return text.replace("Ann Lee", "***")

    def failed(self, context: Any, fingerprint: str, error: BuildFailed) -> None:
        self.called.append(type(error).__name__)

    def built(self, context: Any, fingerprint: str) -> None:
        self.called.append("built")
        if self.killed_in_built:
            raise Killed


class Run:
    """A run of a task: its state store, which survives a try, and its XComs."""

    def __init__(self) -> None:
        self.store: dict[str, Any] = {}
        self.xcoms: list[Any] = []

    def try_once(self, build: DbtBuild) -> None:
        store = SimpleNamespace(
            get=self.store.get, set=lambda key, value: self.store.update({key: value})
        )
        task = SimpleNamespace(xcom_push=lambda key, value: self.xcoms.append(value))
        run = SimpleNamespace(start_date=datetime.now(UTC))
        build.execute({"task_state_store": store, "ti": task, "dag_run": run})


ALL = {
    RAW: "success",
    SALES: "success",
    REPORT: "success",
    UNIQUE: "pass",
    RELATED: "pass",
    ALONE: "pass",
}
GREEN = {node: (status, "") for node, status in {**ALL, FRESH: "pass"}.items()}


def test_after_the_failure_of_an_unknown_node_the_next_try_builds_everything(
    manifest: Path,
) -> None:
    script = {**GREEN, "model.shop.new": ("error", "")}
    run, build = Run(), ScriptedBuild(manifest=manifest, script=script)
    for _ in range(2):  # the second one too: it cannot select the failed node
        with pytest.raises(BuildFailed):
            run.try_once(build)
    assert build.runs == [["--no-use-colors", "build", "--exclude-resource-type", "unit_test"]] * 2


def test_a_task_killed_after_its_last_node_runs_no_node_again(manifest: Path) -> None:
    run, build = Run(), ScriptedBuild(manifest=manifest, script=GREEN)
    build.killed_in_built = True
    with pytest.raises(Killed):
        run.try_once(build)
    build.killed_in_built = False
    run.try_once(build)
    assert len(build.runs) == 1
    assert build.called == ["built", "built"]
    run.try_once(build)  # cleared after a success: a new build
    assert len(build.runs) == 2


def test_a_build_redacts_the_messages_that_a_mirror_shows(manifest: Path) -> None:
    script = {**GREEN, SALES: ("error", "Failing row contains (Ann Lee)")}
    run, build = Run(), ScriptedBuild(manifest=manifest, script=script)
    with pytest.raises(BuildFailed):
        run.try_once(build)
    reason = f"sales: error. {SALES} Failing row contains (***)"
    assert run.xcoms[-1]["mirrors"][SALES] == ("failed", reason)
    assert "Ann Lee" not in str(run.xcoms)
    assert build.called == ["BuildFailed"]
