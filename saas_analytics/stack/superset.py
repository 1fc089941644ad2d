"""Superset beside the embedded stack: its environment, its set-up, and the process that supervisord keeps.

python -m saas_analytics.stack.superset     gunicorn with Superset's environment, in place of this process
"""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from saas_analytics.console import login, step
from saas_analytics.layout import MARK_PROGRAM, MARK_ROOT, SUPERSET, Layout, StackError
from saas_analytics.settings import PROJECT_ROOT, Settings, SettingsError, load_settings
from saas_analytics.stack import supervision
from saas_analytics.stack.choice import published_on
from saas_analytics.stack.embedded import (
    has_given_up,
    last_lines,
    locked,
    settle_ports,
    taking_ports,
    up,
)
from saas_analytics.waiting import wait_until

SUPERSET_DEADLINE = 120.0
BOOTSTRAP_LOG = "superset-bootstrap"
# What Superset is told of the machine, and of the warehouse; nothing else of our environment is its business.
_PASSED_ON = (
    *("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER", "SSL_CERT_FILE"),
    *("SUPERSET_STATEMENT_TIMEOUT_MS", MARK_ROOT, MARK_PROGRAM),
)
DIRECTORY = PROJECT_ROOT / "infrastructure/superset"
_KEYS = ("SUPERSET_DB_PASSWORD", "SUPERSET_SECRET_KEY", "WAREHOUSE_REPORTER_PASSWORD")


def superset_url(settings: Settings) -> str:
    if settings.superset_port is None:
        raise SettingsError(
            f"{settings.root / '.env'} has no SUPERSET_PORT: run `make up`, which adds it."
        )
    return f"http://{published_on(settings)}:{settings.superset_port}"


def superset_login(settings: Settings) -> list[str]:
    """Who may log in, in words."""
    users = {
        "viewer (sees dashboards)": "SUPERSET_VIEWER_PASSWORD",
        "admin": "SUPERSET_ADMIN_PASSWORD",
    }
    return [login(settings, user, key) for user, key in users.items()]


def superset_environment(settings: Settings) -> dict[str, str]:
    """All that Superset's processes know. Of the warehouse's passwords the reporter's alone."""
    home = Layout(settings.root).superset
    return {
        **{key: value for key in _PASSED_ON if (value := os.environ.get(key))},
        "FLASK_APP": "superset.app:create_app()",
        "SUPERSET_CONFIG_PATH": str(DIRECTORY / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "SUPERSET_BIND": superset_url(settings).removeprefix("http://"),
        "WAREHOUSE_HOST": settings.host,
        "WAREHOUSE_PORT": str(settings.port),
        "WAREHOUSE_DB": settings.database,
        "SUPERSET_BEHIND_PROXY": "on" if settings.superset_behind_proxy else "off",
        **settings.tls_environment(),
        **{key: settings.secret(key) for key in _KEYS},
    }


def bootstrap(settings: Settings, log: Path) -> None:
    """Superset's own database, users and dashboards as this project has them. What it says goes to `log`."""
    users = {
        key: settings.secret(key) for key in ("SUPERSET_ADMIN_PASSWORD", "SUPERSET_VIEWER_PASSWORD")
    }
    with log.open("ab") as output:
        done = subprocess.run(
            [str(DIRECTORY / ".venv/bin/python"), "bootstrap.py"],
            cwd=DIRECTORY,
            env={**superset_environment(settings), **users},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise StackError(
            f"Superset was not set up.\n{last_lines(log)}\nMend what they say, and run it again."
        )


def dashboards(root: Path) -> Settings:
    """Bring the stack up, and Superset beside it with the dashboards of this checkout; return when it answers."""
    _make_environment()
    settings = up(root)
    layout = Layout(root)
    with locked(layout):
        # One that runs may be of another configuration, or of dashboards that were.
        supervision.stop(layout, (SUPERSET,))
        with taking_ports():
            settings = settle_ports(layout, settings, ["SUPERSET_PORT"])
            with step("Superset has the dashboards of this checkout"):
                bootstrap(settings, layout.log(BOOTSTRAP_LOG))
            with step("Superset answers"):
                supervision.start(layout, (SUPERSET,))
                answered = wait_until(
                    lambda: answers(settings),
                    seconds=SUPERSET_DEADLINE,
                    interval=0.2,
                    has_failed=lambda: has_given_up(layout, (SUPERSET,)),
                )
                if not answered:
                    lines = last_lines(layout.log(SUPERSET))
                    raise StackError(f"Superset does not answer.\n{lines}")
    return settings


def _make_environment() -> None:
    """Superset's own, as its lock file says: it needs another SQLAlchemy than Airflow."""
    made, lock = (
        DIRECTORY / ".venv/.synced",
        [DIRECTORY / name for name in ("pyproject.toml", "uv.lock")],
    )
    if made.exists() and all(made.stat().st_mtime >= path.stat().st_mtime for path in lock):
        return
    script = [
        str(PROJECT_ROOT / "infrastructure/setup.sh"),
        str(DIRECTORY.relative_to(PROJECT_ROOT)),
    ]
    with step("Superset's environment is made"):
        if subprocess.run(["sh", *script]).returncode:
            raise StackError("Superset's environment could not be made: what is above says why.")


def answers(settings: Settings) -> bool:
    """True where Superset serves requests."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{superset_url(settings)}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def main() -> None:
    settings = load_settings()
    gunicorn = str(DIRECTORY / ".venv/bin/gunicorn")
    os.chdir(DIRECTORY)
    os.execve(gunicorn, [gunicorn, "--config", "gunicorn_conf.py"], superset_environment(settings))


if __name__ == "__main__":
    main()
