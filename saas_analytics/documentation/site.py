"""Builds the documentation site: the pages of docs/, generated pages, and dbt's page.

Neither building nor reading the site needs a network. Without a warehouse the site has no column
types from the catalogue, no costs and no reports, and says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg.rows import class_row

from saas_analytics.documentation import metrics, pages
from saas_analytics.documentation.project import read_project
from saas_analytics.errors import AnalyticsError
from saas_analytics.pipeline.dbt_project import dbt_environment, ensure_manifest, target_path
from saas_analytics.pipeline.transform import run_dbt
from saas_analytics.quality import quality_report
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect

THEME = Path(__file__).parent / "theme"
REPORTS = 30  # number of newest quality reports in the site
# The menu: headings, and the paths of their pages in the site. A title may precede <path>. A page
# that is in no menu is an error.
MENU: Mapping[str, Sequence[str]] = {
    "Start": (
        "Getting started <readme>",
        "tutorials/your-own-file",
        "tutorials/new-metric",
        "tutorials/*",
    ),
    "How-to guides": (
        "how-to/source",
        "how-to/model",
        "how-to/metric",
        "how-to/dashboard",
        "how-to/production",
        "how-to/troubleshooting",
        "how-to/*",
    ),
    "Runbooks": (
        "how-to/runbooks/failed-run",
        "how-to/runbooks/late-data",
        "how-to/runbooks/corrected-file",
        "how-to/runbooks/backfill",
        "how-to/runbooks/schema-drift",
        "how-to/runbooks/restore",
        "how-to/runbooks/erased-person",
        "how-to/runbooks/full-disk",
        "how-to/runbooks/*",
    ),
    "Reference": (
        "reference/cli",
        "settings",
        "reference/landing",
        "reference/mappings",
        "contracts/index",
        "reference/models",
        "Package: exact <reference/exact>",
        "dictionary/index",
        "erd",
        "reference/metrics",
        "metric-examples",
        "reference/orchestration",
        "Package: dbt_mirrors <reference/dbt-mirrors>",
        "reference/quality",
        "quality-reports",
        "reference/dashboards",
        "reference/containers",
        "reference/synthetic-company",
        "reference/*",
    ),
    "Explanation": (
        "explanation/architecture",
        "explanation/exactness",
        "explanation/cost",
        "performance",
        "explanation/security",
        "explanation/*",
    ),
    "Project": (
        "glossary",
        "decisions",
        "contributing",
        "changelog",
    ),
}
# Links to these files lead to generated pages in the site.
_MADE = {
    ".env.template": "settings.md",
    "dbt/models": "dictionary/index.md",
    "docs/metrics.yml": "metric-examples.md",
    "saas_analytics/contracts": "contracts/index.md",
}
# Added to the first page. GitHub does not have these pages, as they are generated.
_MADE_PAGES = """
## Generated from this project

[Data dictionary](dictionary/index.md) · [entity-relationship diagrams](erd.md) ·
<a href="dbt.html">lineage</a> · [contracts](contracts/index.md) · [settings](settings.md) ·
[formulas and worked examples](metric-examples.md) · [performance notes](performance.md) ·
[data-quality reports](quality-reports.md)
"""
_IMAGES = Path("docs/images")
_AT_THE_TOP = ("README.md", "DECISIONS.md", "CONTRIBUTING.md", "CHANGELOG.md")
# The page of a package that other projects can use is next to its code.
_OF_PACKAGES = {
    "dbt/packages/exact/README.md": "reference/exact.md",
    "airflow/plugins/dbt_mirrors/README.md": "reference/dbt-mirrors.md",
}
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
# A tracking script of dbt's page, for projects that allow it. This one does not.
_TRACKER = re.compile(r'"//[\w.-]+/[\w./-]+/sp\.js"')
_DRAWING = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


class SiteError(AnalyticsError):
    """The site cannot be built. The message names the problem and the file."""


def build(settings: Settings) -> Path:
    """Build the site from the project and its warehouse, and return the path of its first page.

    SiteError or MetricError if a page is wrong.
    """
    why_not = _generate_dbt_docs(settings)
    project = read_project(target_path(settings), settings.root / "saas_analytics/contracts")
    costs, reports, why_not = _from_the_warehouse(settings) if not why_not else (None, [], why_not)
    work = settings.root / ".local/documentation"
    source, built, site = work / "source", work / "site", settings.root / "site"
    for directory in (source, built):
        shutil.rmtree(directory, ignore_errors=True)
    contract_texts = pages.contract_texts(project, settings.root / "saas_analytics/contracts")
    made = {
        **written_pages(settings.root),
        **pages.dictionary(project),
        **pages.diagrams(project),
        **pages.contracts(project, contract_texts),
        **pages.performance(project, costs, why_not),
        **pages.settings(),
        **metrics.page(project, metrics.read_metrics(settings.root / "docs/metrics.yml")),
        **_reports_page(reports, why_not),
    }
    made["index.md"] += _MADE_PAGES + menu(sorted(made))
    for name, words in made.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words, encoding="utf-8")
    shutil.copytree(settings.root / _IMAGES, source / "images")
    _sphinx(settings.root, source, built, work)
    (built / "reports").mkdir()
    for report in reports:
        shutil.copy2(report, built / "reports" / report.name)
    lineage = (target_path(settings) / "static_index.html").read_text(encoding="utf-8")
    lineage = _TRACKER.sub('""', lineage).replace(f"{settings.root}/", "")
    (built / "dbt.html").write_text(lineage, encoding="utf-8")
    (built / ".nojekyll").touch()  # or GitHub Pages skips directories that begin with _
    _replace(site, built)
    return site / "index.html"


def _generate_dbt_docs(settings: Settings) -> str:
    """Write dbt's manifest, catalogue and page.

    Returns the reason if there is no catalogue, or "". SiteError if dbt fails.
    """
    try:
        outcome = run_dbt(settings, ["--quiet", "docs", "generate", "--static"])
    except WarehouseError as error:
        ensure_manifest(settings)
        (target_path(settings) / "catalog.json").unlink(missing_ok=True)
        command = [
            str(Path(sys.executable).with_name("dbt")),
            "--quiet",
            "docs",
            "generate",
            "--static",
        ]
        done = subprocess.run(
            [*command, "--empty-catalog", "--no-compile"],
            env={**os.environ, **dbt_environment(settings)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SiteError(
                f"dbt cannot describe its models:\n{done.stdout}{done.stderr}"
            ) from error
        return str(error)
    if not outcome.success:
        raise SiteError(f"dbt cannot describe its models: {outcome.error or 'see above'}")
    return ""


def _from_the_warehouse(settings: Settings) -> tuple[dict[str, pages.Cost] | None, list[Path], str]:
    """Return the cost of each model by name, and the newest reports, newest first.

    If the warehouse is empty, return None, no reports, and the reason. Writes the report of the
    newest landed day if it does not exist.
    """
    with connect(settings, "owner", application_name="documentation") as warehouse:
        (newest,) = warehouse.execute(
            "select max(landed_on) from raw.loads where superseded_by is null"
        ).fetchone() or (None,)
        costs = dict(_costs(warehouse))
    if newest is None or not costs:
        return (
            None,
            [],
            f"nothing has landed in {settings.database}, or no model is built. Run `make demo`, or "
            "`make dbt-build`.",
        )
    reports = settings.root / ".local/reports" / settings.database
    if not (reports / f"{newest}.html").exists():
        try:
            sections = quality_report.report(settings, newest)
        except quality_report.ReportError as error:
            return costs, [], str(error)
        quality_report.write(settings, newest, sections)
    return costs, sorted(reports.glob("*.html"), reverse=True)[:REPORTS], ""


def _costs(warehouse: psycopg.Connection) -> Iterator[tuple[str, pages.Cost]]:
    with warehouse.cursor(row_factory=class_row(_NamedCost)) as cursor:
        for row in cursor.execute(_COSTS):
            yield row.name, row.cost


class _NamedCost:
    """A row of `_COSTS`."""

    def __init__(self, name: str, **figures: object) -> None:
        self.name = name
        self.cost = pages.Cost(**figures)  # type: ignore[arg-type]


# A partitioned table is as large as its partitions. A view takes no space, so it is not listed.
_COSTS = """
with runs as (
    select
        split_part(node_id, '.', 3) as name,
        count(*) as runs,
        (array_agg(seconds order by finished_at))[1] as first_seconds,
        percentile_disc(0.5) within group (order by seconds) as median_seconds,
        (array_agg(seconds order by finished_at desc))[1] as last_seconds,
        (array_agg(rows_affected order by finished_at desc))[1] as last_rows
    from quality.dbt_results
    where node_id like 'model.%' and status = 'success'
    group by node_id
),
tables as (
    select
        root.relname as name,
        sum(greatest(part.reltuples, 0))::bigint as rows,
        sum(pg_total_relation_size(part.oid))::bigint as bytes
    from pg_class as root
    cross join lateral (
        select relid from pg_partition_tree(root.oid) where isleaf
        union all
        select root.oid where root.relkind = 'r'
    ) as leaf (relid)
    inner join pg_class as part on part.oid = leaf.relid
    where root.relnamespace::regnamespace::text in ('staging', 'core', 'marts')
        and root.relkind in ('r', 'p')
        and not root.relispartition
    group by root.relname
)
select name, runs, first_seconds, median_seconds, last_seconds, last_rows, rows, bytes
from runs
inner join tables using (name)
"""


def written_pages(root: Path) -> pages.Pages:
    """The pages of docs/, packages and the top level, with links that work in the site.

    SiteError if a page is missing or has a dead link.
    """
    places = {
        path: str(path.relative_to(root / "docs")) for path in sorted((root / "docs").rglob("*.md"))
    }
    places |= {root / name: name.lower() for name in _AT_THE_TOP}
    places |= {root / name: place for name, place in _OF_PACKAGES.items()}
    return {place: _moved(path, place, places, root) for path, place in places.items()}


def _moved(path: Path, place: str, places: dict[Path, str], root: Path) -> str:
    """The text of a page, for `place` in the site. Links to files outside become plain paths."""
    try:
        words = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SiteError(
            f"{path} does not exist: the site needs it (saas_analytics/documentation/site.py)."
        ) from None

    def link(match: re.Match[str]) -> str:
        label, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        name, hash_, anchor = target.partition("#")
        file = (path.parent / name).resolve()
        if file in places:
            return f"[{label}]({os.path.relpath(places[file], Path(place).parent)}{hash_}{anchor})"
        if not file.exists():
            raise SiteError(
                f"{path} links to {target}, but {file} does not exist. Correct the link."
            )
        if file.is_relative_to(root / _IMAGES):
            return f"[{label}]({os.path.relpath(Path('images') / file.name, Path(place).parent)})"
        inside = str(file.relative_to(root))
        made = re.sub(
            r"^saas_analytics/contracts/(\w+)\.yaml$", r"contracts/\1.md", _MADE.get(inside, inside)
        )
        if made != inside:
            return f"[{label}]({os.path.relpath(made, Path(place).parent)})"
        return f"{label} (`{inside}`)" if file.name not in label else f"`{inside}`"

    # `diagrams` cannot draw the groups of README's flow chart; the first page has a simpler one.
    if path.name == "README.md":
        words = _DRAWING.sub("", words)
    return _LINK.sub(link, words)


def menu(names: Sequence[str]) -> str:
    """The tables of contents that form the menu. SiteError if a page is in none of them."""
    left = [name.removesuffix(".md") for name in names if name != "index.md"]
    left = [
        name
        for name in left
        if not name.startswith(("dictionary/", "contracts/")) or name.endswith("/index")
    ]
    parts = []
    for heading, patterns in MENU.items():
        entries: list[str] = []
        for pattern in patterns:
            label, _, inner = pattern.rpartition(" <")
            matching = [name for name in left if Path(name).match(inner.rstrip(">"))]
            entries += [f"{label} <{name}>" if label else name for name in matching]
            left = [name for name in left if name not in matching]
        listed = "\n".join(entries)
        parts.append(f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{listed}\n```\n")
    if left:
        raise SiteError(
            f"These pages are in no menu: {', '.join(left)}. Add them to MENU in {__file__}."
        )
    return "".join(parts)


def _reports_page(reports: Sequence[Path], why_not: str) -> pages.Pages:
    lines = [
        "# Data-quality reports",
        "",
        "Each run of the pipeline ends with a report of its day: nodes that did not pass, "
        "anomalies, freshness, completeness against the manifests, rejects by rule, drift, the "
        "history of tests and the slowest nodes. For a failed test it shows the first rows, with "
        "personal data masked. By hand: `analytics quality-report --day YYYY-MM-DD`.",
        "",
    ]
    if not reports:
        lines += [
            f"There was no report when this site was built: {why_not or 'no day has been run'}",
            "",
        ]
    lines += [f'- <a href="reports/{report.name}">{report.stem}</a>' for report in reports]
    return {"quality-reports.md": "\n".join([*lines, ""])}


def _sphinx(root: Path, source: Path, built: Path, work: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--builder", "html"]
    done = subprocess.run(
        [
            *command,
            "--conf-dir",
            str(THEME),
            "--doctree-dir",
            str(work / "doctrees"),
            str(source),
            str(built),
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SiteError(
            f"The site cannot be built. Sphinx says about the pages in {source}:\n"
            f"{done.stdout}{done.stderr}"
        )
    (built / ".buildinfo").unlink(missing_ok=True)


def _replace(site: Path, built: Path) -> None:
    """Replace the content of `site`. The directory stays: a container may have it mounted."""
    site.mkdir(exist_ok=True)
    for entry in [*site.iterdir()]:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for entry in [*built.iterdir()]:
        shutil.move(entry, site / entry.name)
