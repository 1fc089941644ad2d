"""The settings of the stack: read from the process environment and `.env`, checked, as one frozen dataclass.

`.env.template` explains every key. `saas_analytics.stack.dotenv` writes `.env`; this module only reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from psycopg.conninfo import make_conninfo

Role = Literal["owner", "loader", "transformer", "reporter"]
T = TypeVar("T")


def _project_root() -> Path:
    """The checkout that this package lies in, as `make` installs it; otherwise the one around the current directory."""
    for directory in (Path(__file__).resolve().parents[1], *(here := Path.cwd(), *here.parents)):
        if (directory / "dbt/dbt_project.yml").exists():
            return directory
    return here


PROJECT_ROOT = _project_root()
LOGINS: dict[Role, str] = {
    "owner": "warehouse_owner",
    "loader": "loader",
    "transformer": "transformer",
    "reporter": "reporter",
}
# What a key is when neither the environment nor .env has it. Ports and passwords have no default: `make up` makes them.
DEFAULTS = {
    "WAREHOUSE_HOST": "127.0.0.1",
    "WAREHOUSE_DB": "analytics",
    "WAREHOUSE_SSLMODE": "prefer",
    "WAREHOUSE_SSLROOTCERT": "/dev/null",
    "STACK_URL": "off",
    "STACK_ADDRESS": "127.0.0.1",
    "SUPERSET_BEHIND_PROXY": "off",
    "AIRFLOW_AUTH_MANAGER": "simple",
    "LANDING_ZONE": "raw",
    "SPECIAL_DAYS": "off",
    "SYNTHETIC_COMPANY": "on",
    "COMPANY_SCALE": "1.0",
    "COMPANY_SEED": "42",
    "SLACK_WEBHOOK_URL": "off",
    "ALERT_EMAIL": "off",
    "SMTP_HOST": "127.0.0.1",
    "SMTP_PORT": "25",
    "SMTP_FROM": "analytics@localhost",
    "SMTP_SECURITY": "none",
    "SMTP_LOGIN": "off",
    "PIPELINE_DEADLINE_MINUTES": "120",
    "LINEAGE_URL": "off",
    "LOG_RETENTION_DAYS": "30",
    "AIRFLOW_RETENTION_DAYS": "90",
    "QUALITY_RETENTION_DAYS": "400",
    "RAW_RETENTION_DAYS": "0",
}
KEYS = (
    "WAREHOUSE_HOST",
    "WAREHOUSE_PORT",
    "WAREHOUSE_DB",
    "WAREHOUSE_ADMIN_PASSWORD",
    "WAREHOUSE_OWNER_PASSWORD",
    "WAREHOUSE_LOADER_PASSWORD",
    "WAREHOUSE_TRANSFORMER_PASSWORD",
    "WAREHOUSE_REPORTER_PASSWORD",
    "AIRFLOW_PORT",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_AUTH_MANAGER",
    "AIRFLOW_DB_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_API_SECRET_KEY",
    "SUPERSET_PORT",
    "SUPERSET_ADMIN_PASSWORD",
    "SUPERSET_VIEWER_PASSWORD",
    "SUPERSET_DB_PASSWORD",
    "SUPERSET_SECRET_KEY",
    "SUPERSET_BEHIND_PROXY",
    "DOCS_PORT",
    "SLACK_WEBHOOK_URL",
    "ALERT_EMAIL",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_FROM",
    "SMTP_SECURITY",
    "SMTP_LOGIN",
    "PIPELINE_DEADLINE_MINUTES",
    "LINEAGE_URL",
    "LOG_RETENTION_DAYS",
    "AIRFLOW_RETENTION_DAYS",
    "QUALITY_RETENTION_DAYS",
    "RAW_RETENTION_DAYS",
    "LANDING_ZONE",
    "SPECIAL_DAYS",
    "SYNTHETIC_COMPANY",
    "COMPANY_SCALE",
    "COMPANY_SEED",
    "COMPANY_FOUNDED",
    *("COMPOSE_PROJECT_NAME", "STACK_IMAGE", "SUPERSET_IMAGE", "PYTHON_IMAGE", "POSTGRES_IMAGE", "STACK_ADDRESS"),
    *("WAREHOUSE_ADDRESS", "STACK_URL", "WAREHOUSE_SSLMODE", "WAREHOUSE_SSLROOTCERT"),
)
SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
NOT_A_WAREHOUSE = frozenset({"airflow", "superset", "postgres", "template0", "template1"})
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


class SettingsError(Exception):
    """A setting is missing or wrong. The message says which, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the commands of this project are told from outside."""

    root: Path
    host: str
    port: int
    database: str
    landing_zone: Path
    special_days: str  # the team's file of holidays, relative to the root; off: none
    synthetic_company: bool
    company_scale: float
    company_seed: int
    company_founded: date | None  # None: the date in data_gen/rules.yaml
    sslmode: str  # how to connect to the server: libpq's word for it
    sslrootcert: str | None  # a file of the certificates that are trusted; None: libpq's own place
    airflow_port: int | None
    auth_manager: str  # of Airflow: simple, fab, or the class of a team's own
    stack_url: str | None  # where a proxy serves Airflow to people; None: there is none
    superset_port: int | None
    superset_behind_proxy: bool  # one that speaks TLS
    stack_address: str  # on which containers publish their ports
    docs_port: int | None
    slack_webhook_url: str = field(repr=False)  # off: nobody is told by Slack
    alert_email: str  # off: nobody is told by e-mail
    smtp_host: str
    smtp_port: int
    smtp_from: str
    smtp_security: str  # none, starttls or ssl
    smtp_login: tuple[str, str] | None = field(repr=False)  # user and password, where the server wants them
    pipeline_deadline_minutes: int  # after which a run that goes on is told; 0: never
    lineage_url: str  # of an OpenLineage server; off: lineage goes to a file
    log_retention_days: int  # of task logs; 0: for ever, as with the next three
    airflow_retention_days: int  # of runs in Airflow's own database
    quality_retention_days: int  # of results of dbt's runs in the schema quality
    raw_retention_days: int  # of landed rows
    _secrets: Mapping[str, str] = field(repr=False)  # every *_PASSWORD, *_KEY and *_SECRET that is set

    def dsn(self, role: Role, database: str | None = None, *, application_name: str | None = None) -> str:
        """libpq connection string of a role, for `database` or the one that the settings name."""
        password = self.secret(f"WAREHOUSE_{role.upper()}_PASSWORD")
        return self._conninfo(LOGINS[role], password, database or self.database, application_name)

    def admin_dsn(self, database: str = "postgres") -> str:
        """libpq connection string of the superuser. Only the stack's own set-up needs it."""
        return self._conninfo("postgres", self.secret("WAREHOUSE_ADMIN_PASSWORD"), database, "stack")

    def secret(self, key: str) -> str:
        """The value of a password or key, by its name in `.env`."""
        try:
            return self._secrets[key]
        except KeyError:
            where = self.root / ".env"
            raise SettingsError(f"{key} is set neither in the environment nor in {where}: {_FIX}") from None

    def environment(self) -> dict[str, str]:
        """The environment variables that give a child process these same settings."""
        values = {
            "WAREHOUSE_HOST": self.host,
            "WAREHOUSE_PORT": str(self.port),
            "WAREHOUSE_DB": self.database,
            "LANDING_ZONE": str(self.landing_zone),
            "SPECIAL_DAYS": self.special_days,
            "SYNTHETIC_COMPANY": "on" if self.synthetic_company else "off",
            "COMPANY_SCALE": str(self.company_scale),
            "COMPANY_SEED": str(self.company_seed),
            "SLACK_WEBHOOK_URL": self.slack_webhook_url,
            "ALERT_EMAIL": self.alert_email,
            "SMTP_HOST": self.smtp_host,
            "SMTP_PORT": str(self.smtp_port),
            "SMTP_FROM": self.smtp_from,
            "SMTP_SECURITY": self.smtp_security,
            "SMTP_LOGIN": ":".join(self.smtp_login) if self.smtp_login else "off",
            "PIPELINE_DEADLINE_MINUTES": str(self.pipeline_deadline_minutes),
            "LINEAGE_URL": self.lineage_url,
            "LOG_RETENTION_DAYS": str(self.log_retention_days),
            "AIRFLOW_RETENTION_DAYS": str(self.airflow_retention_days),
            "QUALITY_RETENTION_DAYS": str(self.quality_retention_days),
            "RAW_RETENTION_DAYS": str(self.raw_retention_days),
            "AIRFLOW_AUTH_MANAGER": self.auth_manager,
            "WAREHOUSE_SSLMODE": self.sslmode,
            "STACK_ADDRESS": self.stack_address,
            "SUPERSET_BEHIND_PROXY": "on" if self.superset_behind_proxy else "off",
            **self._secrets,
        }
        if self.company_founded:
            values["COMPANY_FOUNDED"] = self.company_founded.isoformat()
        for key, port in (
            ("AIRFLOW_PORT", self.airflow_port),
            ("SUPERSET_PORT", self.superset_port),
            ("DOCS_PORT", self.docs_port),
        ):
            if port:
                values[key] = str(port)
        if self.stack_url:
            values["STACK_URL"] = self.stack_url
        if self.sslrootcert:
            values["WAREHOUSE_SSLROOTCERT"] = self.sslrootcert
        return values

    def _conninfo(self, user: str, password: str, database: str, application_name: str | None) -> str:
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
        """Whether Airflow has the user admin of `.env`: not where a team brings its own auth manager."""
        return self.auth_manager in ("simple", "fab")

    def tls(self) -> dict[str, str]:
        """What libpq must be told of TLS, by its keywords: nothing where a plain connection will do."""
        if self.sslmode == DEFAULTS["WAREHOUSE_SSLMODE"]:
            return {}
        return {"sslmode": self.sslmode, **({"sslrootcert": self.sslrootcert} if self.sslrootcert else {})}

    def tls_environment(self) -> dict[str, str]:
        """The same, as the variables that libpq reads."""
        return {f"PG{keyword.upper()}": value for keyword, value in self.tls().items()}


_DATE, _PORT = "a date like 2026-01-31", "a port number from 1 to 65535"
_DAYS = "a number of days (0: for ever)"
_FIX = "run `make up` (or `make -s env`), which adds what is missing."


def load_settings(root: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the project at `root`; a variable of `env` (default: the process's) wins over `.env`."""
    root = (root or PROJECT_ROOT).resolve()
    given = os.environ if env is None else env
    dotenv = root / ".env"
    values = {**DEFAULTS, **read_dotenv(dotenv)}
    origin = dict.fromkeys(values, str(dotenv))
    for key in KEYS:
        if value := given.get(key):  # empty counts as not given: `WAREHOUSE_DB= make up` is the default database
            values[key], origin[key] = value, "the environment"

    def read(key: str, parse: Callable[[str], T], expected: str) -> T:
        if key not in values:
            missing = f"{dotenv} does not exist" if not dotenv.exists() else f"{dotenv} has no {key}"
            raise SettingsError(f"{missing}: {_FIX}")
        try:
            return parse(values[key])
        except ValueError:
            raise SettingsError(f"{key}={values[key]} in {origin[key]} is not {expected}. Correct it there.") from None

    return Settings(
        root=root,
        host=values["WAREHOUSE_HOST"],
        port=read("WAREHOUSE_PORT", _port, _PORT),
        database=read("WAREHOUSE_DB", database_name, DATABASE_NAME_RULE),
        landing_zone=root / values["LANDING_ZONE"],
        special_days=values["SPECIAL_DAYS"],
        synthetic_company=read("SYNTHETIC_COMPANY", _switch, "on or off"),
        company_scale=read("COMPANY_SCALE", _positive, "a number above 0"),
        company_seed=read("COMPANY_SEED", _natural, "a whole number of 0 or more"),
        company_founded=read("COMPANY_FOUNDED", date.fromisoformat, _DATE) if "COMPANY_FOUNDED" in values else None,
        airflow_port=read("AIRFLOW_PORT", _port, _PORT) if "AIRFLOW_PORT" in values else None,
        superset_port=read("SUPERSET_PORT", _port, _PORT) if "SUPERSET_PORT" in values else None,
        superset_behind_proxy=read("SUPERSET_BEHIND_PROXY", _switch, "on or off"),
        stack_address=values["STACK_ADDRESS"],
        sslmode=read("WAREHOUSE_SSLMODE", _sslmode, "one of " + ", ".join(SSLMODES)),
        sslrootcert=_unless(str(root / values["WAREHOUSE_SSLROOTCERT"]), DEFAULTS["WAREHOUSE_SSLROOTCERT"]),
        auth_manager=read("AIRFLOW_AUTH_MANAGER", _auth_manager, "simple, fab, or a class as package.module.Name"),
        stack_url=read("STACK_URL", _https_url, "off, or an address that begins with https://"),
        docs_port=read("DOCS_PORT", _port, _PORT) if "DOCS_PORT" in values else None,
        slack_webhook_url=values["SLACK_WEBHOOK_URL"],
        alert_email=values["ALERT_EMAIL"],
        smtp_host=values["SMTP_HOST"],
        smtp_port=read("SMTP_PORT", _port, _PORT),
        smtp_from=values["SMTP_FROM"],
        smtp_security=read("SMTP_SECURITY", _smtp_security, "none, starttls or ssl"),
        smtp_login=_smtp_login(values["SMTP_LOGIN"], origin["SMTP_LOGIN"]),
        pipeline_deadline_minutes=read("PIPELINE_DEADLINE_MINUTES", _natural, "a number of minutes (0: no deadline)"),
        lineage_url=values["LINEAGE_URL"],
        log_retention_days=read("LOG_RETENTION_DAYS", _natural, _DAYS),
        airflow_retention_days=read("AIRFLOW_RETENTION_DAYS", _natural, _DAYS),
        quality_retention_days=read("QUALITY_RETENTION_DAYS", _natural, _DAYS),
        raw_retention_days=read("RAW_RETENTION_DAYS", _natural, _DAYS),
        _secrets={key: values[key] for key in KEYS if is_secret(key) and key in values},
    )


def read_dotenv(path: Path) -> dict[str, str]:
    """The non-empty values of a `.env` file; none where the file is missing."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise SettingsError(f"{path} cannot be read by this user: change its owner, it needs mode 600.") from None
    except UnicodeDecodeError as error:
        number = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {number}: not UTF-8 text. Correct the line or delete it.") from None
    values: dict[str, str] = {}
    first_line: dict[str, int] = {}
    for number, raw_line in enumerate(text.splitlines(), start=1):
        line = raw_line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            # The line itself is not shown: it may hold a password.
            raise SettingsError(f"{path}, line {number}: neither KEY=value nor a # comment. Correct it or delete it.")
        key, value = match.groups()
        if key in first_line:
            former = first_line[key]
            raise SettingsError(f"{path}, line {number}: {key} is already set on line {former}. Delete one of them.")
        first_line[key] = number
        values[key] = _unquoted(value, f"{path}, line {number}")
    return {key: value for key, value in values.items() if value}


def is_secret(key: str) -> bool:
    return key.endswith(("_PASSWORD", "_KEY", "_SECRET"))


DATABASE_NAME_RULE = (
    "a name for a warehouse (small letters, digits and _; at most 63; not " + ", ".join(sorted(NOT_A_WAREHOUSE)) + ")"
)


def database_name(text: str) -> str:
    """`text`, if a warehouse may have this name. No quoting is needed for it anywhere, in SQL or in a shell."""
    if not _DATABASE_NAME.fullmatch(text) or text in NOT_A_WAREHOUSE:
        raise ValueError(text)
    return text


def _unquoted(value: str, where: str) -> str:
    if value[:1] in ("'", '"'):
        quote, end = value[0], value.find(value[0], 1)
        rest = value[end + 1 :].strip()
        if end < 0 or (rest and not rest.startswith("#")):
            raise SettingsError(f"{where}: the value starts with {quote} and does not end with it. Correct the quotes.")
        return value[1:end]
    return re.split(r"\s+#", value, maxsplit=1)[0]


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(text)
    return port


def _sslmode(text: str) -> str:
    if text not in SSLMODES:
        raise ValueError(text)
    return text


def _auth_manager(text: str) -> str:
    if text not in ("simple", "fab") and not re.fullmatch(r"\w+(\.\w+)+", text):
        raise ValueError(text)
    return text


def _https_url(text: str) -> str | None:
    if text == "off":
        return None
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError(text)
    return text.rstrip("/")


def _unless(value: str, nothing: str) -> str | None:
    return None if value == nothing else value


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(text)
    return text == "on"


def _smtp_security(text: str) -> str:
    if text not in ("none", "starttls", "ssl"):
        raise ValueError(text)
    return text


def _smtp_login(text: str, origin: str) -> tuple[str, str] | None:
    user, colon, password = text.partition(":")
    if text != "off" and not colon:  # the value is not shown: it may be a password
        raise SettingsError(f"SMTP_LOGIN in {origin} is neither user:password nor off. Correct it there.")
    return (user, password) if colon else None


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
