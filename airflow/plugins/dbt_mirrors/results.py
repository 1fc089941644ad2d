"""What became of the nodes of a build: collected while dbt runs, kept over retries, told to the mirrors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from dbt_mirrors.graph import Graph, Mirror

DONE = frozenset({"success", "pass", "warn", "no-op"})
SKIPPED = "skipped"


class NodeEnd(Protocol):
    """How a node of a dbt run has ended."""

    @property
    def node(self) -> str: ...  # dbt's unique_id
    @property
    def status(self) -> str: ...  # as dbt calls it
    @property
    def message(self) -> str: ...


class Outcome(Protocol):
    """How a dbt command has ended."""

    @property
    def success(self) -> bool: ...
    @property
    def nodes(self) -> Sequence[NodeEnd]: ...  # those that were skipped too
    @property
    def lines(self) -> Sequence[str]: ...  # what `dbt ls` lists
    @property
    def error(self) -> BaseException | None: ...  # why dbt did not get to its end


@dataclass(slots=True)
class Results:
    """The status of each node that has ended. The threads of dbt write it."""

    statuses: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    version: int = 0  # grows with each change
    shown: Callable[[str], str] = str  # what of a message is told
    _lock: Lock = field(default_factory=Lock)

    def on_node(self, end: NodeEnd) -> None:
        """A listener of `DbtBuild.invoke`."""
        self.put(end.node, end.status, end.message)

    def put(self, node: str, status: str, message: str = "") -> None:
        with self._lock:
            self.statuses[node] = status
            self.messages[node] = self.shown(message)
            self.version += 1

    def forget(self, nodes: Iterable[str]) -> None:
        """These nodes run again."""
        with self._lock:
            for node in nodes:
                self.statuses.pop(node, None)
            self.version += 1

    def of(self, mirror: Mirror) -> tuple[str, str] | None:
        """How a mirror ends, and why; None while one of its nodes has not ended."""
        with self._lock:
            statuses = {node: self.statuses[node] for node in mirror.nodes if node in self.statuses}
            bad = [node for node, status in statuses.items() if status not in DONE and status != SKIPPED]
            reasons = [f"{short(node)}: {statuses[node]}. {self.messages.get(node, '')}".strip() for node in bad]
        if bad:
            return "failed", "\n".join(reasons)
        if len(statuses) < len(mirror.nodes):
            return None
        skipped = [node for node, status in statuses.items() if status == SKIPPED]
        if skipped:
            return "skipped", f"{len(skipped)} of {len(statuses)} nodes were skipped: what they need has failed"
        return "success", f"{len(statuses)} node{'s' * (len(statuses) != 1)}: {', '.join(sorted(map(short, statuses)))}"

    def by_mirror(self, graph: Graph) -> dict[str, tuple[str, str]]:
        """What is known of the mirrors that have ended."""
        return {mirror.name: end for mirror in graph.mirrors if (end := self.of(mirror))}

    def kept(self) -> dict[str, list[str]]:
        """The statuses as they are kept between tries: small, since a store may refuse what is large."""
        kept = defaultdict(list)
        with self._lock:
            for node, status in sorted(self.statuses.items()):
                kept[status].append(short(node))
        return dict(kept)

    @classmethod
    def from_kept(cls, kept: Mapping[str, list[str]], graph: Graph, shown: Callable[[str], str] = str) -> Results:
        """The opposite of `kept`. A name that two nodes share, or none has, counts as not run."""
        ids: dict[str, list[str]] = defaultdict(list)
        for node in graph.selectors:
            ids[short(node)].append(node)
        results = cls(shown=shown)
        for status, names in kept.items():
            for name in names:
                if len(ids[name]) == 1:
                    results.put(ids[name][0], status)
        return results


def short(node: str) -> str:
    """`model.shop.orders` is orders; `test.shop.not_null_orders_id.5f2a` is not_null_orders_id.5f2a."""
    return node.split(".", 2)[-1]


def unknown(kept: Mapping[str, list[str]], graph: Graph) -> set[str]:
    """The names that were kept, have not succeeded, and are of no node of the graph."""
    known = {short(node) for node in graph.selectors}
    return {name for status, names in kept.items() if status not in DONE for name in names} - known


def remaining(graph: Graph, statuses: Mapping[str, str], selected: Iterable[str]) -> set[str]:
    """The nodes that another try has to run: those that failed, were skipped or did not run, and what a failed test
    looked at where this build has built it.
    """
    left = {node for node in selected if statuses.get(node) not in DONE}
    failed_tests = [node for node in left if statuses.get(node) == "fail" and node in graph.tested]
    for test in failed_tests:
        left |= {model for model in graph.tested[test] if statuses.get(model) in DONE}
    return left
