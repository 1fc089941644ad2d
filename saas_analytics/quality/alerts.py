"""Alerts of failures and their resolution, sent to Slack and by e-mail.

Each cause has one alert, which is sent once, and again when its cause is resolved. quality.alerts
holds the open ones. Airflow's notifiers send them, with the settings of `.env`. An alert that
cannot be sent is printed and fails nothing. It is sent when its cause comes up again. A message of
a resolution is sent with the next one.
"""

from __future__ import annotations

import html
import json
import os
import sys
from collections.abc import Mapping, Sequence

import psycopg

from saas_analytics.layout import Layout
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect

_SECONDS = 10  # timeout of a receiver
_MOST = 10  # causes that one message describes
# The names of the Airflow connections, which exist only in the environment.
_SLACK, _SMTP = "alerts_slack", "alerts_smtp"


def raise_alert(
    settings: Settings, cause: str, text: str, link: str | None = None, *, title: str = ""
) -> bool:
    """Send `text`, unless an alert of this cause was sent and is open. True if it was sent.

    `link` says where to look. The default is the Airflow run of this process, if there is one.
    """
    return raise_alerts(settings, title or cause, {cause: text}, link=link)


def raise_alerts(
    settings: Settings,
    title: str,
    causes: Mapping[str, str],
    about: str = "",
    link: str | None = None,
) -> bool:
    """Send one message about those of `causes` that have no open alert. True if it was sent.

    `causes` maps each cause to its text.
    """
    news = _write(settings, _OPEN, [list(causes), list(causes.values())], unknown=list(causes))
    if not news:
        return False
    more = f"and {len(news) - _MOST} more" if len(news) > _MOST else ""
    lines = [line for line in (about, *(causes[cause] for cause in news[:_MOST]), more) if line]
    sent = _send(settings, f"Failed: {title}", _with_link("\n".join(lines), link))
    if not sent:
        _write(settings, _UNSENT, [news])
    return sent


def resolve_alert(settings: Settings, cause: str, text: str, *, title: str = "") -> bool:
    """Report that a cause is resolved, if its alert was sent. True if a message was sent."""
    return resolve_alerts(settings, title or cause, [cause], text)


def resolve_alerts(settings: Settings, title: str, causes: Sequence[str], text: str) -> bool:
    """Report in one message that causes are resolved, if the alert of at least one was sent.

    Earlier messages of this kind that could not be sent are sent too. True if a message was sent.
    """
    sent = False
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            warehouse.execute(_FORGET, [list(causes)])
            warehouse.execute(_RESOLVE, [title, _with_link(text), list(causes)])
            warehouse.commit()
            # The rows stay locked until they are deleted, so that each message is sent once.
            waiting: dict[tuple[str, str], list[str]] = {}
            for cause, message in warehouse.execute(_RESOLVED).fetchall():
                waiting.setdefault(tuple(message), []).append(cause)
            for (message_title, message_text), resolved in waiting.items():
                if not _send(settings, f"Resolved: {message_title}", message_text):
                    break  # the others would fail too
                delete = "delete from quality.alerts where cause = any(%s)"
                warehouse.execute(delete, [resolved])
                sent = True
    except (WarehouseError, psycopg.Error) as error:
        _report_unknown(error)
    return sent


def open_causes(settings: Settings, prefix: str) -> list[str]:
    """The causes with an open alert that start with `prefix`; none if the warehouse is down."""
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            rows = warehouse.execute(_OPEN_CAUSES, [prefix]).fetchall()
    except (WarehouseError, psycopg.Error) as error:
        _report_unknown(error)
        return []
    return [cause for (cause,) in rows]


def _report_unknown(error: Exception) -> None:
    print(f"The open alerts are unknown: {error}", file=sys.stderr)


def _with_link(text: str, link: str | None = None) -> str:
    link = link or os.environ.get("PIPELINE_RUN_URL")
    return f"{text}\n{link}" if link else text


def _write(
    settings: Settings, statement: str, values: Sequence[object], unknown: Sequence[str] = ()
) -> Sequence[str]:
    """The causes that a statement returns; `unknown` if the warehouse does not answer.

    The warehouse may be what is down: one failure alert too many is better than a missing one.
    """
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            return [cause for (cause,) in warehouse.execute(statement, values).fetchall()]
    except (WarehouseError, psycopg.Error) as error:
        _report_unknown(error)
        return unknown


def _send(settings: Settings, title: str, text: str) -> bool:
    sent = False
    channels = ((settings.slack_webhook_url, _to_slack), (settings.alert_email, _by_email))
    for receiver, send in channels:
        if receiver != "off":
            try:
                send(settings, title, text)
                sent = True
            except Exception as error:  # no alert is worth a failed task
                reason = str(error) or type(error).__name__
                print(f"An alert could not be sent ({reason}): {title}", file=sys.stderr)
    return sent


def _to_slack(settings: Settings, title: str, text: str) -> None:
    webhook = {"conn_type": "slackwebhook", "password": settings.slack_webhook_url}
    _connect_airflow(settings, _SLACK, webhook)
    from airflow.providers.slack.notifications import slack_webhook  # takes seconds

    # Escaped, because <!channel> in a value would notify everybody.
    message = f"*{html.escape(title, quote=False)}*\n{html.escape(text, quote=False)}"
    slack_webhook.SlackWebhookNotifier(
        slack_webhook_conn_id=_SLACK, text=message, timeout=_SECONDS
    ).notify({})


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


def _connect_airflow(settings: Settings, name: str, connection: Mapping[str, object]) -> None:
    """Give Airflow in this process a connection, and a home if it has none, as at the shell."""
    os.environ.setdefault("AIRFLOW_HOME", str(Layout(settings.root).airflow))
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(connection)


# An alert counts as sent (told_at) before it is sent, so that two tasks do not both send it. If a
# cause comes up again before its resolution was sent, that is a new alert.
_OPEN = """
insert into quality.alerts as alert (cause, text, told_at)
select cause, text, now() from unnest(%s::text[], %s::text[]) as new (cause, text)
on conflict (cause) do update
set text = excluded.text, told_at = excluded.told_at, well_again = null
where alert.told_at is null or alert.well_again is not null
returning cause
"""
_OPEN_CAUSES = """
select cause from quality.alerts
where starts_with(cause, %s) and well_again is null
order by cause
"""
_UNSENT = "update quality.alerts set told_at = null where cause = any(%s) returning cause"
_FORGET = "delete from quality.alerts where cause = any(%s) and told_at is null"
_RESOLVE = """
update quality.alerts set well_again = array[%s, %s]
where cause = any(%s) and well_again is null
"""
_RESOLVED = """
select cause, well_again from quality.alerts
where well_again is not null
order by raised_at, cause
for update skip locked
"""
