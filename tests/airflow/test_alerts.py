"""Alerts, to a local HTTP server and a local SMTP server: told once, told when it is well, never in the way."""

from __future__ import annotations

import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from infrastructure import alerts
from infrastructure.alerts import raise_alert, settle_alert
from infrastructure.settings import Settings

ENOUGH = Event()


class Hook(BaseHTTPRequestHandler):
    """A webhook that answers as its server is told to, and keeps what it got."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        ENOUGH.wait(server.seconds)
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as it takes to get a message."""

    def handle(self) -> None:
        server: Any = self.server
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                server.got.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n")


@contextmanager
def listening(server: Any) -> Iterator[Any]:
    server.got = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def hook(status: int = 200, seconds: float = 0) -> Iterator[Any]:
    with listening(HTTPServer(("127.0.0.1", 0), Hook)) as server:
        server.status, server.seconds = status, seconds
        yield server


def told_by_slack(settings: Settings, server: Any) -> Settings:
    return replace(settings, slack_webhook_url=f"http://127.0.0.1:{server.server_port}/hook")


def test_a_cause_is_told_once_and_when_it_is_well_again(warehouse: Settings) -> None:
    with hook() as server:
        settings = told_by_slack(warehouse, server)
        assert raise_alert(settings, "dbt_build", "3 tests failed")
        assert not raise_alert(settings, "dbt_build", "3 tests failed, again")
        assert raise_alert(settings, "publish", "no marts")
        assert settle_alert(settings, "dbt_build", "it succeeded")
        assert not settle_alert(settings, "dbt_build", "it succeeded")
        assert raise_alert(settings, "dbt_build", "another day")
    assert server.got == [
        "*Failed: dbt_build*\n3 tests failed",
        "*Failed: publish*\nno marts",
        "*Well again: dbt_build*\nit succeeded",
        "*Failed: dbt_build*\nanother day",
    ]


def test_an_alert_goes_by_mail(warehouse: Settings) -> None:
    with listening(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)) as server:
        port = server.server_address[1]
        settings = replace(warehouse, alert_email="team@example.com", smtp_host="127.0.0.1", smtp_port=port)
        assert raise_alert(settings, "dbt_build", "3 tests failed")
    (message,) = server.got
    assert "Subject: Failed: dbt_build" in message
    assert "To: team@example.com" in message
    assert "3 tests failed" in message


@pytest.mark.parametrize("receiver", ["answers 500", "is slow", "is down"])
def test_an_alert_that_cannot_be_sent_is_printed(
    warehouse: Settings, receiver: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(alerts, "_SECONDS", 0.3)
    with hook(500 if receiver == "answers 500" else 200, 1 if receiver == "is slow" else 0) as server:
        settings = told_by_slack(warehouse, server)
        if receiver != "is down":
            assert not raise_alert(settings, "dbt_build", "3 tests failed")
    if receiver == "is down":
        assert not raise_alert(settings, "dbt_build", "3 tests failed")
    assert "An alert could not be sent" in capsys.readouterr().err


def test_without_a_receiver_nobody_is_told(warehouse: Settings) -> None:
    assert not raise_alert(warehouse, "dbt_build", "3 tests failed")
