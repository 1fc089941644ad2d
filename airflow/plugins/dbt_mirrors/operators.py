"""The task that runs dbt, and the tasks that show its models."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, TaskGroup
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import StartTriggerArgs

from dbt_mirrors.errors import RETRY_POLICY, BuildFailed, ProjectBroken, TestsFailed
from dbt_mirrors.graph import Graph, Mirror, known_graph, read_graph
from dbt_mirrors.progress import XCOM_KEY, Reporter
from dbt_mirrors.results import DONE, NodeEnd, Outcome, Results, remaining, short, unknown

Listener = Callable[[NodeEnd], None]
STORE_KEY = "dbt_mirrors"
# What of a dbt exception lies in the project or the arguments, by the names of dbt's own exception classes.
_BROKEN = (
    "CompilationError",
    "DbtProjectError",
    "DbtProfileError",
    "DbtUsageException",
    "ParsingError",
    "YamlLoadError",
)
# They test the SQL on rows of their own, which no day changes: that is for whoever changes it, by hand or in CI.
_NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")


class DbtBuild(BaseOperator):  # type: ignore[misc]
    """Runs `dbt build`, without unit tests, in the task's own process; another try goes on where the one before ended.

    What a try has done is kept in Airflow's task state store, which outlives the process and a clear of the task. As
    long as `fingerprint` is the same, the next try runs what has failed, was skipped or had not run yet, and the models
    of failed tests. After a success, or another fingerprint, it runs everything.

    A project says in `invoke` how it runs dbt. It overrides `fingerprint` and `manifest_of` too; `already_built`,
    `built` and `failed` where a run may find that another one has done its work; and `message` where what dbt says is
    not for everybody who may see the grid.
    """

    ui_color = "#ffe6cc"

    def __init__(self, *, manifest: Path, arguments: Sequence[str] = (), at_most: int = 200, **kwargs: Any) -> None:
        """`manifest` is the manifest.json in dbt's target path. `arguments` are put after `dbt build`.

        With more than `at_most` models, a mirror stands for a folder of models.
        """
        kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.manifest = Path(manifest)
        self.arguments = list(arguments)
        self.at_most = at_most

    @abstractmethod
    def invoke(self, context: Mapping[str, Any], arguments: list[str], listeners: list[Listener]) -> Outcome:
        """Run a dbt command, telling the end of each node to `listeners`, and say how it ended."""

    def fingerprint(self, context: Mapping[str, Any]) -> str:
        """What the build is made from. Where it differs from that of the try before, that try is worth nothing."""
        return ""

    def manifest_of(self, context: Mapping[str, Any]) -> Path:
        """The manifest.json that the dbt of this run writes."""
        return self.manifest

    def already_built(self, context: Mapping[str, Any], fingerprint: str) -> str | None:
        """Why this run has nothing to build; None where it has to."""
        return None

    def built(self, context: Mapping[str, Any], fingerprint: str) -> None:
        """Called after the whole build has succeeded, with what it was made from; again where that was cut short."""

    def failed(self, context: Mapping[str, Any], fingerprint: str, error: BuildFailed) -> None:
        """Called after a try that has failed."""

    def message(self, text: str) -> str:
        """What of a message of dbt is shown: one about a failed model quotes what the server said, with its values."""
        return text

    def execute(self, context: Any) -> None:
        store, task, run = context["task_state_store"], context["ti"], context["dag_run"]
        fingerprint = self.fingerprint(context)
        graph, results, nodes = self._plan(context, store.get(STORE_KEY) or {}, fingerprint)
        # Where nothing is left, this run has built it all itself, and was killed before it could say so.
        reason = None if nodes == set() else self.already_built(context, fingerprint)
        if reason:
            print(reason)
            for node in graph.selectors:
                results.put(node, "success")
            nodes = set()

        def keep(*, ended: bool = False) -> None:
            store.set(STORE_KEY, {"fingerprint": fingerprint, "ended": ended, "results": results.kept()})

        def tell(told: Any) -> None:
            task.xcom_push(XCOM_KEY, told)

        results.forget(nodes or ())
        try:
            with Reporter(results, graph, run.start_date.timestamp(), tell, keep):
                if nodes is None:
                    self._build(context, self.arguments, results)
                elif nodes:
                    left = f"{len(nodes)} of {len(graph.selectors)} nodes are left"
                    print(f"Going on where the try before ended: {left}.")
                    self._build(context, selection(graph, nodes), results)
        except BuildFailed as error:
            self.failed(context, fingerprint, error)
            raise
        if not reason:
            self.built(context, fingerprint)
        keep(ended=True)  # the last of all: from here on, another try builds everything

    def run_nodes(self, context: Any, nodes: Iterable[str]) -> None:
        """Build and test these nodes, whatever became of them before."""
        self._build(context, selection(self._graph(context), nodes), Results(shown=self.message))

    def on_kill(self) -> None:
        # In Airflow's handler of SIGTERM, in the thread that waits for dbt, which then cancels its queries.
        raise KeyboardInterrupt

    def _graph(self, context: Any) -> Graph:
        manifest = self.manifest_of(context)
        graph = known_graph(manifest, at_most=self.at_most)
        if graph is None:
            self.invoke(context, ["--quiet", "parse"], [])
            graph = read_graph(manifest, at_most=self.at_most)
        return graph

    def _plan(self, context: Any, kept: Any, fingerprint: str) -> tuple[Graph, Results, set[str] | None]:
        """The graph, what is known of its nodes, and the nodes to run; None is all of them."""
        graph = self._graph(context)
        statuses = kept.get("results", {})
        results = Results.from_kept(statuses, graph, shown=self.message)
        goes_on = results.statuses and not kept.get("ended") and kept.get("fingerprint") == fingerprint
        # What failed and is not in the graph cannot be chosen: it is of a project, or a hook, that the graph is not of.
        if not goes_on or unknown(statuses, graph):
            return graph, Results(shown=self.message), None
        return graph, results, remaining(graph, results.statuses, self._selected(context, graph))

    def _selected(self, context: Any, graph: Graph) -> Iterable[str]:
        """The nodes that this task's arguments select."""
        if not self.arguments:
            return graph.selectors
        listing = ["--quiet", "ls", "--output", "json", "--output-keys", "unique_id", *self.arguments]
        listed = " ".join(self.invoke(context, listing, []).lines)
        return [node for node in graph.selectors if f'"{node}"' in listed]

    def _build(self, context: Any, arguments: Sequence[str], results: Results) -> None:
        outcome = self.invoke(context, ["--no-use-colors", "build", *_NO_UNIT_TESTS, *arguments], [results.on_node])
        for end in outcome.nodes:
            results.on_node(end)  # nodes that were skipped are told by nobody else
        if outcome.success:
            return
        if outcome.error is not None:
            kinds = {kind.__name__ for kind in type(outcome.error).__mro__}
            failure = ProjectBroken if kinds & set(_BROKEN) else BuildFailed
            # Not `from` it: what the log of the task shows of an exception is all of it.
            raise failure(f"dbt did not get to its end: {self.message(str(outcome.error))}")
        bad = {node: s for node, s in results.statuses.items() if s not in DONE and s != "skipped"}
        tests = [node for node, status in bad.items() if status == "fail"]
        failure = TestsFailed if tests else BuildFailed
        failed = f"{len(bad)} node{'s' * (len(bad) != 1)} failed"
        raise failure(f"{failed}: {', '.join(sorted(map(short, bad)))}. The log above says why.")


class DbtMirror(BaseOperator):  # type: ignore[misc]
    """Shows what becomes of one model and its tests in a `DbtBuild`. It lives in the triggerer and needs no worker.

    Cleared by itself, after the build, it builds and tests its model again.
    """

    start_from_trigger: ClassVar[bool] = True
    ui_color = "#fff5eb"

    def __init__(self, *, build: DbtBuild, mirror: Mirror, **kwargs: Any) -> None:
        super().__init__(
            **kwargs,
            trigger_rule="always",  # it is there from the start of the run, and learns from the build what happens
            retries=0,
            weight_rule="absolute",
            pool=build.pool,
            do_xcom_push=False,
            on_failure_callback=None,  # the build tells of its failures
            on_success_callback=None,
        )
        # Those of the DAG, which hold for every task anyway. The triggerer reads the whole DAG for each mirror.
        self.params: dict[str, Any] = {}
        self.mirror = mirror
        self.build = build.task_id
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="dbt_mirrors.triggers.MirrorTrigger",
            next_method="rerun",
            trigger_kwargs={"build": build.task_id, "mirror": mirror.name},
        )

    def execute(self, context: Any) -> None:
        """Without a triggerer, as in `airflow dags test`: show what the build has told so far."""
        told = context["ti"].xcom_pull(task_ids=self.build, key=XCOM_KEY) or {"mirrors": {}}
        end, reason = told["mirrors"].get(self.mirror.name, (None, "The build has told nothing of it yet"))
        print(reason)
        if end == "failed":
            raise BuildFailed(reason)
        if end == "skipped":
            raise AirflowSkipException(reason)

    def rerun(self, context: Any, event: Mapping[str, Any]) -> None:
        """On a worker: the trigger found that this mirror was cleared by itself."""
        build = self.dag.get_task(self.build)
        build.run_nodes(context, self.mirror.nodes)

    def on_kill(self) -> None:
        raise KeyboardInterrupt


def mirror_models(build: DbtBuild) -> list[DbtMirror]:
    """A mirror for each model of the build's project, in a group for each folder, with the edges of the manifest.

    Without a manifest there are none; `dbt parse` makes one, and so does the first build.
    """
    graph = known_graph(build.manifest, at_most=build.at_most)
    if graph is None:
        print(f"No manifest at {build.manifest}: the models are not shown. `dbt parse` makes it.", file=sys.stderr)
        return []
    mirrors = graph.mirrors
    groups = {folder: TaskGroup(folder) for folder in sorted({m.folder for m in mirrors}) if folder}
    tasks = {
        mirror.name: DbtMirror(
            task_id=mirror.label,
            task_group=groups.get(mirror.folder),
            build=build,
            mirror=mirror,
        )
        for mirror in mirrors
    }
    for mirror in mirrors:
        upstream = [tasks[name] for name in sorted(mirror.upstream)]
        tasks[mirror.name].set_upstream(upstream or [build])
    return list(tasks.values())


def selection(graph: Graph, nodes: Iterable[str]) -> list[str]:
    """Arguments by which dbt runs these nodes."""
    selectors = sorted({graph.selectors[node] for node in nodes if node in graph})
    return ["--indirect-selection", "empty", "--select", *selectors]
