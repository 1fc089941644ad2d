"""Generated pages: diagrams, data dictionary, contracts, settings and performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from saas_analytics.documentation.diagrams import Box, Edge, draw
from saas_analytics.documentation.markdown import code, table, text
from saas_analytics.documentation.project import (
    LAYERS,
    Node,
    Project,
    Reference,
    columns_of,
    key_of,
)
from saas_analytics.settings_table import SECTIONS

Pages = dict[str, str]  # Markdown by path in the site's source

_PART_TITLES = {"staging": "Staging", "core": "Core", "seeds": "Seeds"}


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a model in the runs of quality.dbt_results, and its size.

    Seconds are per run. `last_rows` is the number of rows that the last run wrote, if known.
    `rows` and `bytes` are the current size of the table.
    """

    runs: int
    first_seconds: Decimal
    median_seconds: Decimal
    last_seconds: Decimal
    last_rows: int | None
    rows: int
    bytes: int


def dictionary(project: Project) -> Pages:
    """A page for each layer and domain, with every model and every column."""
    parts: dict[str, list[str]] = {}
    for name, node in project.models.items():
        parts.setdefault(project.part(node), []).append(name)
    pages = {
        f"dictionary/{part}.md": _dictionary_page(project, part, names)
        for part, names in parts.items()
    }
    ordered = sorted(parts, key=_order_of_part)
    index = [
        "# Data dictionary",
        "",
        "Every model and every column, from dbt's manifest and the catalogue of the warehouse. "
        '<a href="../dbt.html#!/overview?g_v=1">The lineage</a> shows their dependencies.',
        "",
    ]
    for part in ordered:
        index += [f"## [{_part_title(part)}]({part}.md)", ""]
        index += [
            f"- [{code(name)}](#model-{name}): {text(_first_sentence(project.models[name]))}"
            for name in parts[part]
        ]
        index.append("")
    listed = "\n".join(ordered)
    pages["dictionary/index.md"] = "\n".join(
        [*index, f"```{{toctree}}\n:hidden:\n\n{listed}\n```", ""]
    )
    return pages


def _order_of_part(part: str) -> tuple[int, str]:
    order = ("marts", "core", "staging", "seeds")
    return order.index(part.partition("-")[0]), part


def _part_title(part: str) -> str:
    return _PART_TITLES.get(part) or "Marts: " + part.removeprefix("marts-")


def _first_sentence(node: Node) -> str:
    sentence = " ".join(str(node["description"]).split()).split(". ")[0]
    return sentence.rstrip(".") + "."


def _dictionary_page(project: Project, part: str, names: Sequence[str]) -> str:
    lines = [f"# {_part_title(part)}", ""]
    for name in names:
        node = project.models[name]
        lines += [f"(model-{name})=", f"## {text(name)}", "", text(node["description"]), ""]
        lines += [_facts_of_model(project, name, node), ""]
        rows = [
            (
                code(column),
                code(project.column_type(node, column)),
                text(about.get("description") or ""),
                _rules(project, name, column, about),
            )
            for column, about in node["columns"].items()
        ]
        lines += [table(("column", "type", "meaning", "rules"), rows), ""]
    return "\n".join(lines)


def _facts_of_model(project: Project, name: str, node: Node) -> str:
    kind = node["config"]["materialized"] if node["resource_type"] == "model" else "seed"
    facts = [f"{code(node['schema'] + '.' + name)}, {kind}"]
    if key := project.key(name):
        facts.append("key: " + ", ".join(map(code, key)))
    if owner := (node["config"].get("meta") or {}).get("owner"):
        facts.append(f"owner: {text(owner)}")
    place = f"../dbt.html#!/{node['resource_type']}/{node['unique_id']}"
    lineage = f'<a href="{place}">definition and lineage</a>'
    return "; ".join([*facts, lineage])


def _rules(project: Project, name: str, column: str, about: Mapping[str, Any]) -> str:
    rules = [
        "not null"
        for constraint in about.get("constraints") or []
        if constraint["type"] == "not_null"
    ]
    for test in project.tests[name]:
        metadata = test.get("test_metadata") or {}
        arguments = metadata.get("kwargs") or {}
        if metadata.get("name") == "every_row":
            rules += _rules_of_every_row(arguments, column)
        if arguments.get("column_name") != column:
            continue
        match metadata["name"]:
            case "relationships" | "relationships_where":
                pass  # below
            case other:
                rules.append(str(other).replace("_", " "))
    words = [text(rule) for rule in dict.fromkeys(rules)]
    words += [
        f"in [{code(reference.to)}](#model-{reference.to})"
        for reference in project.references
        if (reference.table, reference.column) == (name, column)
    ]
    return "; ".join(words)


def _rules_of_every_row(arguments: Mapping[str, Any], column: str) -> list[str]:
    """The rules of a test `every_row` about a single column."""
    rules = ["unique"] if key_of(arguments) == [column] else []
    if column in arguments.get("not_null", ()):
        rules.append("not null")
    if (least := arguments.get("at_least", {}).get(column)) is not None:
        rules.append(f"at least {least}")
    if limits := arguments.get("between", {}).get(column):
        rules.append(f"at least {limits[0]} and at most {limits[1]}")
    if values := arguments.get("one_of", {}).get(column):
        rules.append("one of " + ", ".join(map(str, values)))
    return rules


def diagrams(project: Project) -> Pages:
    """The entity-relationship diagrams of the warehouse and of the sources."""
    return {
        "erd.md": "\n".join(
            [
                "---",
                "hide-toc: true",
                "---",
                "",
                "# Entity-relationship diagrams",
                "",
                "A line goes from a key, on the left, to the columns that hold its values. PK "
                "marks the primary key of a table, FK a foreign key. A box links to its "
                "description.",
                "",
                "## The warehouse",
                "",
                "Core: dimensions and facts. A line is a test that runs with each build. A dashed "
                "line is a key without a test, because the row that it names may land later. `_sk` "
                "is the key of a version of a dimension. Only keys are shown. The days of all "
                "facts are in `dim_date`.",
                "",
                _svg(_core_diagram(project)),
                "",
                "## The sources",
                "",
                "The rows that sources deliver, by their [contracts](contracts/index.md). A row "
                "may refer to a row that has not landed yet. It is kept, and "
                "[the models](explanation/exactness.md) connect the two when the other lands.",
                "",
                _svg(_source_diagram(project)),
                "",
            ]
        )
    }


def _svg(drawn: str) -> str:
    return f'```{{raw}} html\n<div class="diagram-scroll">{drawn}</div>\n```'


def _core_diagram(project: Project) -> str:
    names = [
        n
        for n, node in project.models.items()
        if n.startswith(("dim_", "fact_")) and node["resource_type"] == "model"
    ]
    tested = [r for r in project.references if r.table in names and r.to in names]
    known = {(reference.table, reference.column) for reference in tested}
    untested = [r for r in _by_name(project, names) if (r.table, r.column) not in known]
    references = [*tested, *untested]
    boxes = {}
    for name in names:
        keys, ours = project.key(name), {r.column for r in references if r.table == name}
        pointed_at = {r.to_column for r in references if r.to == name}
        shown = [
            c for c in project.models[name]["columns"] if c in ours or c in keys or c in pointed_at
        ]
        # The surrogate key of a version stands for the columns that identify the version.
        rows = tuple(
            ("FK" if c in ours else "PK" if c in keys or c in pointed_at else "", c) for c in shown
        )
        kind = "dimension" if name.startswith("dim_") else "fact"
        boxes[name] = Box(name, rows, f"dictionary/core.html#model-{name.replace('_', '-')}", kind)
    edges = [
        *map(_edge, tested),
        *(replace(_edge(reference), dashed=True) for reference in untested),
    ]
    return draw(boxes, edges, "Dimensions and facts")


def _by_name(project: Project, names: Sequence[str]) -> list[Reference]:
    """References by name: a column of a fact that is the key of another fact and of a source."""
    owners = {
        key[0]: name
        for name in names
        if name.startswith("fact_") and len(key := project.key(name)) == 1
    }
    owned = {reference.column for reference in project.contract_references}
    return [
        Reference(name, column, owners[column], column)
        for name in names
        for column in project.models[name]["columns"]
        if column in owners and column in owned and owners[column] != name
    ]


def _source_diagram(project: Project) -> str:
    references = project.contract_references
    boxes = {}
    for source, contract in project.contracts.items():
        ours = {r.column for r in references if r.table == source}
        rows = tuple(
            (
                "PK" if column.get("primaryKey") else "FK" if column["name"] in ours else "",
                column["name"],
            )
            for column in columns_of(contract)
        )
        kind = "dimension" if any(r.to == source for r in references) else "fact"
        boxes[source] = Box(source, rows, f"contracts/{source}.html", kind)
    return draw(boxes, [_edge(reference) for reference in references], "Sources")


def _edge(reference: Reference) -> Edge:
    return Edge(reference.to, reference.table, reference.to_column, reference.column)


def contracts(project: Project, files: Mapping[str, str]) -> Pages:
    """A page for each contract: its columns as a table, and its text from `files`."""
    pages = {}
    for source, contract in project.contracts.items():
        schema = contract["schema"][0]
        properties = {
            entry["property"]: entry["value"] for entry in schema.get("customProperties") or []
        }
        service = {
            entry["property"]: f"{entry['value']} {entry.get('unit', '')}"
            for entry in contract["slaProperties"]
        }
        rows = [
            (
                code(column["name"]) + (" (key)" if column.get("primaryKey") else ""),
                text(column["logicalType"]),
                "required" if column.get("required") else "",
                text(column.get("classification") or "")
                + "".join(f", {text(tag)}" for tag in column.get("tags") or []),
                text(column["description"]) + _options(column),
            )
            for column in columns_of(contract)
        ]
        pages[f"contracts/{source}.md"] = "\n".join(
            [
                f"# {text(source)}",
                "",
                f"{text(contract['description']['purpose'])} "
                f"{text(schema['dataGranularityDescription'])}",
                "",
                f"Version {contract['version']}, delivered as "
                f"{text(properties.get('deliveryFormat', 'a file'))}; "
                f"stale after {text(service.get('freshness', 'no time'))}. "
                f"Lands in {code(schema['physicalName'])}, typed in "
                f"[{code('stg_' + source)}](#model-stg_{source}).",
                "",
                table(("column", "type", "", "class", "meaning"), rows),
                "",
                "## The contract",
                "",
                f"{code(f'saas_analytics/contracts/{source}.yaml')}, in the form of the Open Data "
                "Contract Standard.",
                "",
                "```yaml",
                files[source].rstrip(),
                "```",
                "",
            ]
        )
    listing = [
        (
            f"[{text(source)}]({source}.md)",
            text(contract["description"]["purpose"]),
            str(len(list(columns_of(contract)))),
        )
        for source, contract in project.contracts.items()
    ]
    listed = "\n".join(project.contracts)
    pages["contracts/index.md"] = "\n".join(
        [
            "# Contracts",
            "",
            "The required columns and values of each source. The raw tables, the types in staging "
            "and the reasons of rejects follow from these files.",
            "",
            table(("source", "content", "columns"), listing, numbers={2}),
            "",
            f"```{{toctree}}\n:hidden:\n\n{listed}\n```",
            "",
        ]
    )
    return pages


def _options(column: Mapping[str, Any]) -> str:
    options = column.get("logicalTypeOptions") or {}
    said = [f"{key} {value}" for key, value in options.items()]
    if examples := column.get("examples"):
        said.append("such as " + ", ".join(map(str, examples)))
    return f" ({text('; '.join(said))})" if said else ""


def settings() -> Pages:
    """The page of the settings, generated from their table."""
    lines = [
        "# Settings",
        "",
        "Settings are lines `KEY=value` in `.env`. `make up` makes that file (mode 600). A "
        "variable of the shell or of make wins over it. After a change run `make down && make up`. "
        "`analytics settings` prints every value, and where it was set.",
        "",
    ]
    for section, entries in SECTIONS.items():
        rows = [
            (
                code(setting.key),
                code(setting.default)
                or (f"`make up`: {setting.made}" if setting.made else "empty"),
                text(setting.meaning),
            )
            for setting in entries
        ]
        lines += [f"## {text(section)}", "", table(("setting", "default", "meaning"), rows), ""]
    return {"settings.md": "\n".join(lines)}


def performance(project: Project, costs: Mapping[str, Cost] | None, why_not: str) -> Pages:
    """The page of costs, partitions and indexes of the models.

    `costs` is None without a warehouse. Then the page says `why_not`.
    """
    exact = {n: node for n, node in project.models.items() if node["config"].get("rebuild_key")}
    lines = [
        "# Performance notes",
        "",
        "A build costs what landed since the last one: each model rebuilds only the rows of the "
        "rebuild keys that changed ([how](explanation/exactness.md)). `make bench` measures "
        "generating, landing and building.",
        "",
        "## Cost of each model",
        "",
    ]
    if costs is None:
        lines += [text(f"No warehouse was available when this site was built: {why_not}"), ""]
    else:
        lines += [
            "From `quality.dbt_results` and the catalogue of the warehouse that this site was "
            "built from. *First* is the oldest run that is kept. If no older run was deleted, it "
            "built the whole history. *Last* is the newest run, with the rows that it wrote. A "
            "build runs several models in parallel.",
            "",
        ]
        for layer in reversed(LAYERS):
            rows = [
                (
                    f"[{code(name)}](#model-{name})",
                    f"{cost.first_seconds:.2f}",
                    f"{cost.median_seconds:.2f}",
                    f"{cost.last_seconds:.2f}",
                    "" if cost.last_rows is None else f"{cost.last_rows:,}",
                    f"{cost.rows:,}",
                    _size(cost.bytes),
                )
                for name, cost in sorted(costs.items(), key=lambda item: -item[1].median_seconds)
                if name in project.models and project.models[name]["fqn"][1] == layer
            ]
            if rows:
                heading = (
                    "model",
                    "first, s",
                    "median, s",
                    "last, s",
                    "rows written",
                    "rows",
                    "on disk",
                )
                lines += [f"### {LAYERS[layer]}", "", table(heading, rows, numbers=range(1, 7)), ""]
    lines += [
        "## Partitions",
        "",
        "Raw tables have one partition for each landed day and origin, so a day is replaced whole. "
        "Partitioned models:",
        "",
        table(
            ("model", "by months of"),
            [
                (f"[{code(n)}](#model-{n})", code(d["config"]["partition_by"]))
                for n, d in exact.items()
                if d["config"].get("partition_by")
            ],
        ),
        "",
        "## Rebuild keys and indexes",
        "",
        "A build finds the rows of a model by its rebuild key, so every model has an index on it. "
        "The other indexes serve readers.",
        "",
        table(
            ("model", "rebuild key", "indexes"),
            [
                (
                    f"[{code(name)}](#model-{name})",
                    ", ".join(map(code, node["config"]["rebuild_key"])),
                    "; ".join(
                        ", ".join(map(code, index["columns"]))
                        + (" (unique)" if index.get("unique") else "")
                        for index in node["config"].get("indexes") or []
                    ),
                )
                for name, node in exact.items()
            ],
        ),
        "",
    ]
    return {"performance.md": "\n".join(lines)}


def _size(number: int) -> str:
    return f"{number / 1024**2:,.1f} MB" if number >= 1024**2 else f"{number / 1024:,.0f} kB"


def contract_texts(project: Project, directory: Path) -> dict[str, str]:
    """The text of each contract, by its source."""
    return {
        source: (directory / f"{source}.yaml").read_text(encoding="utf-8")
        for source in project.contracts
    }
