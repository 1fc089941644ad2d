"""Serves the documentation site. Before it is built, a page says how to build it."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# dbt's page is one file that contains its script and its pictures, so these are allowed. Nothing
# else is.
_POLICY = (
    "default-src 'self' data: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' data:; "
    "frame-ancestors 'self'"
)


class SiteHandler(SimpleHTTPRequestHandler):
    """Files of the site, read at each request: a site that is built again is served at once."""

    server_version, sys_version = "documentation", ""

    def do_GET(self) -> None:
        if (Path(self.directory) / "index.html").is_file():
            super().do_GET()
        else:
            self.send_error(
                HTTPStatus.SERVICE_UNAVAILABLE, "The site is not built yet", "Run: make docs"
            )

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


def serve(site: Path, host: str, port: int) -> None:
    """Serve the directory `site` until the process is interrupted."""
    handler = partial(SiteHandler, directory=str(site))
    with ThreadingHTTPServer((host, port), handler) as server:
        print(f"Serving {site} on http://{host}:{port}", flush=True)
        server.serve_forever()
