"""Serves the documentation site, to this machine only; before it is built, a page that says how.

python -m saas_analytics.documentation.serve [--host 127.0.0.1] [--port DOCS_PORT]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from saas_analytics.settings import PROJECT_ROOT, SettingsError, load_settings

# dbt's page is one file with its script and its pictures in it, so these are allowed; nothing is from elsewhere.
_POLICY = "default-src 'self' data: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' data:; frame-ancestors 'self'"


class SiteHandler(SimpleHTTPRequestHandler):
    """Files of the site, looked for at each request: a site that is built anew is there at once."""

    server_version, sys_version = "documentation", ""

    def do_GET(self) -> None:
        if (Path(self.directory) / "index.html").is_file():
            super().do_GET()
        else:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "The site is not built yet", "Run: make docs")

    def list_directory(self, path: object) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only errors are worth a line."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m saas_analytics.documentation.serve", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="the port (default: DOCS_PORT of .env)")
    arguments = parser.parse_args(argv)
    try:
        port = arguments.port or load_settings().docs_port
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if port is None:
        print(f"error: {PROJECT_ROOT / '.env'} has no DOCS_PORT: run `make up`, which adds it.", file=sys.stderr)
        return 1
    site = PROJECT_ROOT / "site"
    with ThreadingHTTPServer((arguments.host, port), partial(SiteHandler, directory=str(site))) as server:
        print(f"Serving {site} on http://{arguments.host}:{port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
