"""The settings of the stack: read from the environment and `.env`, checked, and frozen.

`settings_table` explains every key. `stack.dotenv` writes `.env`; this module only reads it.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

from dotenv.parser import parse_stream
from psycopg.conninfo import make_conninfo

from saas_analytics.errors import AnalyticsError
from saas_analytics.settings_table import DEFAULTS, GENERATED_SECRETS, KEYS, SETTINGS

Role = Literal["owner", "loader", "transformer", "reporter"]

LOGINS: dict[Role, str] = {
    "owner": "warehouse_owner",
    "loader": "loader",
    "transformer": "transformer",
    "reporter": "reporter",
}
# The checkout that the processes of a stack belong to. Each has it in its environment.
ROOT_VARIABLE = "ANALYTICS_STACK_ROOT"
_FIX = "run `make up` (or `make -s env`), which adds what is missing."
# python-dotenv takes the comment for the value.
_EMPTY_WITH_COMMENT = re.compile(r"[^=]+=[^\S\n]+#.*")


class SettingsError(AnalyticsError):
    """A setting is missing or wrong. The message says which, where, and what to do."""


def _project_root() -> Path:
    """The checkout to work on.

    It is the one of the stack that this process belongs to, or the one that contains this package,
    or the one around the current directory.
    """
    if given := os.environ.get(ROOT_VARIABLE):
        return Path(given)
    here = Path.cwd()
    for directory in (Path(__file__).resolve().parents[1], here, *here.parents):
        if (directory / "dbt/dbt_project.yml").exists():
            return directory
    return here


PROJECT_ROOT = _project_root()


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the settings. `settings_table` explains them."""

    root: Path
    host: str
    port: int
    database: str
    landing_zone: Path
    special_days: str
    synthetic_company: bool
    company_scale: float
    company_seed: int
    company_founded: date | None  # None: the date in data_gen/rules.yaml
    sslmode: str
    sslrootcert: str | None  # None: libpq's default
    airflow_port: int | None
    auth_manager: str
    stack_url: str | None
    superset_port: int | None
    superset_behind_proxy: bool
    stack_address: str
    docs_port: int | None
    slack_webhook_url: str = field(repr=False)
    alert_email: str
    smtp_host: str
    smtp_port: int
    smtp_from: str
    smtp_security: str
    smtp_login: tuple[str, str] | None = field(repr=False)
    pipeline_deadline_minutes: int
    lineage_url: str
    log_retention_days: int
    airflow_retention_days: int
    quality_retention_days: int
    raw_retention_days: int
    incoming_settle_seconds: int
    _secrets: Mapping[str, str] = field(repr=False)  # generated passwords and keys, by their keys

    def dsn(
        self, role: Role, database: str | None = None, *, application_name: str | None = None
    ) -> str:
        """libpq connection string of a role, for `database` (default: the one of the settings)."""
        password = self.secret(f"WAREHOUSE_{role.upper()}_PASSWORD")
        return self._conninfo(LOGINS[role], password, database or self.database, application_name)

    def admin_dsn(self, database: str = "postgres") -> str:
        """libpq connection string of the superuser. Only the stack's own set-up needs it."""
        return self._conninfo(
            "postgres", self.secret("WAREHOUSE_ADMIN_PASSWORD"), database, "stack"
        )

    def secret(self, key: str) -> str:
        """The value of a password or key, by its name in `.env`. SettingsError if it is not set."""
        try:
            return self._secrets[key]
        except KeyError:
            where = self.root / ".env"
            raise SettingsError(
                f"{key} is set neither in the environment nor in {where}: {_FIX}"
            ) from None

    def environment(self) -> dict[str, str]:
        """The environment variables that give a child process these same settings."""
        shown = {
            key: setting.kind.show(value)
            for key, setting in SETTINGS.items()
            if setting.attribute and (value := getattr(self, setting.attribute)) is not None
        }
        return {**shown, **self._secrets}

    def task_environment(self) -> dict[str, str]:
        """The part of `environment` that Airflow's tasks need."""
        values = self.environment()
        return {key: value for key, value in values.items() if SETTINGS[key].reach == "tasks"}

    def _conninfo(
        self, user: str, password: str, database: str, application_name: str | None
    ) -> str:
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user,
            password=password,
            application_name=application_name,
            connect_timeout=10,
            options="-c timezone=UTC",
            **self.tls(),
        )

    @property
    def knows_admin(self) -> bool:
        """Whether Airflow has the user admin of `.env`: a team's own auth manager has its own."""
        return self.auth_manager in ("simple", "fab")

    def tls(self) -> dict[str, str]:
        """libpq's keywords for TLS; empty if a plain connection is enough."""
        if self.sslmode == DEFAULTS["WAREHOUSE_SSLMODE"]:
            return {}
        certificate = {"sslrootcert": self.sslrootcert} if self.sslrootcert else {}
        return {"sslmode": self.sslmode, **certificate}

    def tls_environment(self) -> dict[str, str]:
        """The same as environment variables of libpq."""
        return {f"PG{keyword.upper()}": value for keyword, value in self.tls().items()}


@dataclass(frozen=True, slots=True)
class GivenValues:
    """The texts of the settings: those of the environment, then `.env`, then the defaults."""

    dotenv: Path
    texts: Mapping[str, str]
    origins: Mapping[str, str]  # where each text comes from
    unknown: frozenset[str] = frozenset()  # keys of `.env` that are not settings

    def get(self, key: str) -> Any:
        """The value of a setting, or None if it has neither a text nor a default.

        SettingsError if the text is not of the setting's kind.
        """
        if key not in self.texts:
            return None
        setting = SETTINGS[key]
        try:
            return setting.kind.parse(self.texts[key])
        except ValueError:
            shown = key if setting.secret else f"{key}={self.texts[key]}"
            raise SettingsError(
                f"{shown} in {self.origins[key]} is not {setting.kind.expected}. Correct it there."
            ) from None

    def require(self, key: str) -> Any:
        """The value of a setting. SettingsError if it has neither a text nor a default."""
        if key not in self.texts:
            exists = self.dotenv.exists()
            missing = f"{self.dotenv} has no {key}" if exists else f"{self.dotenv} does not exist"
            raise SettingsError(f"{missing}: {_FIX}")
        return self.get(key)


def given_values(root: Path | None = None, env: Mapping[str, str] | None = None) -> GivenValues:
    """The texts of the settings of the project at `root`.

    A variable of `env` (default: the process's) wins over `.env` unless it is empty, so that
    `WAREHOUSE_DB= make up` means the default database.
    """
    dotenv = (root or PROJECT_ROOT).resolve() / ".env"
    environment = os.environ if env is None else env
    written = read_dotenv(dotenv)
    texts = {**DEFAULTS, **written}
    origins = {key: str(dotenv) if key in written else "the default" for key in texts}
    for key in KEYS:
        if value := environment.get(key):
            texts[key], origins[key] = value, "the environment"
    return GivenValues(dotenv, texts, origins, frozenset(written) - set(KEYS))


def load_settings(root: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """The settings of the project at `root`, checked.

    SettingsError names a wrong or missing setting, and where it is set.
    """
    root = (root or PROJECT_ROOT).resolve()
    given = given_values(root, env)
    values = {
        setting.attribute: given.get(key) for key, setting in SETTINGS.items() if setting.attribute
    }
    no_certificate = DEFAULTS["WAREHOUSE_SSLROOTCERT"]
    certificate = str(root / values["sslrootcert"])
    values |= {
        "port": given.require("WAREHOUSE_PORT"),
        "landing_zone": root / values["landing_zone"],
        "sslrootcert": None if certificate == no_certificate else certificate,
    }
    secrets = {key: given.texts[key] for key in GENERATED_SECRETS if key in given.texts}
    return Settings(root=root, _secrets=secrets, **values)


def read_dotenv(path: Path) -> dict[str, str]:
    """The values of a `.env` file that are not empty; an empty dict without a file.

    SettingsError names the line of a malformed entry, without its text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise SettingsError(
            f"This user cannot read {path}: change its owner, and keep its mode 600."
        ) from None
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SettingsError(
            f"{path}, line {number}: not UTF-8 text. Correct the line or delete it."
        ) from None
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(text)):
        key, value, original = binding.key, binding.value, binding.original.string
        line = binding.original.line + original[: -len(original.lstrip())].count("\n")
        if binding.error or (key is not None and value is None):
            # The line itself is not shown: it may hold a password.
            raise SettingsError(
                f"{path}, line {line}: neither KEY=value, with quotes that match, nor a # comment. "
                "Correct it or delete it."
            )
        if key is None:
            continue
        if key in lines:
            raise SettingsError(
                f"{path}, line {line}: {key} is already set on line {lines[key]}. "
                "Delete one of them."
            )
        lines[key] = line
        if value and not _EMPTY_WITH_COMMENT.fullmatch(original.strip()):
            values[key] = value
    return values
