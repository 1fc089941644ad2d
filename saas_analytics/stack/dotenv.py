"""Writes `.env`: creates a missing file, and adds missing keys."""

from __future__ import annotations

import base64
import os
import secrets
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from saas_analytics.settings import SettingsError, read_dotenv
from saas_analytics.settings_table import SETTINGS, Setting, entry, template
from saas_analytics.stack.sockets import free_port

MODE = 0o600
PROJECT_NAME = "COMPOSE_PROJECT_NAME"
_PROJECT_NAME_NOTE = ".local/compose_project"
# The setting of each port of a stack, and where the search for a free one begins.
FIRST_PORTS = {
    "WAREHOUSE_PORT": 15432,
    "AIRFLOW_PORT": 18080,
    "SUPERSET_PORT": 18180,
    "DOCS_PORT": 18280,
}
DAYS_OF_HISTORY = 60


def ensure_dotenv(root: Path) -> list[str]:
    """Create or complete `root/.env`; existing values stay as they are.

    Returns a sentence for the user for each change.
    """
    path = root / ".env"
    exists = path.exists()
    known = read_dotenv(path)
    notes = []
    if exists and path.stat().st_mode & 0o077:
        path.chmod(MODE)
        notes.append(f"{path} could be read by others; its mode is now 600.")
    missing = {
        key: _new_value(root, setting) for key, setting in SETTINGS.items() if key not in known
    }
    if not missing:
        return notes
    if exists:
        # A key with an empty value counts as missing, and a key may occur only once.
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = "\n".join(line for line in lines if _key_of(line) not in missing)
        added = "\n".join(entry(SETTINGS[key], value) for key, value in missing.items())
        today = datetime.now(UTC).date()
        text = f"{kept}\n\n# Added on {today}: this version of the stack needs them.\n{added}\n"
        notes.append(f"{path} was completed with {', '.join(missing)}.")
    else:
        text = template(missing)
        notes.append(f"Created {path} with new passwords and keys, readable by this user only.")
    _write(path, text)
    return notes


def _new_value(root: Path, setting: Setting) -> str:
    if setting.key == PROJECT_NAME and (kept := kept_project_name(root)):
        return kept
    return _GENERATORS[setting.key]() if setting.made else setting.default


def keep_project_name(root: Path, name: str) -> None:
    """Keep the name of this checkout's volumes, so that a new `.env` finds them."""
    (root / _PROJECT_NAME_NOTE).write_text(name + "\n")


def kept_project_name(root: Path) -> str:
    """The name that was kept; empty if there is none."""
    note = root / _PROJECT_NAME_NOTE
    return note.read_text().strip() if note.exists() else ""


def set_value(root: Path, key: str, value: str) -> None:
    """Change the value of one key in `.env`. SettingsError if the key has no line there."""
    path = root / ".env"
    lines = path.read_text(encoding="utf-8").splitlines()
    if key not in map(_key_of, lines):
        raise SettingsError(f"{path} has no line {key}=...; add it.")
    _write(
        path, "\n".join(f"{key}={value}" if _key_of(line) == key else line for line in lines) + "\n"
    )


def _key_of(line: str) -> str:
    return line.strip().removeprefix("export ").partition("=")[0].strip()


def _write(path: Path, text: str) -> None:
    """Replace `path` in one step, never readable by others."""
    handle, name = tempfile.mkstemp(prefix=".env-", dir=path.parent)  # mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _free_port(key: str) -> str:
    return str(free_port(FIRST_PORTS[key]))


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


_GENERATORS: dict[str, Callable[[], str]] = {
    PROJECT_NAME: lambda: f"analytics-{secrets.token_hex(3)}",
    "STACK_IMAGE": lambda: f"saas-analytics:{secrets.token_hex(3)}",
    "SUPERSET_IMAGE": lambda: f"saas-analytics-dashboards:{secrets.token_hex(3)}",
    "WAREHOUSE_PORT": lambda: _free_port("WAREHOUSE_PORT"),
    "AIRFLOW_PORT": lambda: _free_port("AIRFLOW_PORT"),
    "DOCS_PORT": lambda: _free_port("DOCS_PORT"),
    "WAREHOUSE_ADMIN_PASSWORD": _password,
    "WAREHOUSE_OWNER_PASSWORD": _password,
    "WAREHOUSE_LOADER_PASSWORD": _password,
    "WAREHOUSE_TRANSFORMER_PASSWORD": _password,
    "WAREHOUSE_REPORTER_PASSWORD": _password,
    "AIRFLOW_ADMIN_PASSWORD": _password,
    "AIRFLOW_DB_PASSWORD": _password,
    "AIRFLOW_FERNET_KEY": _fernet_key,
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),
    "AIRFLOW_API_SECRET_KEY": lambda: secrets.token_urlsafe(32),
    "SUPERSET_PORT": lambda: _free_port("SUPERSET_PORT"),
    "SUPERSET_ADMIN_PASSWORD": _password,
    "SUPERSET_VIEWER_PASSWORD": _password,
    "SUPERSET_DB_PASSWORD": _password,
    "SUPERSET_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "COMPANY_FOUNDED": lambda: (
        datetime.now(UTC).date() - timedelta(days=DAYS_OF_HISTORY)
    ).isoformat(),
}
