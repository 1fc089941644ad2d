"""Tells people what went wrong, and when it is well again: to Slack and by e-mail, as far as `.env` names them.

One alert for one cause: what is open is kept in quality.alerts, told once, and told again when it is over. An alert
that cannot be sent is printed, and fails nothing.
"""

from __future__ import annotations

import smtplib
import sys
from email.message import EmailMessage

import httpx

from infrastructure.settings import Settings
from infrastructure.warehouse import WarehouseError, connect

_SECONDS = 10  # that a receiver has to answer


def raise_alert(settings: Settings, cause: str, text: str) -> bool:
    """Tell `text`, unless an alert of that cause is open. True when it was told to somebody."""
    return _is_news(settings, _OPEN, [cause, text]) and _send(settings, f"Failed: {cause}", text)


def settle_alert(settings: Settings, cause: str, text: str) -> bool:
    """Tell that a cause is well again, where an alert of it is open. True when it was told to somebody."""
    return _is_news(settings, _CLOSE, [cause]) and _send(settings, f"Well again: {cause}", text)


def open_causes(settings: Settings, prefix: str) -> list[str]:
    """The causes that begin with `prefix` of which an alert is open; none where the warehouse does not answer."""
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            rows = warehouse.execute(
                "select cause from quality.alerts where starts_with(cause, %s) order by cause", [prefix]
            ).fetchall()
    except WarehouseError as error:
        print(f"Open alerts are not known: {error}", file=sys.stderr)
        return []
    return [cause for (cause,) in rows]


def _is_news(settings: Settings, statement: str, values: list[str]) -> bool:
    try:
        with connect(settings, "transformer", application_name="alerts") as warehouse:
            return warehouse.execute(statement, values).rowcount == 1
    except WarehouseError as error:
        # The warehouse may be what is down: better an alert too many.
        print(f"Open alerts are not known: {error}", file=sys.stderr)
        return True


def _send(settings: Settings, title: str, text: str) -> bool:
    told = False
    for receiver, way in ((settings.slack_webhook_url, _to_slack), (settings.alert_email, _by_email)):
        if receiver != "off":
            try:
                way(settings, title, text)
                told = True
            except (httpx.HTTPError, OSError, smtplib.SMTPException) as error:
                print(f"An alert could not be sent ({error or type(error).__name__}): {title}", file=sys.stderr)
    return told


def _to_slack(settings: Settings, title: str, text: str) -> None:
    body = {"text": f"*{title}*\n{text}"}
    httpx.post(settings.slack_webhook_url, json=body, timeout=_SECONDS).raise_for_status()


def _by_email(settings: Settings, title: str, text: str) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = title, settings.smtp_from, settings.alert_email
    message.set_content(text)
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_SECONDS) as server:
        server.send_message(message)


_OPEN = "insert into quality.alerts (cause, text) values (%s, %s) on conflict (cause) do nothing"
_CLOSE = "delete from quality.alerts where cause = %s"
