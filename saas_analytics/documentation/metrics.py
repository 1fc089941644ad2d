"""The page of metrics: definitions from the models, formulas from docs/metrics.yml, examples.

An example is a unit test of dbt, so it cannot become outdated. `make dbt-build` runs it, and this
module checks the formula against each of its rows.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from saas_analytics.documentation.markdown import code, table, text
from saas_analytics.documentation.project import Project
from saas_analytics.errors import AnalyticsError

_PLACES = Decimal("0.0001")  # the precision of ratios in unit tests
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MOST_ROWS = 12

Row = Mapping[str, Any]


class MetricError(AnalyticsError):
    """A metric of docs/metrics.yml contradicts the models. The message names both."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, its formula (or a description of what it counts) and its unit test."""

    area: str
    name: str
    model: str
    column: str
    formula: str
    counts: str
    example: str
    shows: tuple[str, ...]


def read_metrics(path: Path) -> list[Metric]:
    """The metrics of a YAML file. MetricError if one has not exactly one of formula and counts."""
    metrics = []
    for area, entries in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for entry in entries:
            model, _, column = entry["column"].partition(".")
            if ("formula" in entry) == ("counts" in entry):
                raise MetricError(
                    f"{path}, {entry['metric']}: it needs either `formula` or `counts`."
                )
            metrics.append(
                Metric(
                    *(area, entry["metric"], model, column),
                    *(entry.get("formula", ""), entry.get("counts", "")),
                    *(entry["example"], tuple(entry.get("shows", ()))),
                )
            )
    return metrics


def page(project: Project, metrics: Sequence[Metric]) -> dict[str, str]:
    """The page by its path. MetricError if a metric contradicts its model or its unit test."""
    lines = [
        "# Formulas and worked examples",
        "",
        "Each figure is a column of one model. Its meaning is the description in the model. The "
        "example is a unit test of the model, which `make dbt-build` runs. "
        "[Metrics](reference/metrics.md) has the definitions that people ask about.",
        "",
    ]
    area = None
    for metric in metrics:
        if metric.area != area:
            area = metric.area
            lines += [f"## {area[0].upper()}{area[1:]}", ""]
        lines += [f"### {text(metric.name)}", "", *_lines(project, metric)]
    return {"metric-examples.md": "\n".join(lines)}


def _lines(project: Project, metric: Metric) -> list[str]:
    model = project.models.get(metric.model)
    if model is None or metric.column not in model["columns"]:
        raise MetricError(
            f"docs/metrics.yml, {metric.name}: there is no column {metric.model}.{metric.column}."
        )
    test = project.unit_tests.get(metric.example)
    if test is None or test["model"] != metric.model:
        raise MetricError(
            f"docs/metrics.yml, {metric.name}: {metric.model} has no unit test {metric.example}."
        )
    rows = test["expect"]["rows"]
    if not isinstance(rows, list):
        raise MetricError(
            f"docs/metrics.yml, {metric.name}: "
            f"{metric.example} does not list the rows that it expects."
        )
    names = columns_in(metric.formula) if metric.formula else []
    shown = list(dict.fromkeys([*metric.shows, *names, metric.column]))
    if unknown := [name for name in shown if name not in rows[0]]:
        raise MetricError(
            f"docs/metrics.yml, {metric.name}: {metric.example} expects no {', '.join(unknown)}."
        )
    defined = f"{code(metric.column)} of [{code(metric.model)}](#model-{metric.model}): "
    lines = [defined + text(model["columns"][metric.column]["description"]), ""]
    if metric.formula:
        check(metric, rows)
        lines += [f"> {code(f'{metric.column} = {metric.formula}')}", ""]
        best = max(rows, key=lambda row: _instructive(row, [*names, metric.column]))
        lines += [f"For instance {code(_substituted(metric, best))}.", ""]
    else:
        lines += [f"> {code(metric.column)} = {text(metric.counts)}", ""]
    lines += [f"From the unit test {code(metric.example)}. {text(test['description'] or '')}", ""]
    if not metric.formula:
        lines += _given(test)
        lines += ["Then the model gives:", ""]
    lines += [
        table(
            list(map(code, shown)),
            [[_cell(row.get(name)) for name in shown] for row in rows[:_MOST_ROWS]],
        )
    ]
    if len(rows) > _MOST_ROWS:
        lines += [f"and {len(rows) - _MOST_ROWS} more rows.", ""]
    return lines


def _given(test: Mapping[str, Any]) -> list[str]:
    lines = ["Given", ""]
    for given in test["given"]:
        rows = given["rows"]
        if isinstance(rows, list) and rows:
            names = list(dict.fromkeys(name for row in rows for name in row))
            lines += [
                f"{code(given['input'])}:",
                "",
                table(
                    list(map(code, names)),
                    [[_cell(row.get(name)) for name in names] for row in rows[:_MOST_ROWS]],
                ),
            ]
            if len(rows) > _MOST_ROWS:
                lines += [f"and {len(rows) - _MOST_ROWS} more rows.", ""]
    return lines


def _cell(value: object) -> str:
    return "" if value is None else text(value)


def check(metric: Metric, rows: Sequence[Row]) -> None:
    """Raise MetricError if the formula differs from the expected value of a row."""
    for row in rows:
        expected, found = _number(row[metric.column]), evaluate(metric.formula, row)
        agree = (
            expected == found
            if expected is None or found is None
            else abs(expected - found) <= _PLACES / 2
        )
        if not agree:
            raise MetricError(
                f"docs/metrics.yml, {metric.name}: {metric.formula} gives {found}, "
                f"and {metric.example} expects "
                f"{expected} in the row {dict(row)}. Correct the formula or the model."
            )


def columns_in(formula: str) -> list[str]:
    """The columns that a formula uses, in the order of their first use."""
    names = (
        node.id for node in ast.walk(ast.parse(formula, mode="eval")) if isinstance(node, ast.Name)
    )
    return sorted(set(names), key=formula.index)


def evaluate(formula: str, row: Row) -> Decimal | None:
    """The value of a formula in a row; None if a part is NULL or it divides by 0.

    MetricError if it has anything but columns, numbers, brackets and + - * /.
    """

    def value(node: ast.AST) -> Decimal | None:
        match node:
            case ast.BinOp():
                left, right = value(node.left), value(node.right)
                if left is None or right is None or (isinstance(node.op, ast.Div) and right == 0):
                    return None
                made: Decimal = _OPERATORS[type(node.op)](left, right)
                return made
            case ast.Name():
                return _number(row[node.id])
            case ast.Constant():
                return Decimal(str(node.value))
        raise MetricError(f"{formula!r} may only have columns, numbers, brackets and + - * /.")

    return value(ast.parse(formula, mode="eval").body)


def _number(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise MetricError(f"{value!r} is not a number.") from None


def _instructive(row: Row, names: Sequence[str]) -> tuple[int, int]:
    """A sort key: rows whose numbers are present, not 0 and different show a formula best."""
    values = [_number(row[name]) for name in names]
    return sum(value is not None and value != 0 for value in values), len(set(values))


def _substituted(metric: Metric, row: Row) -> str:
    """The formula with the numbers of a row, and its value."""

    class Numbers(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return ast.Name(id=str(row[node.id]))

    tree = ast.parse(metric.formula, mode="eval")
    return f"{ast.unparse(Numbers().visit(tree))} = {row[metric.column]}"
