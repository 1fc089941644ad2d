"""`./deploy.sh dev|prod`: starts the stack in containers.

./deploy.sh dev               build the images here and start every container
./deploy.sh prod [--check]    refuse settings that are not fit for production, each with its
                              fix; otherwise start pinned images
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from saas_analytics.console import console, errors, fail, note
from saas_analytics.stack import containers as stack
from saas_analytics.stack.choice import remember
from saas_analytics.stack.compose import settings_of
from saas_analytics.stack.dotenv import ensure_dotenv
from saas_analytics.stack.production import Reason, reasons
from saas_analytics.stack.status import print_addresses


def deploy(root: Path, *, production: bool, only_check: bool = False) -> bool:
    """Start the stack of the project at `root` in containers.

    Returns whether its settings are fit for production, or True if `production` is not asked for.
    `only_check` starts and writes nothing.
    """
    if not only_check:
        for text in ensure_dotenv(root):
            note(text)
    if production:
        found = reasons(settings_of(root), root)
        if found:
            _print_reasons(found)
            return False
        console.print("[green]✓[/green] Every setting is fit for production.")
    if only_check:
        return True
    remember(root, "docker")  # first, so that `make down` stops a start that failed halfway
    settings = stack.dashboards(root)
    console.print("[bold green]The stack is up.[/bold green]")
    if production:
        console.print(
            f"Airflow: {settings.stack_url or 'on this machine only, for a proxy or a tunnel'}",
            markup=False,
        )
    else:
        print_addresses(settings)
    return True


def _print_reasons(found: Sequence[Reason]) -> None:
    number = "One thing is" if len(found) == 1 else f"{len(found)} things are"
    fail(f"{number} not fit for production; nothing was started.")
    for reason in found:
        errors.print(f"  ✗ {reason.what}", markup=False)
        errors.print(f"      {reason.fix}", markup=False)
