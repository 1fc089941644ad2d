"""The table of settings: key, kind, default, meaning, and who gets it.

Made from it: `.env.template`, the reference page of the documentation, the validation in
`settings`, the checks of `doctor`, and the environments of tasks and containers.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from urllib.parse import urlsplit

NOT_A_WAREHOUSE = frozenset({"airflow", "superset", "postgres", "template0", "template1"})
DATABASE_NAME_RULE = (
    "a name for a warehouse (lower-case letters, digits and _; at most 63 characters; not "
    + ", ".join(sorted(NOT_A_WAREHOUSE))
    + ")"
)
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_WIDTH = 100  # of a line of `.env.template`


def database_name(text: str) -> str:
    """`text`, if a warehouse may have this name. ValueError otherwise.

    Such a name needs no quotes in SQL or in a shell.
    """
    if not _DATABASE_NAME.fullmatch(text) or text in NOT_A_WAREHOUSE:
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True)
class Kind:
    """How the text of a setting becomes a value, and back."""

    expected: str  # completes "... is not"
    parse: Callable[[str], Any] = str  # ValueError if the text is not of this kind
    show: Callable[[Any], str] = str


def one_of(*choices: str) -> Kind:
    """The kind of a setting whose text is one of these."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return Kind("one of " + ", ".join(choices), parse)


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(text)
    return port


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(text)
    return number


def _switch(text: str) -> bool:
    return {"on": True, "off": False}[one_of("on", "off").parse(text)]


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


def _login(text: str) -> tuple[str, str] | None:
    if text == "off":
        return None
    user, colon, password = text.partition(":")
    if not colon:
        raise ValueError(text)
    return user, password


TEXT = Kind("text")
PORT = Kind("a port number from 1 to 65535", _port)
SWITCH = Kind("on or off", _switch, lambda value: "on" if value else "off")
DAYS = Kind("a number of days (0: forever)", _natural)
MINUTES = Kind("a number of minutes (0: no deadline)", _natural)
WHOLE_NUMBER = Kind("a whole number of 0 or more", _natural)
SCALE = Kind("a number above 0", _positive)
DAY = Kind("a date like 2026-01-31", date.fromisoformat)
DATABASE = Kind(DATABASE_NAME_RULE, database_name)
AUTH_MANAGER = Kind("simple, fab, or a class as package.module.Name", _auth_manager)
HTTPS_URL = Kind(
    "off, or an address that begins with https://", _https_url, lambda value: value or "off"
)
LOGIN = Kind("user:password, or off", _login, lambda value: ":".join(value) if value else "off")
SSLMODE = one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


# Who gets a setting. Commands of the stack read all of `.env`; Airflow's containers get what its
# programs need, and tasks what their work needs.
Reach = Literal["commands", "containers", "tasks"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of `.env`."""

    key: str
    meaning: str
    kind: Kind = TEXT
    default: str = ""  # empty: no default
    made: str = ""  # what `make up` fills in if the key is empty
    attribute: str = ""  # of `Settings`; empty for secrets and for settings of containers only
    secret: bool = False  # the value is never shown
    reach: Reach = "commands"

    @property
    def is_generated_secret(self) -> bool:
        return self.secret and not self.default


def _secret(key: str, meaning: str, reach: Reach = "commands") -> Setting:
    return Setting(key, meaning, made="a random one", secret=True, reach=reach)


SECTIONS: dict[str, tuple[Setting, ...]] = {
    "Warehouse (PostgreSQL)": (
        Setting(
            "WAREHOUSE_HOST",
            "The host of the server.",
            default="127.0.0.1",
            attribute="host",
            reach="tasks",
        ),
        Setting(
            "WAREHOUSE_PORT",
            "The port of the server.",
            PORT,
            made="the first free port from 15432",
            attribute="port",
            reach="tasks",
        ),
        Setting(
            "WAREHOUSE_DB",
            "The warehouse (database) that commands work in. A server holds any number of them.",
            DATABASE,
            default="analytics",
            attribute="database",
            reach="tasks",
        ),
        _secret(
            "WAREHOUSE_ADMIN_PASSWORD", "The superuser postgres. Only the stack's set-up uses it."
        ),
        _secret(
            "WAREHOUSE_OWNER_PASSWORD",
            "warehouse_owner: owns databases and schemas.",
            reach="tasks",
        ),
        _secret("WAREHOUSE_LOADER_PASSWORD", "loader: writes the schema raw.", reach="tasks"),
        _secret(
            "WAREHOUSE_TRANSFORMER_PASSWORD",
            "transformer: builds the models with dbt.",
            reach="tasks",
        ),
        _secret("WAREHOUSE_REPORTER_PASSWORD", "reporter: reads the schema marts.", reach="tasks"),
    ),
    "Airflow": (
        Setting(
            "AIRFLOW_PORT",
            "The web interface and the REST API.",
            PORT,
            made="the first free port from 18080",
            attribute="airflow_port",
            reach="containers",
        ),
        _secret("AIRFLOW_ADMIN_PASSWORD", "The user admin of Airflow."),
        Setting(
            "AIRFLOW_AUTH_MANAGER",
            "Where Airflow's users are: simple (only admin), fab (users and roles in Airflow's "
            "database), or the class of your own auth manager.",
            AUTH_MANAGER,
            default="simple",
            attribute="auth_manager",
            reach="tasks",
        ),
        _secret(
            "AIRFLOW_DB_PASSWORD",
            "Airflow's metadata: role and database airflow on the same server.",
            reach="containers",
        ),
        _secret(
            "AIRFLOW_FERNET_KEY",
            "Encrypts the connections and variables that Airflow stores.",
            reach="containers",
        ),
        _secret("AIRFLOW_JWT_SECRET", "Signs Airflow's tokens.", reach="containers"),
        _secret("AIRFLOW_API_SECRET_KEY", "Signs Airflow's sessions.", reach="containers"),
    ),
    "Dashboards (Superset)": (
        Setting(
            "SUPERSET_PORT",
            "The port of the dashboards, which `make dashboards` starts.",
            PORT,
            made="the first free port from 18180",
            attribute="superset_port",
        ),
        _secret("SUPERSET_ADMIN_PASSWORD", "The user admin of Superset: may change dashboards."),
        _secret("SUPERSET_VIEWER_PASSWORD", "The user viewer of Superset: may see dashboards."),
        _secret(
            "SUPERSET_DB_PASSWORD",
            "Superset's metadata: role and database superset on the same server.",
        ),
        _secret("SUPERSET_SECRET_KEY", "Signs Superset's sessions and encrypts what it stores."),
        Setting(
            "SUPERSET_BEHIND_PROXY",
            "on: a proxy with TLS stands in front of Superset, so cookies travel over TLS only.",
            SWITCH,
            default="off",
            attribute="superset_behind_proxy",
        ),
    ),
    "Documentation": (
        Setting(
            "DOCS_PORT",
            "The port of the site that `make docs` builds. Whoever reaches it needs no login.",
            PORT,
            made="the first free port from 18280",
            attribute="docs_port",
        ),
    ),
    "Alerts": (
        Setting(
            "SLACK_WEBHOOK_URL",
            "Where failures, late runs, stale sources and anomalies are reported, and when they "
            "are resolved. off: nothing goes to Slack.",
            default="off",
            attribute="slack_webhook_url",
            secret=True,
            reach="tasks",
        ),
        Setting(
            "ALERT_EMAIL",
            "Who gets the same reports by e-mail. off: nobody.",
            default="off",
            attribute="alert_email",
            reach="tasks",
        ),
        Setting(
            "SMTP_HOST",
            "The mail server.",
            default="127.0.0.1",
            attribute="smtp_host",
            reach="tasks",
        ),
        Setting(
            "SMTP_PORT",
            "The port of the mail server.",
            PORT,
            default="25",
            attribute="smtp_port",
            reach="tasks",
        ),
        Setting(
            "SMTP_FROM",
            "The sender of the e-mails.",
            default="analytics@localhost",
            attribute="smtp_from",
            reach="tasks",
        ),
        Setting(
            "SMTP_SECURITY",
            "How the connection to the mail server is encrypted: none, starttls or ssl.",
            one_of("none", "starttls", "ssl"),
            default="none",
            attribute="smtp_security",
            reach="tasks",
        ),
        Setting(
            "SMTP_LOGIN",
            "The login at the mail server as user:password. off: it needs none.",
            LOGIN,
            default="off",
            attribute="smtp_login",
            secret=True,
            reach="tasks",
        ),
        Setting(
            "PIPELINE_DEADLINE_MINUTES",
            "A daily run that takes longer than this is reported as late. 0: never.",
            MINUTES,
            default="120",
            attribute="pipeline_deadline_minutes",
            reach="tasks",
        ),
    ),
    "Lineage": (
        Setting(
            "LINEAGE_URL",
            "The OpenLineage server that gets the lineage of tasks and models. off: it goes to "
            ".local/logs/lineage/events.jsonl.",
            default="off",
            attribute="lineage_url",
            reach="tasks",
        ),
    ),
    "Maintenance (weekly)": (
        Setting(
            "LOG_RETENTION_DAYS",
            "How long logs of tasks are kept, in days. 0: forever, as below.",
            DAYS,
            default="30",
            attribute="log_retention_days",
            reach="tasks",
        ),
        Setting(
            "AIRFLOW_RETENTION_DAYS",
            "How long runs are kept in Airflow's own database.",
            DAYS,
            default="90",
            attribute="airflow_retention_days",
            reach="tasks",
        ),
        Setting(
            "QUALITY_RETENTION_DAYS",
            "How long the results of dbt runs are kept in the schema quality.",
            DAYS,
            default="400",
            attribute="quality_retention_days",
            reach="tasks",
        ),
        Setting(
            "RAW_RETENTION_DAYS",
            'How long landed rows are kept in the schema raw. Before you change it, read "What is '
            'kept" in docs/reference/quality.md.',
            DAYS,
            default="0",
            attribute="raw_retention_days",
            reach="tasks",
        ),
    ),
    "Data": (
        Setting(
            "LANDING_ZONE",
            "Where files wait to be landed, relative to the project.",
            default="raw",
            attribute="landing_zone",
            reach="tasks",
        ),
        Setting(
            "INCOMING_SETTLE_SECONDS",
            "A file in incoming/ lands when it has not been written to for so many seconds.",
            WHOLE_NUMBER,
            default="30",
            attribute="incoming_settle_seconds",
            reach="tasks",
        ),
        Setting(
            "SPECIAL_DAYS",
            "A CSV file (day, name, share) of days with unusual figures, such as holidays. "
            "off: you have none.",
            default="off",
            attribute="special_days",
            reach="tasks",
        ),
        Setting(
            "SYNTHETIC_COMPANY",
            "Whether the synthetic company feeds the stack.",
            SWITCH,
            default="on",
            attribute="synthetic_company",
            reach="tasks",
        ),
        Setting(
            "COMPANY_SCALE",
            "The size of the synthetic company; 1.0 is that of data_gen/rules.yaml.",
            SCALE,
            default="1.0",
            attribute="company_scale",
            reach="tasks",
        ),
        Setting(
            "COMPANY_SEED",
            "The random seed of the synthetic company: another seed is another company.",
            WHOLE_NUMBER,
            default="42",
            attribute="company_seed",
            reach="tasks",
        ),
        Setting(
            "COMPANY_FOUNDED",
            "The first day of the synthetic company.",
            DAY,
            made="60 days before .env is made",
            attribute="company_founded",
            reach="tasks",
        ),
    ),
    "Containers (where a Docker engine runs the stack)": (
        Setting(
            "COMPOSE_PROJECT_NAME",
            "The name of this checkout's containers and volumes.",
            made="a name of its own",
        ),
        Setting("STACK_IMAGE", "The image of Airflow and dbt.", made="a name of its own"),
        Setting("SUPERSET_IMAGE", "The image of Superset.", made="a name of its own"),
        Setting(
            "PYTHON_IMAGE",
            "The base image of both; a mirror's or a digest, if you have one.",
            default="python:3.12-slim-bookworm",
        ),
        Setting("POSTGRES_IMAGE", "The image of PostgreSQL.", default="postgres:18"),
        Setting("AIRFLOW_MEMORY", "The most memory of each container of Airflow.", default="2g"),
        Setting("SUPERSET_MEMORY", "The most memory of each container of Superset.", default="2g"),
        Setting("POSTGRES_MEMORY", "The most memory of PostgreSQL's container.", default="4g"),
        Setting(
            "POSTGRES_SHARED_BUFFERS",
            "PostgreSQL's shared_buffers in its container.",
            default="512MB",
        ),
        Setting("POSTGRES_WORK_MEM", "PostgreSQL's work_mem in its container.", default="32MB"),
        Setting(
            "STACK_ADDRESS",
            "The address on which Airflow, the dashboards and the documentation are published. "
            "Any other than 127.0.0.1 opens them to the network.",
            default="127.0.0.1",
            attribute="stack_address",
        ),
        Setting(
            "WAREHOUSE_ADDRESS",
            "The address on which PostgreSQL is published. If it is another address of this "
            "machine, set WAREHOUSE_HOST to it too.",
            default="127.0.0.1",
        ),
        Setting(
            "STACK_URL",
            "The https:// address at which your proxy serves Airflow. off: there is no proxy.",
            HTTPS_URL,
            default="off",
            attribute="stack_url",
            reach="tasks",
        ),
        Setting(
            "WAREHOUSE_SSLMODE",
            "libpq's sslmode for connections to PostgreSQL. Use verify-full for a server "
            "elsewhere.",
            SSLMODE,
            default="prefer",
            attribute="sslmode",
            reach="tasks",
        ),
        Setting(
            "WAREHOUSE_SSLROOTCERT",
            "The file of the trusted certificate authorities. /dev/null: libpq's default.",
            default="/dev/null",
            attribute="sslrootcert",
            reach="tasks",
        ),
    ),
}
SETTINGS: dict[str, Setting] = {
    setting.key: setting for section in SECTIONS.values() for setting in section
}
KEYS = tuple(SETTINGS)
# The text of a key that neither the environment nor `.env` has.
DEFAULTS = {setting.key: setting.default for setting in SETTINGS.values() if setting.default}
GENERATED_SECRETS = tuple(key for key, setting in SETTINGS.items() if setting.is_generated_secret)

_HEADER = """\
# Settings of this stack. `make up` copies this file to .env (mode 600) and fills in what is empty:
# free ports, generated passwords and keys. A variable of the shell or of make wins over .env:
#   WAREHOUSE_DB=online_retail make land
# After a change run `make down && make up`. Lines are KEY=value; a value may stand in quotes, and
# nothing is expanded. This file is generated: `analytics settings --template > .env.template`.
"""


def template(values: Mapping[str, str] | None = None) -> str:
    """The text of a `.env` with these values, and defaults for the other keys."""
    parts = [_HEADER]
    for title, section in SECTIONS.items():
        parts.append(f"# --- {title} ".ljust(_WIDTH, "-") + "\n")
        parts += [entry(setting, (values or {}).get(setting.key)) for setting in section]
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def entry(setting: Setting, value: str | None = None) -> str:
    """The lines of one setting: its meaning as a comment, and KEY=value."""
    made = f" Empty: `make up` fills in {setting.made}." if setting.made else ""
    comment = textwrap.fill(
        setting.meaning + made,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return f"{comment}\n{setting.key}={setting.default if value is None else value}"
