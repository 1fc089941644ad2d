"""Diagrams, formulas, settings and links of the documentation site, on small examples."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from saas_analytics.cli import app
from saas_analytics.documentation import markdown, metrics, pages, site
from saas_analytics.documentation.diagrams import Box, DiagramError, Edge, draw, flowchart
from saas_analytics.documentation.metrics import Metric, MetricError
from saas_analytics.settings import KEYS, PROJECT_ROOT

SVG = "{http://www.w3.org/2000/svg}"


def metric(formula: str) -> Metric:
    return Metric("growth", "Quick ratio", "growth_accounting", "ratio", formula, "", "a_test", ())


@pytest.mark.parametrize(
    ("formula", "row", "value"),
    [
        ("a / b", {"a": 1, "b": "4"}, Decimal("0.25")),
        ("(a + b) / c - 1.5", {"a": 1, "b": 2, "c": 2}, Decimal(0)),
        ("a / b", {"a": 1, "b": 0}, None),
        ("a - b", {"a": 1, "b": None}, None),
        ("a * b", {"a": "0.1", "b": 3}, Decimal("0.3")),
    ],
)
def test_a_formula_is_evaluated_exactly(
    formula: str, row: dict[str, object], value: Decimal | None
) -> None:
    assert metrics.evaluate(formula, row) == value


@pytest.mark.parametrize("formula", ["__import__('os')", "a ** b", "a if b else c", "round(a)"])
def test_a_formula_is_arithmetic_and_nothing_else(formula: str) -> None:
    with pytest.raises((MetricError, KeyError)):
        metrics.evaluate(formula, {"a": 1, "b": 2, "c": 3})


def test_a_formula_that_the_unit_test_contradicts_is_refused() -> None:
    metrics.check(
        metric("a / b"), [{"a": 1, "b": 3, "ratio": 0.3333}, {"a": 1, "b": 0, "ratio": None}]
    )
    with pytest.raises(MetricError, match=r"gives 3, and a_test expects 0\.3333"):
        metrics.check(metric("b / a"), [{"a": 1, "b": 3, "ratio": 0.3333}])
    with pytest.raises(MetricError, match="gives None, and a_test expects 0"):
        metrics.check(metric("a / b"), [{"a": 1, "b": 0, "ratio": 0}])


def boxes_of(drawing: str) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each box, by its heading."""
    found = {}
    for group in ElementTree.fromstring(drawing).iter(f"{SVG}g"):
        rectangle = group.find(f"{SVG}rect")
        if rectangle is not None:
            moved = re.findall(r"[\d.]+", group.attrib["transform"])
            x, y = float(moved[0]), float(moved[1])
            heading = group.find(f"{SVG}text")
            assert heading is not None and heading.text
            found[heading.text] = (
                x,
                y,
                x + float(rectangle.attrib["width"]),
                y + float(rectangle.attrib["height"]),
            )
    return found


def test_boxes_do_not_overlap_and_arrows_go_right() -> None:
    names = "abcdefgh"
    edges = [
        ("a", "b"),
        ("a", "c"),
        ("b", "d"),
        ("c", "d"),
        ("a", "d"),
        ("d", "e"),
        ("a", "e"),
        ("f", "e"),
    ]
    boxes = {name: Box(name, (("PK", f"{name}_id"), ("", "another_column"))) for name in names}
    places = boxes_of(
        draw(boxes, [Edge(left, right, f"{left}_id") for left, right in edges], "A drawing")
    )
    assert set(places) == set(names)
    for left, right in edges:
        assert places[left][2] < places[right][0]
    for one in names:
        for other in names:
            if one < other:
                a, b = places[one], places[other]
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (one, other)


def test_a_flow_chart_of_mermaid_is_drawn() -> None:
    drawn = flowchart(
        "flowchart LR\n    a[first<br>line two] -->|with <this>| b[(a table)]\n    b --> c\n"
    )
    assert set(boxes_of(drawn)) == {"first", "a table", "c"}
    assert "with &lt;this&gt;" in drawn
    with pytest.raises(DiagramError, match="Line 2"):
        flowchart("flowchart LR\n    subgraph x")
    with pytest.raises(DiagramError, match="cycle"):
        flowchart("flowchart LR\n a --> b\n b --> a")


def test_marks_of_markdown_are_escaped_except_code() -> None:
    assert markdown.text("a_b | <c> `d_e|f` *g*") == r"a\_b \| \<c\> `d_e\|f` \*g\*"
    assert markdown.text("a lonely ` and a_b") == r"a lonely \` and a\_b"


def test_links_of_pages_lead_to_their_place_in_the_site(tmp_path: Path) -> None:
    names = (
        "README.md",
        "DECISIONS.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/index.md",
        "docs/reference/metrics.md",
    )
    packages = ("dbt/packages/exact/README.md", "airflow/plugins/dbt_mirrors/README.md")
    made = (
        ".env.template",
        "docs/metrics.yml",
        "dbt/models/a.yml",
        "saas_analytics/contracts/orders.yaml",
    )
    for name in (*names, *packages, *made):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("nothing")
    (tmp_path / "docs/landing.md").write_text("# Landing")
    text = "[m](docs/reference/metrics.md#growth) [l](docs/landing.md) [d](dbt) "
    text += "[x](https://x.com) [h](#a)"
    (tmp_path / "README.md").write_text(text)
    text = (
        "[l](../landing.md) [o](../../saas_analytics/contracts/orders.yaml) [top](../../README.md)"
    )
    (tmp_path / "docs/reference/metrics.md").write_text(text)
    text = (
        "[c](../saas_analytics/contracts) [s](../.env.template) [f](metrics.yml) [d](../dbt/models)"
    )
    (tmp_path / "docs/index.md").write_text(text)
    written = site.written_pages(tmp_path)
    assert written["readme.md"] == (
        "[m](reference/metrics.md#growth) [l](landing.md) d (`dbt`) [x](https://x.com) [h](#a)"
    )
    assert (
        written["reference/metrics.md"]
        == "[l](../landing.md) [o](../contracts/orders.md) [top](../readme.md)"
    )
    assert written["index.md"] == (
        "[c](contracts/index.md) [s](settings.md) [f](metric-examples.md) [d](dictionary/index.md)"
    )
    (tmp_path / "docs/landing.md").write_text("[x](gone.md)")
    with pytest.raises(site.SiteError, match="gone"):
        site.written_pages(tmp_path)


def test_links_of_pages_work_on_github() -> None:
    """A page that only the site has is not linked to from a page that GitHub shows."""
    assert len(site.written_pages(PROJECT_ROOT)) > 20  # raises at a dead link


def test_every_page_is_in_one_menu() -> None:
    names = list(site.written_pages(PROJECT_ROOT))
    menu = site.menu(names)
    for name in names:
        listed = re.findall(
            rf"^(?:.* <)?{re.escape(name.removesuffix('.md'))}>?$", menu, re.MULTILINE
        )
        assert len(listed) == (name != "index.md"), name
    with pytest.raises(site.SiteError, match="secret"):
        site.menu([*names, "secret/page.md"])


def test_the_page_of_the_settings_has_each_with_its_default_and_meaning() -> None:
    page = pages.settings()["settings.md"]
    assert [key for key in KEYS if page.count(f"\n| `{key}` |") != 1] == []
    assert "| `WAREHOUSE_DB` | `analytics` | The warehouse (database) that commands" in page
    assert "| `WAREHOUSE_PORT` | `make up`: the first free port from 15432 |" in page
    assert page.index("## Airflow") < page.index("`AIRFLOW_PORT`") < page.index("## Data")


def test_the_page_of_the_commands_has_each_of_them() -> None:
    page = (PROJECT_ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)[ `]", page, re.MULTILINE)
    commands = [command.name for command in app.registered_commands]
    assert sorted(listed) == sorted(str(name) for name in commands)
