"""Servers on this machine that receive the messages of the stack: JSON by HTTP, and mail."""

from __future__ import annotations

import gzip
import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread
from typing import Any

ENOUGH = Event()


class Hook(BaseHTTPRequestHandler):
    """Keeps the JSON that it receives. Its server decides whether it fails, and how slow it is."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        sent = json.loads(body)
        server.got.append(sent.get("text", sent))  # of a message to Slack only the text
        ENOUGH.wait(server.seconds)
        self.send_response(500 if server.fails else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Prints nothing."""


class Mail(socketserver.StreamRequestHandler):
    """The part of SMTP that receives a message, or refuses it."""

    def handle(self) -> None:
        server: Any = self.server
        ENOUGH.wait(server.seconds)
        self.wfile.write(b"554 no service\r\n" if server.fails else b"220 here\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                server.got.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            self.wfile.write(
                b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 fine\r\n"
            )


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
def hook(fails: bool = False, seconds: float = 0) -> Iterator[Any]:
    with listening(HTTPServer(("127.0.0.1", 0), Hook)) as server:
        server.fails, server.seconds = fails, seconds
        yield server


@contextmanager
def mail_server(fails: bool = False, seconds: float = 0) -> Iterator[Any]:
    with listening(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)) as server:
        server.fails, server.seconds = fails, seconds
        yield server
