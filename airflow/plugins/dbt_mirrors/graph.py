"""The part of a dbt project that Airflow shows, read from dbt's manifest.json."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

# Nodes that dbt builds and that other nodes can depend on.
_BUILT = ("model", "seed", "snapshot")
SOURCES = "sources"  # the mirror of tests that use only sources


@dataclass(frozen=True, slots=True)
class Mirror:
    """One task in the grid: a model with its tests, or all models of a folder with theirs."""

    name: str  # unique in the project; the key of its results
    label: str
    folder: str  # the first folder under models/, or empty
    nodes: tuple[str, ...]  # unique ids
    upstream: frozenset[str]  # names of mirrors


@dataclass(frozen=True, slots=True)
class Graph:
    """The nodes of a project that a build runs, and their mirrors. It has no unit tests."""

    mirrors: tuple[Mirror, ...]
    selectors: Mapping[str, str]  # by unique id: the argument that selects the node
    tested: Mapping[str, frozenset[str]]  # by test: the models, seeds and snapshots that it uses

    def __contains__(self, node: str) -> bool:
        return node in self.selectors


def cached_graph(manifest: Path, *, at_most: int) -> Graph | None:
    """The graph of the last complete manifest; None if there has never been one.

    dbt may be writing the manifest at this moment, or may have left it incomplete. So a small file
    next to it caches the graph, with the modification time of the manifest.
    """
    cache = manifest.with_name(f"dbt_mirrors.2.{at_most}.json")
    cache_time = cache.stat().st_mtime_ns if cache.exists() else None
    try:
        manifest_time = manifest.stat().st_mtime_ns
        if manifest_time != cache_time:
            graph = read_graph(manifest, at_most=at_most)
            _write_cache(cache, graph, manifest_time)
            return graph
    except (FileNotFoundError, json.JSONDecodeError):
        if cache_time is None:
            return None
    content = json.loads(cache.read_bytes())
    return Graph(
        mirrors=tuple(
            Mirror(m["name"], m["label"], m["folder"], tuple(m["nodes"]), frozenset(m["upstream"]))
            for m in content["mirrors"]
        ),
        selectors=content["selectors"],
        tested={test: frozenset(models) for test, models in content["tested"].items()},
    )


def _write_cache(path: Path, graph: Graph, time: int) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(asdict(graph), default=sorted))
        os.utime(unfinished, ns=(time, time))
        unfinished.replace(path)
    except OSError:
        return  # without write access the manifest is read every time


def read_graph(manifest: Path, *, at_most: int = 200) -> Graph:
    """The graph of a manifest. With more than `at_most` models, a mirror stands for a folder."""
    content = json.loads(manifest.read_bytes())
    nodes: dict[str, dict[str, Any]] = {
        key: node
        for key, node in content["nodes"].items()
        if node["resource_type"] in (*_BUILT, "test")
    }
    parents = _parents(nodes)
    built = [
        key
        for key, node in nodes.items()
        if node["resource_type"] in _BUILT and not _ephemeral(node)
    ]
    folder_of = {key: "/".join(nodes[key]["fqn"][1:-1]) or nodes[key]["fqn"][0] for key in built}
    by_folder = len(built) > at_most
    name_of = folder_of if by_folder else {key: key for key in built}

    members: dict[str, list[str]] = defaultdict(list)
    for key in built:
        members[name_of[key]].append(key)
    tested = {}
    for key, node in nodes.items():
        if node["resource_type"] == "test":
            tested[key] = parents[key]
            name = name_of[_owner(node, parents[key], parents)] if parents[key] else SOURCES
            members[name].append(key)
    upstream: dict[str, set[str]] = {name: set() for name in members}
    for key in built:
        upstream[name_of[key]] |= {name_of[parent] for parent in parents[key]} - {name_of[key]}
    mirrors = [
        Mirror(
            name=name,
            label=name.replace("/", ".") if by_folder or name == SOURCES else nodes[name]["name"],
            folder="" if by_folder or name == SOURCES else _top_folder(nodes[name]),
            nodes=tuple(sorted(keys)),
            upstream=frozenset(upstream[name]),
        )
        for name, keys in sorted(members.items())
    ]
    return Graph(
        mirrors=tuple(_without_cycles(mirrors)),
        selectors={
            key: "fqn:" + ".".join(node["fqn"])
            for key, node in nodes.items()
            if not _ephemeral(node)
        },
        tested=tested,
    )


def _ephemeral(node: Mapping[str, Any]) -> bool:
    return (node.get("config") or {}).get("materialized") == "ephemeral"


def _top_folder(node: Mapping[str, Any]) -> str:
    folders = node["fqn"][1:-1]
    return str(folders[0]) if folders else ""


def _parents(nodes: Mapping[str, dict[str, Any]]) -> dict[str, frozenset[str]]:
    """The built nodes that each node depends on.

    An ephemeral model is not built, so its own parents take its place.
    """

    @cache
    def of(key: str) -> frozenset[str]:
        found: set[str] = set()
        for parent in nodes[key]["depends_on"].get("nodes", ()):  # a seed has none
            if parent in nodes:
                found |= of(parent) if _ephemeral(nodes[parent]) else {parent}
        return frozenset(found)

    return {key: of(key) for key in nodes}


def _owner(
    test: Mapping[str, Any], tested: frozenset[str], parents: Mapping[str, frozenset[str]]
) -> str:
    """The model whose mirror shows a test: the one it is defined at, or else the last it uses."""
    attached = test.get("attached_node")
    if attached in tested:
        return str(attached)

    @cache
    def depth(key: str) -> int:
        return 1 + max((depth(parent) for parent in parents[key]), default=0)

    return max(tested, key=lambda key: (depth(key), key))


def _without_cycles(mirrors: Iterable[Mirror]) -> list[Mirror]:
    """Folders may depend on each other, tasks may not: drop each edge that would close a cycle."""
    kept: dict[str, set[str]] = {}
    result = []
    for mirror in mirrors:
        kept[mirror.name] = set()
        for upstream in sorted(mirror.upstream):
            if not _reaches(kept, upstream, mirror.name):
                kept[mirror.name].add(upstream)
        result.append(mirror)
    return [
        Mirror(mirror.name, mirror.label, mirror.folder, mirror.nodes, frozenset(kept[mirror.name]))
        for mirror in result
    ]


def _reaches(upstream: Mapping[str, set[str]], start: str, goal: str) -> bool:
    seen, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += upstream.get(name, ())
    return False
