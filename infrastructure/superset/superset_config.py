"""Superset's configuration. Secrets and addresses come from the environment.

Names in capitals are the settings of Superset:
https://superset.apache.org/docs/configuration/configuring-superset
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from chart_access import SecurityManager
from flask import has_request_context, redirect, request
from flask_appbuilder import IndexView, expose
from sqlalchemy.engine import URL
from superset.config import THEME_DARK as SUPERSETS_DARK_THEME
from superset.config import THEME_DEFAULT as SUPERSETS_THEME
from superset.utils.log import DBEventLogger
from werkzeug.wrappers import Response

_SSLMODE = os.environ.get("PGSSLMODE", "prefer")
# The default is that of the role in infrastructure/postgres/cluster.sql; it can only be lowered.
_STATEMENT_TIMEOUT_MS = int(os.environ.get("SUPERSET_STATEMENT_TIMEOUT_MS", "30000"))


def _server(user: str, password: str, database: str) -> URL:
    return URL.create(
        "postgresql+psycopg2",
        username=user,
        password=os.environ[password],
        host=os.environ["WAREHOUSE_HOST"],
        port=int(os.environ["WAREHOUSE_PORT"]),
        database=database,
        query={"sslmode": _SSLMODE, "application_name": "superset"},
    )


# Superset's own data: users, roles, and the dashboards that bootstrap.py imported.
SQLALCHEMY_DATABASE_URI = _server("superset", "SUPERSET_DB_PASSWORD", "superset").render_as_string(
    hide_password=False
)
SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
# Both belong to features that are off. Superset's defaults are public, so they are replaced.
GUEST_TOKEN_JWT_SECRET = GLOBAL_ASYNC_QUERIES_JWT_SECRET = SECRET_KEY


def DB_CONNECTION_MUTATOR(
    uri: URL, params: dict[str, Any], username: str, security_manager: Any, source: Any
) -> tuple[URL, dict[str, Any]]:
    """Connect every database of the assets to the warehouse, as `reporter`.

    The assets have neither its address nor the password.
    """
    options = (
        f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} "
        "-c default_transaction_read_only=on -c timezone=UTC"
    )
    params["connect_args"] = {"options": options}
    return _server("reporter", "WAREHOUSE_REPORTER_PASSWORD", os.environ["WAREHOUSE_DB"]), params


SQLLAB_TIMEOUT = SUPERSET_WEBSERVER_TIMEOUT = 60
ROW_LIMIT = SAMPLES_ROW_LIMIT = 10_000
SQL_MAX_ROW = 50_000

# Nobody sees anything without a login. A dashboard's roles see the data that its charts show.
AUTH_ROLE_PUBLIC = "Public"
PUBLIC_ROLE_LIKE = None
AUTH_USER_REGISTRATION = False
FEATURE_FLAGS = {
    "DASHBOARD_RBAC": True,
    "DASHBOARD_VIRTUALIZATION_DEFER_DATA": True,  # a chart near the screen loads its rows
    "ALERT_REPORTS": False,
    "EMBEDDED_SUPERSET": False,
    "ENABLE_TEMPLATE_PROCESSING": False,
}
CUSTOM_SECURITY_MANAGER = SecurityManager
RATELIMIT_ENABLED = True
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = "20 per minute"
RATELIMIT_STORAGE_URI = "memory://"
PERMANENT_SESSION_LIFETIME = timedelta(hours=12)
# SUPERSET_BEHIND_PROXY=on: a proxy with TLS is in front. Cookies need TLS, its headers are trusted.
ENABLE_PROXY_FIX = SESSION_COOKIE_SECURE = os.environ.get("SUPERSET_BEHIND_PROXY", "off") == "on"
SESSION_COOKIE_SAMESITE = "Strict" if ENABLE_PROXY_FIX else "Lax"

# The browser may contact this server only.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "default-src": ["'self'"],
        "base-uri": ["'self'"],
        "object-src": "'none'",
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "font-src": ["'self'"],
        # Charts and the component library set styles inline.
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,  # the proxy does that
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []
MAPBOX_API_KEY = ""

# No Redis: answers are cached as files for a minute, and the state of a browser's filters is in
# Superset's own database.
_CACHE = {
    "CACHE_TYPE": "FileSystemCache",
    "CACHE_DIR": f"{os.environ['SUPERSET_HOME']}/cache",
    "CACHE_DEFAULT_TIMEOUT": 60,
    "CACHE_THRESHOLD": 2_000,
}
CACHE_CONFIG = {**_CACHE, "CACHE_KEY_PREFIX": "metadata_"}
DATA_CACHE_CONFIG = {**_CACHE, "CACHE_KEY_PREFIX": "data_"}
RESULTS_BACKEND = None


class _EventLogger(DBEventLogger):
    """Logs who opened a dashboard and who changed something, but not every request of a page.

    Superset would write six rows for each chart that anybody sees, and nothing deletes them.
    """

    def log(self, *args: Any, **kwargs: Any) -> None:
        if not has_request_context() or not (
            request.path in ("/api/v1/chart/data", "/superset/explore_json/")
            or (request.path.startswith("/api/v1/") and request.method == "GET")
        ):
            super().log(*args, **kwargs)


EVENT_LOGGER = _EventLogger()

APP_NAME = "Analytics"
ENABLE_UI_THEME_ADMINISTRATION = False
# Charts are drawn once: animations would use the processor that other charts wait for.
_CHARTS = {"echartsOptionsOverrides": {"animation": False}}
THEME_DEFAULT, THEME_DARK = {**SUPERSETS_THEME, **_CHARTS}, {**SUPERSETS_DARK_THEME, **_CHARTS}
LOGO_TARGET_PATH = "/dashboard/list/"


class _Index(IndexView):
    """Makes the list of dashboards the first page."""

    @expose("/")
    def index(self) -> Response:
        return redirect("/dashboard/list/")


FAB_INDEX_VIEW = f"{_Index.__module__}.{_Index.__name__}"
