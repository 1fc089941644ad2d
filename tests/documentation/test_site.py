"""The documentation site of a real stack: links work, nothing loads from outside, commands run.

One stack serves all tests. The commands of the pages run in it, in the order of the menu.
"""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from saas_analytics.documentation.site import MENU
from saas_analytics.settings import PROJECT_ROOT, ROOT_VARIABLE
from saas_analytics.warehouse import connect
from tests.conftest import Stack
from tests.waiting import patience

DAYS = 6
RUNNABLE = re.compile(r"^( *)```sh runnable\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
DOCS = PROJECT_ROOT / "docs"


def test_runnable_commands_are_only_on_pages_in_docs() -> None:
    assert not [
        path.name for path in PROJECT_ROOT.glob("*.md") if RUNNABLE.search(path.read_text())
    ]


def pages_with_commands() -> list[Path]:
    order = [pattern for patterns in MENU.values() for pattern in patterns]
    pages = [path for path in sorted(DOCS.rglob("*.md")) if RUNNABLE.search(path.read_text())]
    names = [str(path.relative_to(DOCS).with_suffix("")) for path in pages]
    rank = {name: order.index(name) if name in order else len(order) for name in names}
    return [
        page
        for _, page in sorted(
            zip(names, pages, strict=True), key=lambda pair: (rank[pair[0]], pair[0])
        )
    ]


@pytest.fixture(scope="module")
def built_stack(stack: Stack) -> Stack:
    """The stack with some days landed and every model built."""
    first = datetime.now(UTC).date() - timedelta(days=DAYS)
    for command in ("generate", "land"):
        stack.local(command, "--day", str(first), "--days", str(DAYS))
    kinds = ("--resource-type", "model", "--resource-type", "seed")
    stack.run("-m", "saas_analytics", "dbt", "--quiet", "build", *kinds)
    return stack


@pytest.fixture(scope="module")
def site(built_stack: Stack) -> Path:
    """The site that `make docs` builds."""
    done = built_stack.local("docs")
    assert f"http://127.0.0.1:{built_stack.settings.docs_port}" in done.stdout
    return built_stack.root / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, BeautifulSoup]:
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
        if path.name != "dbt.html"
    }


def test_every_link_works(site: Path, pages: dict[Path, BeautifulSoup]) -> None:
    anchors = {page: {tag["id"] for tag in soup.find_all(id=True)} for page, soup in pages.items()}
    lineage = (site / "dbt.html").read_text(encoding="utf-8")
    wrong, followed = [], 0
    for page, soup in pages.items():
        for link in links(soup):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            followed += 1
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            fragment = unquote(parts.fragment)
            if not target.is_file():
                wrong.append(f"{page.relative_to(site)}: {link} is a dead link")
            elif target.name == "dbt.html":
                node = fragment.rpartition("/")[2]
                if "." in node and f'"{node}"' not in lineage:
                    wrong.append(
                        f"{page.relative_to(site)}: {link} names a node that dbt does not know"
                    )
            elif fragment and fragment not in anchors[target]:
                wrong.append(f"{page.relative_to(site)}: {link} has an unknown anchor")
    assert not wrong, "\n".join(wrong)
    assert followed > 1000
    written = [path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")]
    assert len(written) > 20
    assert not [path for path in written if not (site / path).exists()]


def test_no_page_loads_anything_from_outside(site: Path, pages: dict[Path, BeautifulSoup]) -> None:
    loaded = [
        f"{page.relative_to(site)}: {tag.name} {address}"
        for page, soup in pages.items()
        for tag in soup.find_all(
            ["script", "link", "img", "iframe", "source", "object", "embed", "use"]
        )
        for address in (tag.get("src"), tag.get("href"), tag.get("data"))
        if address
        and re.match(r"(https?:)?//", str(address))
        and tag.get("rel") not in (["canonical"], ["license"])
    ]
    for style in [*site.rglob("*.css"), *site.rglob("*.html")]:
        loaded += [
            f"{style.relative_to(site)}: {found}"
            for found in re.findall(
                r"""(?:@import\s+|url\()["']?(?:https?:)?//[^"')\s]+""", style.read_text("utf-8")
            )
        ]
    for script in [*site.rglob("*.js"), site / "dbt.html"]:
        loaded += [
            f"{script.relative_to(site)}: {found}"
            for found in re.findall(
                r"""(?:\.src|import|fetch)\s*[=(]\s*["'](?:https?:)?//[^"']+""",
                script.read_text("utf-8"),
            )
        ]
    assert not loaded, "\n".join(loaded)


def test_the_site_has_no_secret_and_no_path_of_the_machine(site: Path, built_stack: Stack) -> None:
    secrets = [
        line.partition("=")[2]
        for line in (built_stack.root / ".env").read_text().splitlines()
        if "PASSWORD=" in line
    ]
    assert len(secrets) > 5
    for path in site.rglob("*"):
        if path.suffix in (".html", ".js", ".json", ".txt"):
            text = path.read_text(encoding="utf-8", errors="replace")
            assert str(built_stack.root) not in text, path
            assert not any(secret in text for secret in secrets), path


def test_the_dictionary_has_every_model_and_column(site: Path, built_stack: Stack) -> None:
    with connect(built_stack.settings, "owner") as warehouse:
        rows = warehouse.execute(
            "select relnamespace::regnamespace::text, relname, attname from pg_class"
            " join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped"
            " where relnamespace::regnamespace::text in ('staging', 'core', 'marts')"
            " and relkind in ('r', 'p', 'v') and not relispartition and relname not like '%probe'"
            " and relowner <> 'warehouse_owner'::regrole"  # its views for dashboards are not models
        ).fetchall()
    described: dict[str, set[str]] = {}
    for page in (site / "dictionary").glob("*.html"):
        for section in BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").find_all(
            "section"
        ):
            if section.h2 and (table := section.find("table")):
                name = section.h2.get_text().rstrip("¶#")
                described[name] = {row.td.get_text() for row in table.find_all("tr") if row.td}
    missing = [
        f"{schema}.{table}.{column}"
        for schema, table, column in rows
        if column not in described.get(table, set())
    ]
    assert len(described) > 100
    assert not missing


def test_the_diagrams_have_every_table_and_every_reference_of_a_fact(
    site: Path, built_stack: Stack
) -> None:
    with connect(built_stack.settings, "owner") as warehouse:
        core = warehouse.execute(
            "select relname from pg_class"
            " where relnamespace = 'core'::regnamespace and relname ~ '^(dim|fact)_'"
            " and relkind in ('r', 'p', 'v') and not relispartition"
        ).fetchall()
        keys = warehouse.execute(
            "select attrelid::regclass::text || '.' || attname"
            " from pg_attribute join pg_class on attrelid = pg_class.oid"
            " where relnamespace = 'core'::regnamespace and relname ~ '^fact_'"
            " and relkind in ('r', 'p')"
            " and not relispartition and attname ~ '_sk$' and not attisdropped"
        ).fetchall()
    warehouse_drawn, sources_drawn = BeautifulSoup(
        (site / "erd.html").read_text(), "html.parser"
    ).select("svg.diagram")
    assert {tag.get_text() for tag in warehouse_drawn.select("text.title")} == {
        name for (name,) in core
    }
    ends = {
        tag.get_text().partition(" → ")[2]
        for tag in warehouse_drawn.select("g.edge:not(.dashed) > title")
    }
    assert len(keys) > 10
    assert {name.removeprefix("core.") for (name,) in keys} <= ends
    contracts = {
        path.stem for path in (built_stack.root / "saas_analytics/contracts").glob("*.yaml")
    }
    assert {tag.get_text() for tag in sources_drawn.select("text.title")} == contracts
    assert {tag.get_text() for tag in sources_drawn.select("g.edge > title")} >= {
        *("customers.customer_id → orders.customer_id", "orders.order_id → order_items.order_id"),
        *("users.user_id → events.user_id", "products.product_id → order_items.product_id"),
    }


def test_the_performance_notes_have_the_cost_of_each_mart_and_the_indexes_of_each_model(
    site: Path, built_stack: Stack
) -> None:
    with connect(built_stack.settings, "owner") as warehouse:
        marts = warehouse.execute(
            "select relname from pg_class where relnamespace = 'marts'::regnamespace"
            " and relkind in ('r', 'p') and not relispartition and relname not like '%probe'"
        ).fetchall()
        partitioned = warehouse.execute(
            "select relname from pg_class"
            " where relnamespace in ('core'::regnamespace, 'marts'::regnamespace)"
            " and relkind = 'p' and relowner = 'transformer'::regrole"
        ).fetchall()
        indexes = warehouse.execute(
            "select relname, (select string_agg(attname, ', ' order by place)"
            " from unnest(indkey::int2[]) with ordinality as key (number, place)"
            " join pg_attribute on attrelid = indrelid and attnum = number)"
            " || case when indisunique then ' (unique)' else '' end"
            " from pg_index join pg_class on indrelid = pg_class.oid"
            " where relnamespace::regnamespace::text in ('staging', 'core', 'marts')"
            " and not relispartition"
        ).fetchall()
    page = BeautifulSoup((site / "performance.html").read_text(), "html.parser")
    tables: dict[str, dict[str, list[str]]] = {}
    for found in page.select("table"):
        rows = [[cell.get_text() for cell in row.select("td")] for row in found.select("tbody tr")]
        tables.setdefault(found.select("th")[-1].get_text(), {}).update(
            {row[0]: row[1:] for row in rows}
        )
    costs, kept = tables["on disk"], tables["indexes"]
    assert len(marts) > 20
    for (name,) in marts:
        first, median, last, _, _, size = costs[name]
        assert (
            float(first) > 0
            and float(median) > 0
            and float(last) > 0
            and size.endswith(("kB", "MB"))
        ), name
    assert set(tables["by months of"]) == {name for (name,) in partitioned}
    there = {(name, columns) for name, columns in indexes}
    said = {
        (name, columns)
        for name, (_, listed) in kept.items()
        for columns in listed.split("; ")
        if columns
    }
    assert len(said) > 100
    assert said <= there


def test_the_server_shows_the_site_and_nothing_else(site: Path, built_stack: Stack) -> None:
    address = f"http://127.0.0.1:{built_stack.settings.docs_port}"
    open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    with open_url(f"{address}/erd.html") as answer:
        assert b'class="diagram"' in answer.read()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for path in ("/../.env", "/%2e%2e/.env", "/_static/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            open_url(address + path)
        assert refused.value.code == 404


@pytest.mark.parametrize(
    "page", pages_with_commands(), ids=lambda page: str(page.relative_to(DOCS))
)
def test_runnable_commands_run(built_stack: Stack, page: Path) -> None:
    for number, script in enumerate(scripts(page), start=1):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=built_stack.root,
            env={**built_stack.environment, ROOT_VARIABLE: str(built_stack.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience(300),
        )
        assert done.returncode == 0, (
            f"{page.name}, block {number}:\n{script}\n{done.stdout}\n{done.stderr}"
        )


def scripts(page: Path) -> Iterator[str]:
    """The runnable blocks of a page, without the indentation of the list around them."""
    for indent, script in RUNNABLE.findall(page.read_text()):
        yield "\n".join(line.removeprefix(indent) for line in script.splitlines())


def links(soup: BeautifulSoup) -> Iterator[str]:
    for tag in soup.find_all(["a", "link", "script", "img"]):
        address = tag.get("href") or tag.get("src")
        if address and not str(address).startswith(("data:", "javascript:", "mailto:")):
            yield str(address)
