"""Writes `.env`: makes it where it is missing, and completes it where keys are missing."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from saas_analytics.settings import SettingsError, read_dotenv
from saas_analytics.settings_table import SETTINGS, Setting, entry, template

MODE = 0o600
PROJECT_NAME = "COMPOSE_PROJECT_NAME"
_PROJECT_NAME_NOTE = ".local/compose_project"
FIRST_WAREHOUSE_PORT = 15432
FIRST_AIRFLOW_PORT = 18080
FIRST_SUPERSET_PORT = 18180
FIRST_DOCS_PORT = 18280
DAYS_OF_HISTORY = 60


def ensure_dotenv(root: Path) -> list[str]:
    """Make or complete `root/.env`; existing values stay as they are.

    Returns what was done, as sentences for the user.
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
        # A key with an empty value counts as missing, and a key may be there only once.
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = "\n".join(line for line in lines if _key_of(line) not in missing)
        added = "\n".join(entry(SETTINGS[key], value) for key, value in missing.items())
        today = datetime.now(UTC).date()
        text = f"{kept}\n\n# Added on {today}: this version of the stack needs them.\n{added}\n"
        notes.append(f"{path} was completed with {', '.join(missing)}.")
    else:
        text = template(missing)
        notes.append(f"Made {path} with new passwords and keys, readable by this user only.")
    _write(path, text)
    return notes


def _new_value(root: Path, setting: Setting) -> str:
    if setting.key == PROJECT_NAME and (kept := kept_project_name(root)):
        return kept
    return _GENERATORS[setting.key]() if setting.made else setting.default


def keep_project_name(root: Path, name: str) -> None:
    """Note the name of this checkout's volumes: a new `.env` without it would name others."""
    (root / _PROJECT_NAME_NOTE).write_text(name + "\n")


def kept_project_name(root: Path) -> str:
    """The name that was noted; empty where none was."""
    note = root / _PROJECT_NAME_NOTE
    return note.read_text().strip() if note.exists() else ""


def set_value(root: Path, key: str, value: str) -> None:
    """Change one key of `.env`."""
    path = root / ".env"
    lines = path.read_text(encoding="utf-8").splitlines()
    if key not in map(_key_of, lines):
        raise SettingsError(f"{path} has no line {key}=...; add it.")
    _write(
        path, "\n".join(f"{key}={value}" if _key_of(line) == key else line for line in lines) + "\n"
    )


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(first: int, taken: frozenset[int] = frozenset()) -> int:
    """The first free port from `first` on. Below 32768, where the system takes ports for outgoing connections."""
    for port in range(first, 32768):
        if port not in taken and port_is_free(port):
            return port
    raise SettingsError(
        f"No free port from {first} to 32767 on 127.0.0.1. Stop something that listens there."
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


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


_GENERATORS: dict[str, Callable[[], str]] = {
    PROJECT_NAME: lambda: f"analytics-{secrets.token_hex(3)}",
    "STACK_IMAGE": lambda: f"saas-analytics:{secrets.token_hex(3)}",
    "SUPERSET_IMAGE": lambda: f"saas-analytics-dashboards:{secrets.token_hex(3)}",
    "WAREHOUSE_PORT": lambda: str(free_port(FIRST_WAREHOUSE_PORT)),
    "AIRFLOW_PORT": lambda: str(free_port(FIRST_AIRFLOW_PORT)),
    "DOCS_PORT": lambda: str(free_port(FIRST_DOCS_PORT)),
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
    "SUPERSET_PORT": lambda: str(free_port(FIRST_SUPERSET_PORT)),
    "SUPERSET_ADMIN_PASSWORD": _password,
    "SUPERSET_VIEWER_PASSWORD": _password,
    "SUPERSET_DB_PASSWORD": _password,
    "SUPERSET_SECRET_KEY": lambda: secrets.token_urlsafe(48),
    "COMPANY_FOUNDED": lambda: (
        datetime.now(UTC).date() - timedelta(days=DAYS_OF_HISTORY)
    ).isoformat(),
}
