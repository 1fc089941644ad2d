"""Tells people what went wrong, and when it is well again: to Slack and by e-mail, as far as `.env` names them.

One alert for one cause: what is open is kept in quality.alerts, told once, and told again when it is over. Airflow's
own notifiers send it. An alert that cannot be sent is printed, fails nothing, and is sent when its cause comes again.
"""

from __future__ import annotations

import html
import json
import os
import sys

import psycopg

from infrastructure.local.layout import Layout
from infrastructure.settings import Settings
from infrastructure.warehouse import WarehouseError, connect

_SECONDS = 10  # that a receiver has to answer
_SLACK, _SMTP = "alerts_slack", "alerts_smtp"  # Airflow's names for the connections, which are in no database


def raise_alert(settings: Settings, cause: str, text: str, link: str | None = None) -> bool:
    """Tell `text`, unless an alert of that cause has been told and is open. True when it was told to somebody.

    `link` is where to look; without it that is the run in Airflow that this process belongs to, if it belongs to one.
    """
    if not _is_news(settings, _OPEN, [cause, text], unknown=True):
        return False
    told = _send(settings, f"Failed: {cause}", _with_link(text, link))
    if not told:
        _is_news(settings, _NOT_TOLD, [cause], unknown=False)
    return told


def settle_alert(settings: Settings, cause: str, text: str) -> bool:
    """Tell that a cause is well again, where its alert was told. True when it was told to somebody."""
    return _is_news(settings, _CLOSE, [cause], unknown=False) and _send(
        settings, f"Well again: {cause}", _with_link(text)
    )


def open_causes(settings: Settings, prefix: str) -> list[str]:
    """The causes that begin with `prefix` of which an alert is open; none where the warehouse does not answer."""
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            rows = warehouse.execute(
                "select cause from quality.alerts where starts_with(cause, %s) order by cause", [prefix]
            ).fetchall()
    except (WarehouseError, psycopg.Error) as error:
        print(f"Open alerts are not known: {error}", file=sys.stderr)
        return []
    return [cause for (cause,) in rows]


def _with_link(text: str, link: str | None = None) -> str:
    link = link or os.environ.get("PIPELINE_RUN_URL")
    return f"{text}\n{link}" if link else text


def _is_news(settings: Settings, statement: str, values: list[str], *, unknown: bool) -> bool:
    """Whether the statement gives a row that says true; `unknown` where the warehouse does not answer.

    It may be what is down: better a failure too many than one too few, and nothing is well again that nobody knows of.
    """
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            return warehouse.execute(statement, values).fetchone() == (True,)
    except (WarehouseError, psycopg.Error) as error:
        print(f"Open alerts are not known: {error}", file=sys.stderr)
        return unknown


def _send(settings: Settings, title: str, text: str) -> bool:
    told = False
    for receiver, way in ((settings.slack_webhook_url, _to_slack), (settings.alert_email, _by_email)):
        if receiver != "off":
            try:
                way(settings, title, text)
                told = True
            except Exception as error:  # whatever it is, it is not worth failing for
                print(f"An alert could not be sent ({error or type(error).__name__}): {title}", file=sys.stderr)
    return told


def _to_slack(settings: Settings, title: str, text: str) -> None:
    _connect_airflow(settings, _SLACK, {"conn_type": "slackwebhook", "password": settings.slack_webhook_url})
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier  # takes seconds

    # Escaped, since <!channel> in a value would call everybody.
    message = f"*{html.escape(title, quote=False)}*\n{html.escape(text, quote=False)}"
    SlackWebhookNotifier(slack_webhook_conn_id=_SLACK, text=message, timeout=_SECONDS).notify({})


def _by_email(settings: Settings, title: str, text: str) -> None:
    server: dict[str, object] = {
        "conn_type": "smtp",
        "host": settings.smtp_host,
        "port": settings.smtp_port,
        "extra": {
            "timeout": _SECONDS,
            "retry_limit": 0,
            "disable_tls": settings.smtp_security != "starttls",
            "disable_ssl": settings.smtp_security != "ssl",
        },
    }
    if settings.smtp_login:
        server["login"], server["password"] = settings.smtp_login
    _connect_airflow(settings, _SMTP, server)
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    SmtpNotifier(
        smtp_conn_id=_SMTP,
        from_email=settings.smtp_from,
        to=settings.alert_email,
        subject=title,
        html_content=f"<pre>{html.escape(text)}</pre>",
    ).notify({})


def _connect_airflow(settings: Settings, name: str, connection: dict[str, object]) -> None:
    """Give Airflow in this process a connection, and a home where it has none: by hand, this is no process of its."""
    os.environ.setdefault("AIRFLOW_HOME", str(Layout(settings.root).airflow))
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(connection)


# An alert counts as told from before it is sent, so that two tasks do not both send it.
_OPEN = """
insert into quality.alerts as alert (cause, text, told_at) values (%s, %s, now())
on conflict (cause) do update set text = excluded.text, told_at = excluded.told_at where alert.told_at is null
returning true
"""
_NOT_TOLD = "update quality.alerts set told_at = null where cause = %s returning true"
_CLOSE = "delete from quality.alerts where cause = %s returning told_at is not null"
