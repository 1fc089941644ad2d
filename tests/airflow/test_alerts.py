"""Alerts, to a local HTTP server and a local SMTP server: told once, told when it is well, never in the way."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from saas_analytics.quality import alerts
from saas_analytics.quality.alerts import (
    open_causes,
    raise_alert,
    raise_alerts,
    settle_alert,
    settle_alerts,
)
from saas_analytics.quality.freshness import report_stale_sources
from saas_analytics.settings import Settings
from tests.receivers import hook, mail_server


@pytest.fixture(autouse=True)
def _home_of_airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    for name in ("ALERTS_SLACK", "ALERTS_SMTP"):
        monkeypatch.delenv(f"AIRFLOW_CONN_{name}", raising=False)
    monkeypatch.setenv("PIPELINE_RUN_URL", "http://airflow/runs/1")


def told_by_slack(settings: Settings, server: Any) -> Settings:
    return replace(settings, slack_webhook_url=f"http://127.0.0.1:{server.server_port}/hook")


def told_by_mail(settings: Settings, server: Any) -> Settings:
    port = server.server_address[1]
    return replace(settings, alert_email="team@example.com", smtp_host="127.0.0.1", smtp_port=port)


def test_a_cause_is_told_once_and_when_it_is_well_again(warehouse: Settings) -> None:
    with hook() as server:
        settings = told_by_slack(warehouse, server)
        assert raise_alert(settings, "dbt_build", "3 tests failed")
        assert not raise_alert(settings, "dbt_build", "3 tests failed, again")
        assert raise_alert(settings, "publish", "no marts", "http://elsewhere")
        assert settle_alert(settings, "dbt_build", "it succeeded")
        assert not settle_alert(settings, "dbt_build", "it succeeded")
        assert raise_alert(settings, "dbt_build", "another day")
    assert server.got == [
        "*Failed: dbt_build*\n3 tests failed\nhttp://airflow/runs/1",
        "*Failed: publish*\nno marts\nhttp://elsewhere",
        "*Well again: dbt_build*\nit succeeded\nhttp://airflow/runs/1",
        "*Failed: dbt_build*\nanother day\nhttp://airflow/runs/1",
    ]


def test_an_alert_goes_by_mail(warehouse: Settings) -> None:
    with mail_server() as server:
        assert raise_alert(told_by_mail(warehouse, server), "dbt_build", "3 tests failed: a < b")
    message = message_from_string(server.got[0])
    assert (message["Subject"], message["To"]) == ("Failed: dbt_build", "team@example.com")
    (part,) = message.get_payload()  # type: ignore[misc]
    assert "3 tests failed: a &lt; b" in part.get_payload(decode=True).decode()  # type: ignore[union-attr]


def test_what_is_told_calls_nobody_and_fills_no_template(warehouse: Settings) -> None:
    with hook() as server:
        assert raise_alert(told_by_slack(warehouse, server), "publish", "<!channel> {{ conn }} & more")
    assert server.got == ["*Failed: publish*\n&lt;!channel&gt; {{ conn }} &amp; more\nhttp://airflow/runs/1"]


@pytest.mark.parametrize("way", ["slack", "mail"])
@pytest.mark.parametrize("receiver", ["answers with an error", "is slow", "is down"])
def test_an_alert_that_cannot_be_sent_is_printed_and_sent_the_next_time(
    warehouse: Settings, way: str, receiver: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(alerts, "_SECONDS", 1)
    told_by, open_server = (told_by_slack, hook) if way == "slack" else (told_by_mail, mail_server)
    with open_server(receiver == "answers with an error", 2 if receiver == "is slow" else 0) as server:
        settings = told_by(warehouse, server)
        if receiver != "is down":
            assert not raise_alert(settings, "dbt_build", "3 tests failed")
    if receiver == "is down":
        assert not raise_alert(settings, "dbt_build", "3 tests failed")
    assert "An alert could not be sent" in capsys.readouterr().err
    with open_server() as server:
        settings = told_by(warehouse, server)
        assert raise_alert(settings, "dbt_build", "4 tests failed")
        assert not raise_alert(settings, "dbt_build", "5 tests failed")
    (told,) = server.got
    assert "dbt_build" in told


def test_that_it_is_well_is_told_when_the_receiver_is_back(warehouse: Settings) -> None:
    with hook() as server:
        assert raise_alert(told_by_slack(warehouse, server), "land, day 1", "refused")
        assert raise_alert(told_by_slack(warehouse, server), "publish", "no marts")
    assert not settle_alert(told_by_slack(warehouse, server), "land, day 1", "it succeeded")  # the receiver is down
    assert open_causes(warehouse, "") == ["publish"]
    with hook() as server:
        assert settle_alert(told_by_slack(warehouse, server), "another", "it succeeded")
        assert not settle_alert(told_by_slack(warehouse, server), "another", "it succeeded")
    assert server.got == ["*Well again: land, day 1*\nit succeeded\nhttp://airflow/runs/1"]


def test_a_cause_that_comes_again_before_it_was_told_to_be_well_is_told(warehouse: Settings) -> None:
    with hook() as server:
        assert raise_alert(told_by_slack(warehouse, server), "land", "refused")
    settle_alert(told_by_slack(warehouse, server), "land", "it succeeded")
    with hook() as server:
        assert raise_alert(told_by_slack(warehouse, server), "land", "refused again")
        assert not settle_alert(told_by_slack(warehouse, server), "another", "it succeeded")
    assert [text.splitlines()[0] for text in server.got] == ["*Failed: land*"]


def test_of_several_causes_those_are_told_that_are_news(warehouse: Settings) -> None:
    with hook() as server:
        settings = told_by_slack(warehouse, server)
        assert raise_alerts(settings, "build", {"a": "a failed", "b": "b failed"}, "run 1")
        assert not raise_alerts(settings, "build", {"a": "a failed"}, "run 2")
        assert raise_alerts(settings, "build", {"b": "b failed", "c": "c failed"}, "run 3")
        assert settle_alerts(settings, "build", ["a", "b", "gone"], "a and b passed")
        assert raise_alerts(settings, "build", {"a": "a failed", "c": "c failed"}, "run 4")
    assert [text.rpartition("\n")[0] for text in server.got] == [
        "*Failed: build*\nrun 1\na failed\nb failed",
        "*Failed: build*\nrun 3\nc failed",
        "*Well again: build*\na and b passed",
        "*Failed: build*\nrun 4\na failed",
    ]


def test_each_source_that_becomes_stale_is_told(warehouse: Settings) -> None:
    def answers(**ages: float) -> list[dict[str, Any]]:
        return [
            {"source": source, "age_hours": age, "limit_hours": 26, "is_stale": age > 26}
            for source, age in ages.items()
        ]

    with hook() as server:
        settings = told_by_slack(warehouse, server)
        report_stale_sources(settings, answers(orders=30, payments=1))
        report_stale_sources(settings, answers(orders=54, payments=30))
        report_stale_sources(settings, answers(orders=1, payments=54))
    assert [text.splitlines()[:2] for text in server.got] == [
        ["*Failed: stale sources*", "orders landed 30 hours ago; 26 are allowed"],
        ["*Failed: stale sources*", "payments landed 30 hours ago; 26 are allowed"],
        ["*Well again: stale sources*", "Fresh again: orders."],
    ]


def test_what_nobody_was_told_of_is_not_told_to_be_well(warehouse: Settings) -> None:
    assert not raise_alert(warehouse, "dbt_build", "3 tests failed")  # nobody is named
    with hook() as server:
        assert not settle_alert(told_by_slack(warehouse, server), "dbt_build", "it succeeded")
    assert server.got == []


def test_an_alert_is_sent_where_the_warehouse_is_down(warehouse: Settings) -> None:
    with hook() as server:
        settings = replace(told_by_slack(warehouse, server), database="gone")
        assert raise_alert(settings, "land", "no server")
    assert len(server.got) == 1
