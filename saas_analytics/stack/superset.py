"""Superset next to the embedded stack: its environment, its set-up and its process.

python -m saas_analytics.stack.superset     gunicorn with Superset's environment, as this process
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
from saas_analytics.stack.embedded import up
from saas_analytics.stack.locking import locked
from saas_analytics.stack.logs import last_lines
from saas_analytics.stack.ports import choose_ports, taking_ports
from saas_analytics.waiting import wait_until

SUPERSET_DEADLINE = 120.0
BOOTSTRAP_LOG = "superset-bootstrap"
# The variables of this process that Superset gets. It needs no other.
_PASSED_ON = (
    *("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER", "SSL_CERT_FILE"),
    *("SUPERSET_STATEMENT_TIMEOUT_MS", MARK_ROOT, MARK_PROGRAM),
)
DIRECTORY = PROJECT_ROOT / "infrastructure/superset"
_KEYS = ("SUPERSET_DB_PASSWORD", "SUPERSET_SECRET_KEY", "WAREHOUSE_REPORTER_PASSWORD")


def superset_url(settings: Settings) -> str:
    """The address of the dashboards. SettingsError without a port."""
    if settings.superset_port is None:
        raise SettingsError(
            f"{settings.root / '.env'} has no SUPERSET_PORT: run `make up`, which adds it."
        )
    return f"http://{published_on(settings)}:{settings.superset_port}"


def superset_login(settings: Settings) -> list[str]:
    """How each user logs in, as text."""
    users = {
        "viewer (sees dashboards)": "SUPERSET_VIEWER_PASSWORD",
        "admin": "SUPERSET_ADMIN_PASSWORD",
    }
    return [login(settings, user, key) for user, key in users.items()]


def superset_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of Superset's processes.

    Of the passwords of the warehouse it has only the reporter's.
    """
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
    """Bring Superset's database, users and dashboards to the state of this checkout.

    Its output goes to `log`. StackError if it fails.
    """
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
            f"The set-up of Superset failed.\n{last_lines(log)}\n"
            "Fix the cause and run `make dashboards` again."
        )


def dashboards(root: Path) -> Settings:
    """Start the stack and Superset with the dashboards of this checkout.

    Returns when Superset answers. StackError if it does not.
    """
    _make_environment()
    settings = up(root)
    layout = Layout(root)
    with locked(layout):
        # One that runs may have an older configuration, or older dashboards.
        supervision.stop(layout, (SUPERSET,))
        with taking_ports():
            settings = choose_ports(layout, settings, ["SUPERSET_PORT"])
            with step("Superset has the dashboards of this checkout"):
                bootstrap(settings, layout.log(BOOTSTRAP_LOG))
            with step("Superset answers"):
                supervision.start(layout, (SUPERSET,))
                answered = wait_until(
                    lambda: answers(settings),
                    seconds=SUPERSET_DEADLINE,
                    interval=0.2,
                    has_failed=lambda: supervision.has_failed(layout, (SUPERSET,)),
                )
                if not answered:
                    lines = last_lines(layout.log(SUPERSET))
                    raise StackError(f"Superset does not answer.\n{lines}")
    return settings


def _make_environment() -> None:
    """Create Superset's own environment from its lock file, if it is missing or older.

    Superset needs another SQLAlchemy than Airflow.
    """
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
    with step("Superset's environment is created"):
        if subprocess.run(["sh", *script]).returncode:
            raise StackError("Superset's environment could not be created. See the output above.")


def answers(settings: Settings) -> bool:
    """Whether Superset serves requests."""
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
