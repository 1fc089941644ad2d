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
from dbt_mirrors.graph import Graph, Mirror, cached_graph, read_graph
from dbt_mirrors.progress import XCOM_KEY, Reporter
from dbt_mirrors.results import DONE, NodeEnd, Outcome, Results, remaining, short, unknown

Listener = Callable[[NodeEnd], None]
STORE_KEY = "dbt_mirrors"
# The names of dbt's exception classes for errors in the project or the arguments.
_BROKEN = (
    "CompilationError",
    "DbtProjectError",
    "DbtProfileError",
    "DbtUsageException",
    "ParsingError",
    "YamlLoadError",
)
# Unit tests test the SQL with their own rows, and no new data changes their result. They belong to
# the development of the models: to a `dbt build` by hand, or to CI.
_NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")


class DbtBuild(BaseOperator):  # type: ignore[misc]
    """Runs `dbt build` without unit tests, in the task's own process. A retry resumes the last try.

    Airflow's task state store keeps the results of a try. It outlives the process and a clear of
    the task. While `fingerprint` is the same, the next try runs the nodes that failed, were skipped
    or did not run, and the models of failed tests. After a success, or with another fingerprint, it
    runs everything.

    A project implements `invoke`, which runs dbt. It can override

    - `fingerprint` and `manifest_of`;
    - `already_built`, `built` and `failed`, if one run may have done the work of another;
    - `redact`, if dbt's messages are not for everybody who may see the grid.
    """

    ui_color = "#ffe6cc"

    def __init__(
        self, *, manifest: Path, arguments: Sequence[str] = (), at_most: int = 200, **kwargs: Any
    ) -> None:
        """`manifest` is the manifest.json in dbt's target path. `arguments` follow `dbt build`.

        With more than `at_most` models, a mirror stands for a folder of models.
        """
        kwargs.setdefault("retry_policy", RETRY_POLICY)
        super().__init__(**kwargs)
        self.manifest = Path(manifest)
        self.arguments = list(arguments)
        self.at_most = at_most

    @abstractmethod
    def invoke(
        self, context: Mapping[str, Any], arguments: list[str], listeners: list[Listener]
    ) -> Outcome:
        """Run the dbt command `arguments` and return how it ended.

        Call each of `listeners` with the end of each node, at once and from any thread. A
        KeyboardInterrupt in this thread must stop dbt.
        """

    def fingerprint(self, context: Mapping[str, Any]) -> str:
        """A digest of what the build is made from. If it changes, the last try is not resumed."""
        return ""

    def manifest_of(self, context: Mapping[str, Any]) -> Path:
        """The manifest.json that the dbt of this run writes."""
        return self.manifest

    def already_built(self, context: Mapping[str, Any], fingerprint: str) -> str | None:
        """Why this run has nothing to build; None if it has to build."""
        return None

    def built(self, context: Mapping[str, Any], fingerprint: str) -> None:
        """Called after the whole build has succeeded.

        It is called again if the process was killed during the first call.
        """

    def failed(self, context: Mapping[str, Any], fingerprint: str, error: BuildFailed) -> None:
        """Called after a try that failed."""

    def redact(self, text: str) -> str:
        """Remove what must not be shown from a message of dbt.

        The message of a failed model quotes the server's error, which can contain values.
        """
        return text

    def execute(self, context: Any) -> None:
        store, task, run = context["task_state_store"], context["ti"], context["dag_run"]
        fingerprint = self.fingerprint(context)
        graph, results, nodes = self._plan(context, store.get(STORE_KEY) or {}, fingerprint)
        # If nothing remains, an earlier try of this run built everything, and was killed before it
        # could record that.
        reason = None if nodes == set() else self.already_built(context, fingerprint)
        if reason:
            print(reason)
            for node in graph.selectors:
                results.put(node, "success")
            nodes = set()

        def save(*, ended: bool = False) -> None:
            kept = {"fingerprint": fingerprint, "ended": ended, "results": results.to_store()}
            store.set(STORE_KEY, kept)

        def publish(report: Any) -> None:
            task.xcom_push(XCOM_KEY, report)

        results.forget(nodes or ())
        try:
            with Reporter(results, graph, run.start_date.timestamp(), publish, save):
                if nodes is None:
                    self._build(context, self.arguments, results)
                elif nodes:
                    left = f"{len(nodes)} of {len(graph.selectors)} nodes remain"
                    print(f"Resuming the previous try: {left}.")
                    self._build(context, selection(graph, nodes), results)
        except BuildFailed as error:
            self.failed(context, fingerprint, error)
            raise
        if not reason:
            self.built(context, fingerprint)
        save(ended=True)  # last of all: from here on, another try builds everything

    def run_nodes(self, context: Any, nodes: Iterable[str]) -> None:
        """Build and test these nodes, whatever their earlier results.

        `nodes` are unique ids. Raises BuildFailed.
        """
        arguments = selection(self._graph(context), nodes)
        self._build(context, arguments, Results(redact=self.redact))

    def on_kill(self) -> None:
        # Airflow's handler of SIGTERM calls this in the thread that waits for dbt. dbt then cancels
        # its queries.
        raise KeyboardInterrupt

    def _graph(self, context: Any) -> Graph:
        manifest = self.manifest_of(context)
        graph = cached_graph(manifest, at_most=self.at_most)
        if graph is None:
            self.invoke(context, ["--quiet", "parse"], [])
            graph = read_graph(manifest, at_most=self.at_most)
        return graph

    def _plan(
        self, context: Any, kept: Any, fingerprint: str
    ) -> tuple[Graph, Results, set[str] | None]:
        """The graph, the results so far, and the nodes to run; None stands for all nodes."""
        graph = self._graph(context)
        statuses = kept.get("results", {})
        results = Results.from_store(statuses, graph, redact=self.redact)
        is_same = not kept.get("ended") and kept.get("fingerprint") == fingerprint
        # A failed node that is not in the graph cannot be selected. It is a hook, or a node of
        # another state of the project.
        if not (results.statuses and is_same) or unknown(statuses, graph):
            return graph, Results(redact=self.redact), None
        selected = self._selected(context, graph)
        return graph, results, remaining(graph, results.statuses, selected)

    def _selected(self, context: Any, graph: Graph) -> Iterable[str]:
        """The nodes that this task's arguments select."""
        if not self.arguments:
            return graph.selectors
        listing = ["--quiet", "ls", "--output", "json", "--output-keys", "unique_id"]
        listed = " ".join(self.invoke(context, [*listing, *self.arguments], []).lines)
        return [node for node in graph.selectors if f'"{node}"' in listed]

    def _build(self, context: Any, arguments: Sequence[str], results: Results) -> None:
        command = ["--no-use-colors", "build", *_NO_UNIT_TESTS, *arguments]
        outcome = self.invoke(context, command, [results.on_node])
        for end in outcome.nodes:
            results.on_node(end)  # listeners hear nothing of skipped nodes
        if outcome.success:
            return
        if outcome.error is not None:
            kinds = {kind.__name__ for kind in type(outcome.error).__mro__}
            failure = ProjectBroken if kinds & set(_BROKEN) else BuildFailed
            # Not `from` it: the task's log would show the whole exception, unredacted.
            raise failure(f"dbt stopped before the end: {self.redact(str(outcome.error))}")
        bad = {node: s for node, s in results.statuses.items() if s not in DONE and s != "skipped"}
        tests = [node for node, status in bad.items() if status == "fail"]
        failure = TestsFailed if tests else BuildFailed
        names = ", ".join(sorted(map(short, bad)))
        raise failure(
            f"{len(bad)} node{'s' * (len(bad) != 1)} failed: {names}. The log above says why."
        )


class DbtMirror(BaseOperator):  # type: ignore[misc]
    """Shows one model and its tests in a `DbtBuild`. It lives in the triggerer, without a worker.

    Cleared alone, after the build, it builds and tests its model again.
    """

    start_from_trigger: ClassVar[bool] = True
    ui_color = "#fff5eb"

    def __init__(self, *, build: DbtBuild, mirror: Mirror, **kwargs: Any) -> None:
        super().__init__(
            **kwargs,
            trigger_rule="always",  # it starts with the run, and follows the build from there
            retries=0,
            weight_rule="absolute",
            pool=build.pool,
            do_xcom_push=False,
            on_failure_callback=None,  # the build notifies of its failures
            on_success_callback=None,
        )
        # The params of the DAG hold for every task anyway, and the triggerer reads the whole DAG
        # for each mirror.
        self.params: dict[str, Any] = {}
        self.mirror = mirror
        self.build = build.task_id
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="dbt_mirrors.triggers.MirrorTrigger",
            next_method="rerun",
            trigger_kwargs={"build": build.task_id, "mirror": mirror.name},
        )

    def execute(self, context: Any) -> None:
        """Without a triggerer, as in `airflow dags test`: show the last report of the build."""
        report = context["ti"].xcom_pull(task_ids=self.build, key=XCOM_KEY) or {"mirrors": {}}
        unreported = (None, "The build has not reported on it yet")
        end, reason = report["mirrors"].get(self.mirror.name, unreported)
        print(reason)
        if end == "failed":
            raise BuildFailed(reason)
        if end == "skipped":
            raise AirflowSkipException(reason)

    def rerun(self, context: Any, event: Mapping[str, Any]) -> None:
        """Run on a worker, after the trigger found that this mirror was cleared alone."""
        build = self.dag.get_task(self.build)
        build.run_nodes(context, self.mirror.nodes)

    def on_kill(self) -> None:
        raise KeyboardInterrupt


def mirror_models(build: DbtBuild) -> list[DbtMirror]:
    """Add a mirror for each model of the build's project to the DAG, downstream of the build.

    The mirrors of a folder form a task group, and depend on each other as in dbt's manifest.
    Without a manifest the list is empty; `dbt parse` or the first build writes one.
    """
    graph = cached_graph(build.manifest, at_most=build.at_most)
    if graph is None:
        print(
            f"No manifest at {build.manifest}: the models are not shown. Run `dbt parse`.",
            file=sys.stderr,
        )
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
    """The arguments that select these nodes, unique ids, for dbt. Unknown ones are ignored."""
    selectors = sorted({graph.selectors[node] for node in nodes if node in graph})
    return ["--indirect-selection", "empty", "--select", *selectors]
