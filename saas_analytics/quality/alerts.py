"""Tells people what went wrong, and when it is well again: to Slack and by e-mail, as far as `.env` names them.

One alert for one cause: what is open is kept in quality.alerts, told once, and told again when it is over. Airflow's
own notifiers send it. An alert that cannot be sent is printed, fails nothing, and is sent when its cause comes again;
that something is well again, with whatever is well next.
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

_SECONDS = 10  # that a receiver has to answer
_MOST = 10  # causes that a message has words of
_SLACK, _SMTP = "alerts_slack", "alerts_smtp"  # Airflow's names for the connections, which are in no database


def raise_alert(settings: Settings, cause: str, text: str, link: str | None = None, *, title: str = "") -> bool:
    """Tell `text`, unless an alert of that cause has been told and is open. True when it was told to somebody.

    `link` is where to look; without it that is the run in Airflow that this process belongs to, if it belongs to one.
    """
    return raise_alerts(settings, title or cause, {cause: text}, link=link)


def raise_alerts(
    settings: Settings, title: str, causes: Mapping[str, str], about: str = "", link: str | None = None
) -> bool:
    """Tell in one message those of `causes` (with their texts) of which no alert has been told and is open."""
    news = _write(settings, _OPEN, [list(causes), list(causes.values())], unknown=list(causes))
    if not news:
        return False
    more = f"and {len(news) - _MOST} more" if len(news) > _MOST else ""
    lines = [line for line in (about, *(causes[cause] for cause in news[:_MOST]), more) if line]
    told = _send(settings, f"Failed: {title}", _with_link("\n".join(lines), link))
    if not told:
        _write(settings, _NOT_TOLD, [news])
    return told


def settle_alert(settings: Settings, cause: str, text: str, *, title: str = "") -> bool:
    """Tell that a cause is well again, where its alert was told. True when something was told to somebody."""
    return settle_alerts(settings, title or cause, [cause], text)


def settle_alerts(settings: Settings, title: str, causes: Sequence[str], text: str) -> bool:
    """Tell in one message that causes are well again, if the alert of one was told; and what could not be told before.

    True when something was told to somebody.
    """
    told = False
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            warehouse.execute(_FORGET, [list(causes)])
            warehouse.execute(_SETTLE, [title, _with_link(text), list(causes)])
            warehouse.commit()
            # What is being told stays locked: it is told once, and gone when it was.
            waiting: dict[tuple[str, str], list[str]] = {}
            for cause, well in warehouse.execute(_SETTLED).fetchall():
                waiting.setdefault(tuple(well), []).append(cause)
            for (well_title, well_text), settled in waiting.items():
                if not _send(settings, f"Well again: {well_title}", well_text):
                    break  # and nobody would hear the others
                warehouse.execute("delete from quality.alerts where cause = any(%s)", [settled])
                told = True
    except (WarehouseError, psycopg.Error) as error:
        print(f"Open alerts are not known: {error}", file=sys.stderr)
    return told


def open_causes(settings: Settings, prefix: str) -> list[str]:
    """The causes that begin with `prefix` of which an alert is open; none where the warehouse does not answer."""
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            rows = warehouse.execute(
                "select cause from quality.alerts where starts_with(cause, %s) and well_again is null order by cause",
                [prefix],
            ).fetchall()
    except (WarehouseError, psycopg.Error) as error:
        print(f"Open alerts are not known: {error}", file=sys.stderr)
        return []
    return [cause for (cause,) in rows]


def _with_link(text: str, link: str | None = None) -> str:
    link = link or os.environ.get("PIPELINE_RUN_URL")
    return f"{text}\n{link}" if link else text


def _write(settings: Settings, statement: str, values: Sequence[object], unknown: Sequence[str] = ()) -> Sequence[str]:
    """The causes that a statement gives; `unknown` where the warehouse does not answer.

    It may be what is down: better a failure too many than one too few, and nothing is well again that nobody knows of.
    """
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            return [cause for (cause,) in warehouse.execute(statement, values).fetchall()]
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
    from airflow.providers.slack.notifications.slack_webhook import (
        SlackWebhookNotifier,  # takes seconds
    )

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


# An alert counts as told from before it is sent, so that two tasks do not both send it. A cause that comes again before
# anybody has heard that it was well is news.
_OPEN = """
insert into quality.alerts as alert (cause, text, told_at)
select cause, text, now() from unnest(%s::text[], %s::text[]) as new (cause, text)
on conflict (cause) do update set text = excluded.text, told_at = excluded.told_at, well_again = null
where alert.told_at is null or alert.well_again is not null
returning cause
"""
_NOT_TOLD = "update quality.alerts set told_at = null where cause = any(%s) returning cause"
_FORGET = "delete from quality.alerts where cause = any(%s) and told_at is null"
_SETTLE = """
update quality.alerts set well_again = array[%s, %s]
where cause = any(%s) and well_again is null
"""
_SETTLED = """
select cause, well_again from quality.alerts
where well_again is not null
order by raised_at, cause
for update skip locked
"""
