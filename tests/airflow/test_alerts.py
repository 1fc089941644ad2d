"""Alerts to a local HTTP and SMTP server: sent once, sent when resolved, never in the way."""

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
    resolve_alert,
    resolve_alerts,
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


def with_slack(settings: Settings, server: Any) -> Settings:
    return replace(settings, slack_webhook_url=f"http://127.0.0.1:{server.server_port}/hook")


def with_mail(settings: Settings, server: Any) -> Settings:
    port = server.server_address[1]
    return replace(settings, alert_email="team@example.com", smtp_host="127.0.0.1", smtp_port=port)


def test_a_cause_is_reported_once_and_when_it_is_resolved(warehouse: Settings) -> None:
    with hook() as server:
        settings = with_slack(warehouse, server)
        assert raise_alert(settings, "dbt_build", "3 tests failed")
        assert not raise_alert(settings, "dbt_build", "3 tests failed, again")
        assert raise_alert(settings, "publish", "no marts", "http://elsewhere")
        assert resolve_alert(settings, "dbt_build", "it succeeded")
        assert not resolve_alert(settings, "dbt_build", "it succeeded")
        assert raise_alert(settings, "dbt_build", "another day")
    assert server.got == [
        "*Failed: dbt_build*\n3 tests failed\nhttp://airflow/runs/1",
        "*Failed: publish*\nno marts\nhttp://elsewhere",
        "*Resolved: dbt_build*\nit succeeded\nhttp://airflow/runs/1",
        "*Failed: dbt_build*\nanother day\nhttp://airflow/runs/1",
    ]


def test_an_alert_goes_by_mail(warehouse: Settings) -> None:
    with mail_server() as server:
        assert raise_alert(with_mail(warehouse, server), "dbt_build", "3 tests failed: a < b")
    message = message_from_string(server.got[0])
    assert (message["Subject"], message["To"]) == ("Failed: dbt_build", "team@example.com")
    (part,) = message.get_payload()  # type: ignore[misc]
    body: Any = part.get_payload(decode=True)  # type: ignore[union-attr]
    assert "3 tests failed: a &lt; b" in body.decode()


def test_a_text_mentions_nobody_and_fills_no_template(warehouse: Settings) -> None:
    with hook() as server:
        assert raise_alert(with_slack(warehouse, server), "publish", "<!channel> {{ conn }} & more")
    assert server.got == [
        "*Failed: publish*\n&lt;!channel&gt; {{ conn }} &amp; more\nhttp://airflow/runs/1"
    ]


@pytest.mark.parametrize("way", ["slack", "mail"])
@pytest.mark.parametrize("receiver", ["answers with an error", "is slow", "is down"])
def test_an_alert_that_cannot_be_sent_is_printed_and_sent_next_time(
    warehouse: Settings,
    way: str,
    receiver: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(alerts, "_SECONDS", 1)
    with_receiver, open_server = (with_slack, hook) if way == "slack" else (with_mail, mail_server)
    with open_server(
        receiver == "answers with an error", 2 if receiver == "is slow" else 0
    ) as server:
        settings = with_receiver(warehouse, server)
        if receiver != "is down":
            assert not raise_alert(settings, "dbt_build", "3 tests failed")
    if receiver == "is down":
        assert not raise_alert(settings, "dbt_build", "3 tests failed")
    assert "An alert could not be sent" in capsys.readouterr().err
    with open_server() as server:
        settings = with_receiver(warehouse, server)
        assert raise_alert(settings, "dbt_build", "4 tests failed")
        assert not raise_alert(settings, "dbt_build", "5 tests failed")
    (sent,) = server.got
    assert "dbt_build" in sent


def test_a_resolution_is_sent_when_the_receiver_is_back(warehouse: Settings) -> None:
    with hook() as server:
        assert raise_alert(with_slack(warehouse, server), "land, day 1", "refused")
        assert raise_alert(with_slack(warehouse, server), "publish", "no marts")
    # The receiver is down.
    assert not resolve_alert(with_slack(warehouse, server), "land, day 1", "it succeeded")
    assert open_causes(warehouse, "") == ["publish"]
    with hook() as server:
        assert resolve_alert(with_slack(warehouse, server), "another", "it succeeded")
        assert not resolve_alert(with_slack(warehouse, server), "another", "it succeeded")
    assert server.got == ["*Resolved: land, day 1*\nit succeeded\nhttp://airflow/runs/1"]


def test_a_cause_that_comes_up_again_before_its_resolution_was_sent_is_reported(
    warehouse: Settings,
) -> None:
    with hook() as server:
        assert raise_alert(with_slack(warehouse, server), "land", "refused")
    resolve_alert(with_slack(warehouse, server), "land", "it succeeded")
    with hook() as server:
        assert raise_alert(with_slack(warehouse, server), "land", "refused again")
        assert not resolve_alert(with_slack(warehouse, server), "another", "it succeeded")
    assert [text.splitlines()[0] for text in server.got] == ["*Failed: land*"]


def test_of_several_causes_the_new_ones_are_reported(warehouse: Settings) -> None:
    with hook() as server:
        settings = with_slack(warehouse, server)
        assert raise_alerts(settings, "build", {"a": "a failed", "b": "b failed"}, "run 1")
        assert not raise_alerts(settings, "build", {"a": "a failed"}, "run 2")
        assert raise_alerts(settings, "build", {"b": "b failed", "c": "c failed"}, "run 3")
        assert resolve_alerts(settings, "build", ["a", "b", "gone"], "a and b passed")
        assert raise_alerts(settings, "build", {"a": "a failed", "c": "c failed"}, "run 4")
    assert [text.rpartition("\n")[0] for text in server.got] == [
        "*Failed: build*\nrun 1\na failed\nb failed",
        "*Failed: build*\nrun 3\nc failed",
        "*Resolved: build*\na and b passed",
        "*Failed: build*\nrun 4\na failed",
    ]


def test_each_source_that_becomes_stale_is_reported(warehouse: Settings) -> None:
    def answers(**ages: float) -> list[dict[str, Any]]:
        return [
            {"source": source, "age_hours": age, "limit_hours": 26, "is_stale": age > 26}
            for source, age in ages.items()
        ]

    with hook() as server:
        settings = with_slack(warehouse, server)
        report_stale_sources(settings, answers(orders=30, payments=1))
        report_stale_sources(settings, answers(orders=54, payments=30))
        report_stale_sources(settings, answers(orders=1, payments=54))
    assert [text.splitlines()[:2] for text in server.got] == [
        ["*Failed: stale sources*", "orders landed 30 hours ago; 26 are allowed"],
        ["*Failed: stale sources*", "payments landed 30 hours ago; 26 are allowed"],
        ["*Resolved: stale sources*", "Fresh again: orders."],
    ]


def test_a_cause_that_nobody_heard_of_is_not_reported_as_resolved(warehouse: Settings) -> None:
    assert not raise_alert(warehouse, "dbt_build", "3 tests failed")  # there is no receiver
    with hook() as server:
        assert not resolve_alert(with_slack(warehouse, server), "dbt_build", "it succeeded")
    assert server.got == []


def test_an_alert_is_sent_although_the_warehouse_is_down(warehouse: Settings) -> None:
    with hook() as server:
        settings = replace(with_slack(warehouse, server), database="gone")
        assert raise_alert(settings, "land", "no server")
    assert len(server.got) == 1
