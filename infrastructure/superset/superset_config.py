"""Superset's configuration. Whatever differs from place to place comes from the environment; nothing secret is here.

Python names in capitals are Superset's settings: https://superset.apache.org/docs/configuration/configuring-superset
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
# As infrastructure/postgres/cluster.sql has it for the role; here it can be less.
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
# Both belong to features that are off. Superset's defaults are the same everywhere, so they are not left.
GUEST_TOKEN_JWT_SECRET = GLOBAL_ASYNC_QUERIES_JWT_SECRET = SECRET_KEY


def DB_CONNECTION_MUTATOR(
    uri: URL, params: dict[str, Any], username: str, security_manager: Any, source: Any
) -> tuple[URL, dict[str, Any]]:
    """Every database of the assets is the warehouse as `reporter`; where it is and the password stand here alone."""
    options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=on -c timezone=UTC"
    params["connect_args"] = {"options": options}
    return _server("reporter", "WAREHOUSE_REPORTER_PASSWORD", os.environ["WAREHOUSE_DB"]), params


SQLLAB_TIMEOUT = SUPERSET_WEBSERVER_TIMEOUT = 60
ROW_LIMIT = SAMPLES_ROW_LIMIT = 10_000
SQL_MAX_ROW = 50_000

# Who may see what: nobody without a login; a dashboard's roles decide, and data only as its charts show them.
AUTH_ROLE_PUBLIC = "Public"
PUBLIC_ROLE_LIKE = None
AUTH_USER_REGISTRATION = False
FEATURE_FLAGS = {
    "DASHBOARD_RBAC": True,
    "DASHBOARD_VIRTUALIZATION_DEFER_DATA": True,  # a chart asks for its rows when it comes near the screen
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
# Behind a proxy that speaks TLS (SUPERSET_BEHIND_PROXY=on) cookies go over TLS alone, and the proxy's headers count.
ENABLE_PROXY_FIX = SESSION_COOKIE_SECURE = os.environ.get("SUPERSET_BEHIND_PROXY", "off") == "on"
SESSION_COOKIE_SAMESITE = "Strict" if ENABLE_PROXY_FIX else "Lax"

# The browser loads from here and sends to here, and to nobody else.
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
        "style-src": [
            "'self'",
            "'unsafe-inline'",
        ],  # charts and the component library set styles inline
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,  # the proxy's affair
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []
MAPBOX_API_KEY = ""

# No Redis: answers are kept as files for a minute, what a browser's filters are set to in Superset's own database.
_CACHE = {
    "CACHE_TYPE": "FileSystemCache",
    "CACHE_DIR": os.path.join(os.environ["SUPERSET_HOME"], "cache"),  # noqa: PTH118 (read by more than one Python)
    "CACHE_DEFAULT_TIMEOUT": 60,
    "CACHE_THRESHOLD": 2_000,
}
CACHE_CONFIG = {**_CACHE, "CACHE_KEY_PREFIX": "metadata_"}
DATA_CACHE_CONFIG = {**_CACHE, "CACHE_KEY_PREFIX": "data_"}
RESULTS_BACKEND = None


class _EventLogger(DBEventLogger):
    """Keeps who opened which dashboard and who changed what, and not each answer that a page asks for.

    Superset would write six rows for each chart that anybody sees, in the same request, and nothing deletes them.
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
# A chart is drawn once. Its animation would draw it over and over while the others still wait for the processor.
_CHARTS = {"echartsOptionsOverrides": {"animation": False}}
THEME_DEFAULT, THEME_DARK = {**SUPERSETS_THEME, **_CHARTS}, {**SUPERSETS_DARK_THEME, **_CHARTS}
LOGO_TARGET_PATH = "/dashboard/list/"


class _Index(IndexView):
    """The first page is the list of dashboards."""

    @expose("/")
    def index(self) -> Response:
        return redirect("/dashboard/list/")


FAB_INDEX_VIEW = f"{_Index.__module__}.{_Index.__name__}"
