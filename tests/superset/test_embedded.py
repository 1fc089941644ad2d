"""`make dashboards` in the embedded stack: Superset starts and stops with the other processes."""

from __future__ import annotations

from saas_analytics.stack.superset import DIRECTORY, answers, superset_url
from tests.conftest import new_stack
from tests.superset.assets import ASSETS
from tests.superset.conftest import Superset, answer


def test_dashboards_run_next_to_the_embedded_stack() -> None:
    with new_stack() as stack:
        (stack.root / "infrastructure/superset/.venv").symlink_to(DIRECTORY / ".venv")
        assert "superset " not in stack.local("status").stdout
        for _ in range(2):  # the second time as after a change of a dashboard
            printed = stack.local("dashboards").stdout
            assert (
                superset_url(stack.settings) in printed
                and "SUPERSET_VIEWER_PASSWORD in .env" in printed
            )
            listed = answer(
                Superset(stack.settings).browser_client("viewer").get("/api/v1/dashboard/")
            )["result"]
            assert {dashboard["slug"] for dashboard in listed} == set(ASSETS.dashboards)
            assert "superset " in stack.local("status").stdout
        stack.local("down")
        assert not answers(stack.settings)
