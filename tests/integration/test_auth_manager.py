"""A real Airflow with users in its own database (AIRFLOW_AUTH_MANAGER=fab), as in production."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from saas_analytics.stack.airflow import airflow_url
from saas_analytics.stack.dotenv import set_value
from tests.conftest import Stack, new_stack


@pytest.mark.long
def test_users_are_those_of_the_fab_auth_manager() -> None:
    # The stack starts with the simple auth manager: then fab adds its tables to Airflow's database.
    with new_stack() as stack:
        set_value(stack.root, "AIRFLOW_AUTH_MANAGER", "fab")
        stack.local("down")
        stack.local("up")
        password = stack.settings.secret("AIRFLOW_ADMIN_PASSWORD")
        with httpx.Client(
            base_url=airflow_url(stack.settings), trust_env=False, timeout=120
        ) as http:
            assert http.get("/api/v2/dags").status_code == 401
            wrong = {"username": "admin", "password": "wrong"}
            assert http.post("/auth/token", json=wrong).status_code == 401
            answer = http.post("/auth/token", json={"username": "admin", "password": password})
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert http.get("/api/v2/dags", headers=headers).status_code == 200
        assert users(stack) == [("admin", "Admin")]

        day = datetime.now(UTC).date() - timedelta(days=2)
        assert "publish: success" in stack.local("trigger", "--day", str(day)).stdout

        stack.local("up")
        assert users(stack) == [("admin", "Admin")]


def users(stack: Stack) -> list[tuple[str, str]]:
    with psycopg.connect(stack.settings.admin_dsn("airflow")) as server:
        return server.execute(
            "select ab_user.username, ab_role.name from ab_user"
            " join ab_user_role on ab_user_role.user_id = ab_user.id"
            " join ab_role on ab_role.id = ab_user_role.role_id"
        ).fetchall()
