"""The commands that show key figures and check the data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import typer

from saas_analytics.cli.application import QUALITY, Day, Json, Warehouse, command

if TYPE_CHECKING:
    from saas_analytics.quality.special_days import SpecialDay
    from saas_analytics.settings import Settings


@command("kpis", QUALITY)
def kpis(as_json: Json = False, warehouse: Warehouse = None) -> int:
    """Print the newest key figures, with sparklines."""
    from saas_analytics.metrics.kpi_table import print_kpis
    from saas_analytics.metrics.kpis import kpi_trends
    from saas_analytics.settings import load_settings
    from saas_analytics.warehouse import ensure_warehouse

    settings = load_settings()
    ensure_warehouse(settings)
    if as_json:
        trends = [dataclasses.asdict(trend) for trend in kpi_trends(settings)]
        typer.echo(json.dumps(trends, indent=2, default=str))
        return 0 if trends else 1
    return 0 if print_kpis(settings) else 1


@command("freshness", QUALITY)
def freshness(as_json: Json = False, warehouse: Warehouse = None) -> None:
    """Measure and store how long ago each source landed, and report stale sources."""
    from saas_analytics.quality.freshness import check_freshness, report_stale_sources
    from saas_analytics.settings import load_settings

    settings = load_settings()
    answers = check_freshness(settings)
    if as_json:
        typer.echo(json.dumps(answers, indent=2))
    report_stale_sources(settings, answers, quiet=as_json)


@command("anomalies", QUALITY)
def anomalies(day: Day, as_json: Json = False, warehouse: Warehouse = None) -> None:
    """Compare the figures of a day with its history; store and report the anomalous ones."""
    from saas_analytics.quality.anomalies import find_anomalies
    from saas_analytics.settings import load_settings

    settings = load_settings()
    found = find_anomalies(settings, day, _company_days(settings, day))
    if as_json:
        rows = [dataclasses.asdict(anomaly) for anomaly in found]
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    for anomaly in found:
        typer.echo(f"{anomaly.day} {anomaly.metric}: {anomaly.reason}")
    typer.echo(f"{len(found)} anomalies on {day}.")


@command("quality-report", QUALITY)
def quality_report(day: Day, warehouse: Warehouse = None) -> None:
    """Find the anomalies of a day and write its data-quality report."""
    from saas_analytics.quality.anomalies import find_anomalies
    from saas_analytics.quality.quality_report import report, write
    from saas_analytics.settings import load_settings

    settings = load_settings()
    find_anomalies(settings, day, _company_days(settings, day))
    sections = report(settings, day)
    typer.echo(f"The report: {write(settings, day, sections)}")
    for title, rows in sections.items():
        typer.echo(f"  {len(rows):5d}  {title.replace('_', ' ')}")


def _company_days(settings: Settings, day: date) -> Sequence[SpecialDay]:
    """The special days of the synthetic company, if it feeds this stack."""
    from saas_analytics.quality.anomalies import HISTORY_DAYS

    if not settings.synthetic_company:
        return ()
    from data_gen.company.special_days import company_days  # reads the rules of the company

    return company_days(settings.company_founded, day - timedelta(days=HISTORY_DAYS), day)
