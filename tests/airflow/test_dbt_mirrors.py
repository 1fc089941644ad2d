"""The package dbt_mirrors by itself: what it reads from a manifest, what another try runs, how a mirror ends."""

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
from dbt_mirrors.graph import SOURCES, Graph, known_graph, read_graph
from dbt_mirrors.progress import Reporter, Snapshot, ending
from dbt_mirrors.results import Results, remaining
from saas_analytics.pipeline.dbt_process import NodeEnd, Outcome

RAW, ORDERS, SALES, REPORT = (f"model.shop.{name}" for name in ("raw_orders", "orders", "sales", "report"))
UNIQUE, RELATED, ALONE, FRESH = (f"test.shop.{name}" for name in ("unique.1a", "related.2b", "alone", "fresh.3c"))


def node(kind: str, folder: str, name: str, parents: list[str], **more: Any) -> dict[str, Any]:
    fqn = ["shop", *([folder] if folder else []), name]
    return {"resource_type": kind, "name": name, "fqn": fqn, "depends_on": {"nodes": parents}, "config": {}, **more}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Four models, one of them ephemeral; a test of one model, of two, of none; one of a source; a unit test,
    which no build runs.
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
        "unit_tests": {"unit_test.shop.sales.arithmetic": node("unit_test", "marts", "arithmetic", [SALES])},
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
    # The ephemeral model between them is not built, so it is no task.
    assert mirrors[SALES].upstream == {RAW}
    assert mirrors[REPORT].upstream == {RAW, SALES}
    assert (mirrors[SALES].label, mirrors[SALES].folder) == ("sales", "marts")


def test_above_the_limit_a_mirror_stands_for_a_folder(manifest: Path) -> None:
    mirrors = {mirror.name: mirror for mirror in read_graph(manifest, at_most=2).mirrors}
    assert set(mirrors) == {"staging", "marts", SOURCES}
    assert set(mirrors["marts"].nodes) == {SALES, REPORT, UNIQUE, RELATED, ALONE}
    assert mirrors["marts"].upstream == {"staging"}


@pytest.mark.parametrize(("models", "mirrors"), [(200, 200), (201, 3)])
def test_above_200_models_a_mirror_stands_for_a_folder(tmp_path: Path, models: int, mirrors: int) -> None:
    nodes = {
        f"model.shop.m{number}": node("model", ("staging", "core", "marts")[number % 3], f"m{number}", [])
        for number in range(models)
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": nodes}))
    graph = read_graph(path)
    assert len(graph.mirrors) == mirrors
    assert sorted(key for mirror in graph.mirrors for key in mirror.nodes) == sorted(nodes)


def test_folders_that_need_each_other_make_no_circle(tmp_path: Path) -> None:
    nodes = {
        "model.shop.a": node("model", "one", "a", []),
        "model.shop.b": node("model", "two", "b", ["model.shop.a"]),
        "model.shop.c": node("model", "one", "c", ["model.shop.b"]),
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": nodes}))
    upstream = {mirror.name: set(mirror.upstream) for mirror in read_graph(path, at_most=1).mirrors}
    assert upstream == {"one": {"two"}, "two": set()}


def test_a_manifest_that_is_half_written_shows_the_graph_of_the_last_whole_one(manifest: Path, graph: Graph) -> None:
    whole = manifest.read_text()
    assert known_graph(manifest, at_most=200) == graph
    assert known_graph(manifest, at_most=200) == graph  # now from the file beside it
    manifest.write_text(whole[: len(whole) // 2])
    assert known_graph(manifest, at_most=200) == graph
    manifest.write_text(whole.replace("report", "summary"))
    again = known_graph(manifest, at_most=200)
    assert again is not None
    assert "model.shop.summary" in again
    manifest.unlink()
    assert known_graph(manifest, at_most=200) == again
    assert known_graph(manifest.with_name("nowhere") / "manifest.json", at_most=200) is None


def test_the_graph_of_this_project_has_every_node_once(project_manifest: Path) -> None:
    """The mirrors of the real project: each node that dbt builds is in exactly one of them."""
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
            id="a model failed: it, and what was skipped or had not run",
        ),
        pytest.param(
            {RAW: "success", FRESH: "pass", SALES: "success", UNIQUE: "fail", RELATED: "pass"},
            {SALES, UNIQUE, REPORT, ALONE},
            id="a test failed: also the model that it looked at",
        ),
        pytest.param(
            {RAW: "success", FRESH: "warn", SALES: "success", UNIQUE: "error", RELATED: "pass"},
            {UNIQUE, REPORT, ALONE},
            id="a test that lost its connection looked at nothing",
        ),
    ],
)
def test_another_try_runs_what_is_left(graph: Graph, statuses: dict[str, str], left: set[str]) -> None:
    assert remaining(graph, statuses, graph.selectors) == left


def test_results_are_kept_in_a_small_form_and_come_back(graph: Graph) -> None:
    results = Results()
    for key, status in ((RAW, "success"), (UNIQUE, "fail")):
        results.put(key, status)
    kept = json.loads(json.dumps(results.kept()))
    assert kept == {"success": ["raw_orders"], "fail": ["unique.1a"]}
    assert Results.from_kept(kept, graph).statuses == results.statuses
    assert Results.from_kept({"success": ["gone"]}, graph).statuses == {}


def told(began: int = 0, **mirrors: tuple[str, str]) -> dict[str, Any]:
    return {"began": began, "is_last": False, "mirrors": mirrors}


@pytest.mark.parametrize(
    ("state", "value", "began", "end"),
    [
        pytest.param(None, None, 0, None, id="the build has not begun"),
        pytest.param("running", None, 0, None, id="it has told nothing yet"),
        pytest.param("running", told(sales=("success", "")), 0, "success", id="done while the build goes on"),
        pytest.param("running", told(sales=("failed", "")), 0, None, id="a retry may mend a failure"),
        pytest.param("up_for_retry", told(sales=("failed", "")), 0, None, id="and has not begun"),
        pytest.param("failed", told(sales=("failed", "")), 0, "failed", id="until the build is over"),
        pytest.param("failed", told(sales=("skipped", "")), 0, "skipped", id="what it needs has failed"),
        pytest.param("failed", told(), 0, "skipped", id="it was not reached"),
        pytest.param("success", told(), 0, "skipped", id="not in this build"),
        pytest.param("upstream_failed", None, 0, "skipped", id="landing failed"),
        pytest.param("removed", None, 0, "skipped", id="the task is gone"),
        pytest.param("queued", told(sales=("success", "")), 1, None, id="cleared with the build: that was the former"),
        pytest.param("running", told(1, sales=("success", "")), 1, "success", id="and this is the new one"),
        pytest.param("success", told(sales=("success", "")), 1, "rerun", id="cleared by itself"),
        pytest.param("upstream_failed", told(sales=("success", "")), 1, "skipped", id="cleared, and landing failed"),
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
    assert results.of(mirror) == ("failed", "unique.1a: fail. Got 3 results, configured to fail if != 0")


@pytest.fixture
def told_values(graph: Graph) -> Iterator[tuple[list[Any], Results, list[int]]]:
    """A reporter at work whose receiver refuses twice: what it took, the results, and how often it was asked."""
    values: list[Any] = []
    asked: list[int] = []

    def tell(value: Any) -> None:
        asked.append(len(asked))
        if len(asked) in (2, 3):
            raise ConnectionError("the API server is away")
        values.append(value)

    results = Results()
    with Reporter(results, graph, 7, tell, lambda: None):
        yield values, results, asked


def test_the_reporter_starts_with_nothing_and_survives_a_receiver_that_refuses(
    told_values: tuple[list[Any], Results, list[int]],
) -> None:
    values, results, asked = told_values
    assert values == [{"began": 7, "is_last": False, "mirrors": {}}]
    # dbt tells of its nodes from threads of its own.
    thread = Thread(target=results.on_node, args=[NodeEnd(RAW, "success")])
    thread.start()
    thread.join()
    for _ in range(100):
        if len(values) > 1:
            break
        Event().wait(0.1)
    assert len(asked) == 4
    assert values[-1]["mirrors"] == {RAW: ("success", "1 node: raw_orders")}


class Killed(BaseException):
    """What a test ends the task with where a kill -9 would."""


class ScriptedBuild(DbtBuild):
    """A build whose dbt ends each node as `script` says; nodes that it was not asked for do not run."""

    def __init__(self, *, script: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(task_id="build", **kwargs)
        self.script = script
        self.runs: list[list[str]] = []
        self.told: list[str] = []
        self.killed_in_built = False

    def invoke(self, context: Any, arguments: list[str], listeners: list[Any]) -> Outcome:
        self.runs.append(arguments)
        ended = (NodeEnd(node, status, f"{node} {message}") for node, (status, message) in self.script.items())
        return Outcome(all(status in ("success", "pass") for status, _ in self.script.values()), tuple(ended))

    def message(self, text: str) -> str:
        return text.replace("Ann Lee", "***")

    def failed(self, context: Any, fingerprint: str, error: BuildFailed) -> None:
        self.told.append(type(error).__name__)

    def built(self, context: Any, fingerprint: str) -> None:
        self.told.append("built")
        if self.killed_in_built:
            raise Killed


class Run:
    """What a task has of its run: a store that survives a try, and what was told."""

    def __init__(self) -> None:
        self.store: dict[str, Any] = {}
        self.xcoms: list[Any] = []

    def try_once(self, build: DbtBuild) -> None:
        store = SimpleNamespace(get=self.store.get, set=lambda key, value: self.store.update({key: value}))
        task = SimpleNamespace(xcom_push=lambda key, value: self.xcoms.append(value))
        run = SimpleNamespace(start_date=datetime.now(UTC))
        build.execute({"task_state_store": store, "ti": task, "dag_run": run})


ALL = {RAW: "success", SALES: "success", REPORT: "success", UNIQUE: "pass", RELATED: "pass", ALONE: "pass"}
GREEN = {node: (status, "") for node, status in {**ALL, FRESH: "pass"}.items()}


def test_a_try_after_a_node_that_the_graph_does_not_know_has_failed_builds_everything(manifest: Path) -> None:
    run, build = Run(), ScriptedBuild(manifest=manifest, script={**GREEN, "model.shop.new": ("error", "")})
    for _ in range(2):  # the second one too: it cannot choose what has failed
        with pytest.raises(BuildFailed):
            run.try_once(build)
    assert build.runs == [["--no-use-colors", "build", "--exclude-resource-type", "unit_test"]] * 2


def test_a_task_that_is_killed_after_its_last_node_runs_none_of_them_again(manifest: Path) -> None:
    run, build = Run(), ScriptedBuild(manifest=manifest, script=GREEN)
    build.killed_in_built = True
    with pytest.raises(Killed):
        run.try_once(build)
    build.killed_in_built = False
    run.try_once(build)
    assert len(build.runs) == 1
    assert build.told == ["built", "built"]
    run.try_once(build)  # cleared after its success: that is another build
    assert len(build.runs) == 2


def test_what_a_mirror_shows_of_a_message_is_up_to_the_build(manifest: Path) -> None:
    run, build = (
        Run(),
        ScriptedBuild(manifest=manifest, script={**GREEN, SALES: ("error", "Failing row contains (Ann Lee)")}),
    )
    with pytest.raises(BuildFailed):
        run.try_once(build)
    assert run.xcoms[-1]["mirrors"][SALES] == ("failed", f"sales: error. {SALES} Failing row contains (***)")
    assert "Ann Lee" not in str(run.xcoms)
    assert build.told == ["BuildFailed"]
