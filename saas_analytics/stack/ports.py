"""Chooses the ports of a stack, and moves it away from ports that other programs have taken."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from saas_analytics.console import warn
from saas_analytics.layout import Layout, StackError
from saas_analytics.settings import Settings, load_settings
from saas_analytics.settings_table import SETTINGS
from saas_analytics.stack.addresses import external_database
from saas_analytics.stack.compose import settings_of
from saas_analytics.stack.dotenv import FIRST_PORTS, set_value
from saas_analytics.stack.locking import exclusive
from saas_analytics.stack.processes import describe, listener
from saas_analytics.stack.sockets import free_port, port_is_free


@contextmanager
def taking_ports() -> Iterator[None]:
    """Only one of a user's stacks at a time looks for free ports and takes them.

    Two stacks at once would choose the same ones.
    """
    # Not in TMPDIR, which another shell may have elsewhere.
    path = Path(f"/tmp/saas-analytics-ports-{os.geteuid()}.lock")
    with exclusive(path, "Another stack is starting; waiting until it has its ports."):
        yield


def choose_ports(
    layout: Layout, settings: Settings, keys: Collection[str] = tuple(FIRST_PORTS)
) -> Settings:
    """Replace each port that another program has taken by a free one, in `.env`, and report it.

    `keys` are the settings of the ports. StackError if the environment demands a taken port.
    """
    for key in keys:
        port = _port(settings, key)
        is_external = key == "WAREHOUSE_PORT" and external_database(settings_of(layout.root))
        if port_is_free(port) or is_external:
            continue
        taken_by = f"Port {port} is taken by {describe(listener(port))}"
        if os.environ.get(key):
            raise StackError(
                f"{taken_by}, and the environment asks for it: {key}={port}. "
                "Choose another or unset it."
            )
        others = frozenset(_port(settings, other) for other in FIRST_PORTS)
        new = free_port(FIRST_PORTS[key], others)
        set_value(layout.root, key, str(new))
        warn(f"{taken_by}. This stack moves to port {new} ({key} in {layout.dotenv}).")
        settings = load_settings(layout.root)
    return settings


def _port(settings: Settings, key: str) -> int:
    """The port of a setting; 0, which is always free, without one."""
    return getattr(settings, SETTINGS[key].attribute) or 0
