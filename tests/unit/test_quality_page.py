"""The page of the quality report: what it shows of each section, and that no value of the data can break out of it."""

from __future__ import annotations

from typing import Any

from saas_analytics.quality.quality_page import page

DAY = "2026-03-04"
SECTIONS: dict[str, list[dict[str, Any]]] = {
    "run": [{"day": DAY, "run_id": "<script>", "warehouse": "shop"}],
    "outcomes": [
        {"kind": "model", "status": "success", "nodes": 40, "seconds": 12.5},
        {"kind": "test", "status": "fail", "nodes": 1, "seconds": 0.5},
    ],
    "failures": [
        {
            "node_id": "test.shop.orders_add_up",
            "status": "fail",
            "failures": 2,
            "message": "Got 2 results",
            "first_rows": [{"order_id": "<u>1</u>", "email": "***"}],
        }
    ],
    "anomalies": [
        {
            "day": DAY,
            "metric": "rows.events",
            "value": 0.0,
            "lower": 90.0,
            "upper": 110.0,
            "score": -9.1,
            "reason": "No",
        }
    ],
    "volumes": [{"source": "events", "days": [["2026-03-03", 100.0, False], [DAY, 0.0, True]]}],
    "freshness": [{"source": "events", "age_hours": 30.0, "limit_hours": 26.0, "is_stale": True}],
    "completeness": [
        {
            "source": "events",
            "verdict": "rows are lost",
            "rows_in_manifest": 10,
            "rows_read": 9,
            "rows_landed": 9,
            "rows_rejected": 0,
            "rows_left_out": 0,
            "loads": 1,
        }
    ],
    "missing": [{"source": "orders"}],
    "rejects": [{"source": "events", "rule": "bad_timestamp", "rows": 3}],
    "drift": [],
    "reconciliations": [{"test": "orders_add_up", "status": "fail", "failures": 2, "seconds": 0.1}],
    "test_history": [
        {
            "test": "orders_add_up",
            "not_passed": 1,
            "runs": 2,
            "last_time": "2026-03-04 01:00:00",
            "last_runs": ["pass", "fail"],
        }
    ],
    "slowest": [
        {"node_id": "model.shop.orders", "seconds": 4.0, "rows_affected": 5, "usual_seconds": None}
    ],
}


def test_the_page_shows_every_section_and_escapes_what_it_shows() -> None:
    text = page(SECTIONS)
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert "<u>1</u>" not in text and "&lt;u&gt;1&lt;/u&gt;" in text
    for shown in (
        "40 of 41",
        "rows are lost",
        "bad_timestamp",
        "first 1 row<",
        "orders add up",
        "stale",
        "<svg",
        "***",
    ):
        assert shown in text, shown
    assert "http" not in text  # nothing is loaded from elsewhere


def test_a_day_without_anything_has_a_page() -> None:
    empty: dict[str, list[dict[str, Any]]] = {name: [] for name in SECTIONS} | {
        "run": SECTIONS["run"]
    }
    assert "0 of 0" in page(empty)
