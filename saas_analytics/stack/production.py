"""The checks before production: each setting that is not fit for it, with its fix."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from zxcvbn import zxcvbn

from saas_analytics.settings_table import DEFAULTS, GENERATED_SECRETS
from saas_analytics.stack.addresses import external_database, is_loopback, is_private

LEAST_LENGTH, LEAST_LENGTH_OF_JWT, LEAST_DIFFERENT = 16, 32, 8
# The guesses that an attacker needs by the estimate of zxcvbn, as powers of ten: in all, and for
# each character. A random character counts 1; words and patterns lower it.
LEAST_GUESSES, LEAST_GUESSES_OF_CHARACTER = 14.0, 0.65
_MOST_FOR_ESTIMATE = 72  # characters that zxcvbn accepts
_STACK_WORDS = ("airflow", "analytics", "postgres", "superset", "warehouse", "secret", "password")
_KNOWN_KEYS = frozenset(
    {"81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=", "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho="}
)
_PINNED = re.compile(r"(\S+@)?sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a stack is not fit for production, and how to fix it. It holds no secret."""

    what: str
    fix: str


def is_pinned(image: str) -> bool:
    """Whether an image is named by its digest: name@sha256:..., or sha256:... of a local one."""
    return _PINNED.fullmatch(image) is not None


def reasons(values: Mapping[str, str], root: Path) -> list[Reason]:
    """Everything that makes the stack of the project at `root` unfit for production.

    `values` are the settings by name. Empty if they are fit.
    """
    values = {**DEFAULTS, **values}
    return [
        *_secrets(values),
        *_database(values, root),
        *_users(values),
        *_ports(values),
        *_images(values),
    ]


def _secrets(values: Mapping[str, str]) -> Iterator[Reason]:
    seen: dict[str, str] = {}
    for key in GENERATED_SECRETS:
        value = values.get(key, "")
        fault = _fault(key, value)
        if not fault and value in seen:
            fault = f"is the same as {seen[value]}"
        seen.setdefault(value, key)
        if fault:
            yield Reason(
                f"{key} {fault}.",
                f"Empty it in .env ({key}=): the next ./deploy.sh makes a random one. "
                "Or set a random one of your own.",
            )


def _fault(key: str, value: str) -> str:
    """What is wrong with a secret; empty if nothing is."""
    if not value:
        return "is not set"
    if value in _KNOWN_KEYS:
        return "is a key that documentation shows"
    if key == "AIRFLOW_FERNET_KEY":
        return _fault_of_fernet_key(value)
    least = LEAST_LENGTH_OF_JWT if key == "AIRFLOW_JWT_SECRET" else LEAST_LENGTH
    if len(value) < least:
        return f"has {len(value)} characters and needs {least}"
    if len(set(value)) < LEAST_DIFFERENT:
        return "repeats a few characters"
    estimated = value[:_MOST_FOR_ESTIMATE]
    guesses = zxcvbn(estimated, user_inputs=_STACK_WORDS)["guesses_log10"]
    if guesses < max(LEAST_GUESSES, LEAST_GUESSES_OF_CHARACTER * len(estimated)):
        return "consists of words and patterns that attackers try first"
    return ""


def _fault_of_fernet_key(value: str) -> str:
    try:
        key = base64.urlsafe_b64decode(value)
    except (binascii.Error, ValueError):
        return "is not a Fernet key"
    if len(key) != 32:
        return "is not a Fernet key (32 bytes in base64)"
    return "repeats a few characters" if len(set(key)) < LEAST_DIFFERENT else ""


def _database(values: Mapping[str, str], root: Path) -> Iterator[Reason]:
    host = external_database(values)
    if host is None:
        return
    if values["WAREHOUSE_SSLMODE"] != "verify-full":
        yield Reason(
            f"The database is on {host} and WAREHOUSE_SSLMODE is {values['WAREHOUSE_SSLMODE']}: "
            "others could read passwords and data, or another server could take its place.",
            "Set WAREHOUSE_SSLMODE=verify-full in .env, and WAREHOUSE_SSLROOTCERT to the "
            "certificate of the server's authority.",
        )
    certificate = values["WAREHOUSE_SSLROOTCERT"]
    if certificate == DEFAULTS["WAREHOUSE_SSLROOTCERT"]:
        yield Reason(
            f"The database is on {host} and WAREHOUSE_SSLROOTCERT is not set: "
            "nothing proves the identity of the server.",
            "Set WAREHOUSE_SSLROOTCERT in .env to the file with the certificate of the server's "
            "authority (PEM).",
        )
    elif not (root / certificate).is_file():
        yield Reason(
            f"WAREHOUSE_SSLROOTCERT is {certificate}, and there is no such file.",
            "Put the certificate of the server's authority (PEM) there, or correct the path in "
            ".env.",
        )


def _users(values: Mapping[str, str]) -> Iterator[Reason]:
    manager = values["AIRFLOW_AUTH_MANAGER"]
    if manager == "simple" or manager.endswith(".SimpleAuthManager"):
        yield Reason(
            f"AIRFLOW_AUTH_MANAGER is {manager}: Airflow's SimpleAuthManager keeps one password "
            "in a file and is for development.",
            "Set AIRFLOW_AUTH_MANAGER=fab in .env for users and roles in Airflow's database, or "
            "to the class of your own auth manager.",
        )


def _ports(values: Mapping[str, str]) -> Iterator[Reason]:
    address, url = values.get("STACK_ADDRESS", "127.0.0.1"), values["STACK_URL"]
    has_proxy = url != DEFAULTS["STACK_URL"]
    if has_proxy and (urlsplit(url).scheme != "https" or not urlsplit(url).hostname):
        yield Reason(
            "STACK_URL does not begin with https://: passwords would cross the network in plain "
            "text.",
            "Have the proxy serve TLS, and set STACK_URL in .env to its https:// address.",
        )
    if not is_loopback(address):
        if not is_private(address):
            yield Reason(
                f"STACK_ADDRESS is {address}: the ports of the stack are published to everybody, "
                "past any proxy.",
                "Set STACK_ADDRESS=127.0.0.1 in .env and let a proxy on this machine serve the "
                "stack with TLS. For a proxy on another machine, set it to a private address of "
                "this one that only the proxy reaches.",
            )
        elif not has_proxy:
            yield Reason(
                f"STACK_ADDRESS is {address} and STACK_URL is not set: the ports are published "
                "without a proxy in front of them.",
                "Set STACK_URL in .env to the https:// address at which the proxy serves Airflow, "
                "or set STACK_ADDRESS=127.0.0.1.",
            )
    if values["SUPERSET_BEHIND_PROXY"] == "off" and (has_proxy or not is_loopback(address)):
        yield Reason(
            "SUPERSET_BEHIND_PROXY is off: Superset's cookies would cross the network in plain "
            "text, and all requests would seem to come from the proxy.",
            "Set SUPERSET_BEHIND_PROXY=on in .env, and have the proxy serve Superset with TLS too.",
        )
    if not is_loopback(address := values.get("WAREHOUSE_ADDRESS", "127.0.0.1")):
        yield Reason(
            f"WAREHOUSE_ADDRESS is {address}: the container of PostgreSQL speaks no TLS and would "
            "be open to the network.",
            "Set WAREHOUSE_ADDRESS=127.0.0.1 in .env. For access from elsewhere use a PostgreSQL "
            "with TLS (WAREHOUSE_HOST), or a tunnel.",
        )


def _images(values: Mapping[str, str]) -> Iterator[Reason]:
    for key in (
        "STACK_IMAGE",
        "SUPERSET_IMAGE",
        *(() if external_database(values) else ("POSTGRES_IMAGE",)),
    ):
        if not is_pinned(image := values.get(key, "")):
            yield Reason(
                f"{key} is {image or 'not set'}: it could name another image tomorrow.",
                f"Set {key} in .env to the image by its digest, name@sha256:..., as the registry "
                "reports it (docker images --digests). Without a registry, set it to the "
                "sha256:... that `docker image inspect --format '{{.Id}}' NAME` prints.",
            )
