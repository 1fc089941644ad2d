"""The report of a day, on warehouses that are not built, or only in part."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest

from saas_analytics.landing.execution import prepare
from saas_analytics.quality.quality_report import ReportError, report
from saas_analytics.settings import Settings


def test_a_report_without_its_models_says_which_is_missing_and_what_to_do(
    warehouse: Settings,
) -> None:
    prepare(warehouse)
    with psycopg.connect(warehouse.dsn("transformer")) as session:
        session.execute(
            "insert into quality.dbt_results (run_id, node_id, status, seconds)"
            " values ('a run', 'model.saas_analytics.base_users', 'success', 1)"
        )
    with pytest.raises(ReportError) as refused:
        report(warehouse, date(2026, 1, 5))
    assert "staging.stg_rejects" in str(refused.value)
    assert "make dbt-build" in str(refused.value)
