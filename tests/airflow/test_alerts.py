"""Alerts, to a local HTTP server and a local SMTP server: told once, told when it is well, never in the way."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from infrastructure import alerts
from infrastructure.alerts import raise_alert, settle_alert
from infrastructure.settings import Settings
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
