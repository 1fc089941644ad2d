"""How the nodes of a build ended: collected while dbt runs, stored between tries, shown by mirrors.

`NodeEnd` and `Outcome` are what `DbtBuild.invoke` has to deliver.
"""

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
    """How a node of a dbt run ended."""

    @property
    def node(self) -> str: ...  # dbt's unique_id
    @property
    def status(self) -> str: ...  # dbt's own word
    @property
    def message(self) -> str: ...


class Outcome(Protocol):
    """How a dbt command ended."""

    @property
    def success(self) -> bool: ...
    @property
    def nodes(self) -> Sequence[NodeEnd]: ...  # including skipped ones
    @property
    def lines(self) -> Sequence[str]: ...  # the output of `dbt ls`
    @property
    def error(self) -> BaseException | None: ...  # why dbt stopped before the end


@dataclass(slots=True)
class Results:
    """The status of each finished node. dbt's threads write it."""

    statuses: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    version: int = 0  # grows with each change
    redact: Callable[[str], str] = str  # applied to each message
    _lock: Lock = field(default_factory=Lock)

    def on_node(self, end: NodeEnd) -> None:
        """A listener for `DbtBuild.invoke`."""
        self.put(end.node, end.status, end.message)

    def put(self, node: str, status: str, message: str = "") -> None:
        with self._lock:
            self.statuses[node] = status
            self.messages[node] = self.redact(message)
            self.version += 1

    def forget(self, nodes: Iterable[str]) -> None:
        """Remove nodes that are about to run again."""
        with self._lock:
            for node in nodes:
                self.statuses.pop(node, None)
            self.version += 1

    def of(self, mirror: Mirror) -> tuple[str, str] | None:
        """How a mirror ends, and why; None while one of its nodes is unfinished."""
        with self._lock:
            statuses = {node: self.statuses[node] for node in mirror.nodes if node in self.statuses}
            bad = [node for node, status in statuses.items() if status not in {*DONE, SKIPPED}]
            reasons = [
                f"{short(node)}: {statuses[node]}. {self.messages.get(node, '')}".strip()
                for node in bad
            ]
        if bad:
            return "failed", "\n".join(reasons)
        if len(statuses) < len(mirror.nodes):
            return None
        skipped = [node for node, status in statuses.items() if status == SKIPPED]
        if skipped:
            counted = f"{len(skipped)} of {len(statuses)} nodes"
            return "skipped", f"{counted} were skipped, because a node upstream failed"
        counted = f"{len(statuses)} node{'s' * (len(statuses) != 1)}"
        return "success", f"{counted}: {', '.join(sorted(map(short, statuses)))}"

    def by_mirror(self, graph: Graph) -> dict[str, tuple[str, str]]:
        """How each finished mirror ends, and why, by the mirror's name."""
        return {mirror.name: end for mirror in graph.mirrors if (end := self.of(mirror))}

    def to_store(self) -> dict[str, list[str]]:
        """The short names of the nodes by status: compact, since a store may limit the size."""
        stored = defaultdict(list)
        with self._lock:
            for node, status in sorted(self.statuses.items()):
                stored[status].append(short(node))
        return dict(stored)

    @classmethod
    def from_store(
        cls, stored: Mapping[str, list[str]], graph: Graph, redact: Callable[[str], str] = str
    ) -> Results:
        """The inverse of `to_store`. An unknown or ambiguous name counts as not run."""
        ids: dict[str, list[str]] = defaultdict(list)
        for node in graph.selectors:
            ids[short(node)].append(node)
        results = cls(redact=redact)
        for status, names in stored.items():
            for name in names:
                if len(ids[name]) == 1:
                    results.put(ids[name][0], status)
        return results


def short(node: str) -> str:
    """The last part of a unique_id.

    `model.shop.orders` gives orders, `test.shop.not_null_orders_id.5f2a` not_null_orders_id.5f2a.
    """
    return node.split(".", 2)[-1]


def unknown(stored: Mapping[str, list[str]], graph: Graph) -> set[str]:
    """The stored names of unsuccessful nodes that the graph does not have."""
    known = {short(node) for node in graph.selectors}
    unsuccessful = {
        name for status, names in stored.items() if status not in DONE for name in names
    }
    return unsuccessful - known


def remaining(graph: Graph, statuses: Mapping[str, str], selected: Iterable[str]) -> set[str]:
    """The nodes that the next try has to run.

    These are the nodes that failed, were skipped or did not run, and the models of a failed test
    that this build has built.
    """
    left = {node for node in selected if statuses.get(node) not in DONE}
    failed_tests = [node for node in left if statuses.get(node) == "fail" and node in graph.tested]
    for test in failed_tests:
        left |= {model for model in graph.tested[test] if statuses.get(model) in DONE}
    return left
