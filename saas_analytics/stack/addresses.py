"""What the addresses in the settings mean: this machine, a private network, or everybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_SAME_HOST = frozenset({"postgres", "localhost", "host.docker.internal", ""})


def external_database(values: Mapping[str, str]) -> str | None:
    """The host of the database if it is on another machine; `values` are the settings by name.

    This machine publishes its own PostgreSQL on the address WAREHOUSE_ADDRESS.
    """
    host = values.get("WAREHOUSE_HOST", "")
    here = host in _SAME_HOST or host.startswith("/") or is_loopback(host)
    return None if here or host == values.get("WAREHOUSE_ADDRESS") else host


def excludes_loopback(address: str) -> bool:
    """Whether a port that is published on `address` cannot be reached on 127.0.0.1."""
    return not is_loopback(address) and address not in ("0.0.0.0", "::", "[::]")


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def is_private(address: str) -> bool:
    """Whether the address belongs to a private network, so that the Internet does not reach it."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    return parsed.is_private and not parsed.is_unspecified and not parsed.is_link_local
