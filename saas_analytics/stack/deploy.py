"""`./deploy.sh dev|prod`: the stack in containers, built here for development, pinned and checked for production.

./deploy.sh dev               build the images and start every container
./deploy.sh prod [--check]    refuse what is not fit for production, each reason with its mend; otherwise start
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from saas_analytics.console import console, errors, fail, note
from saas_analytics.layout import StackError
from saas_analytics.settings import PROJECT_ROOT, SettingsError
from saas_analytics.stack import containers as stack
from saas_analytics.stack.airflow_api import AirflowApiError
from saas_analytics.stack.choice import remember
from saas_analytics.stack.compose import settings_of
from saas_analytics.stack.dotenv import ensure_dotenv
from saas_analytics.stack.production import Reason, reasons
from saas_analytics.stack.status import print_addresses


def deploy(root: Path, *, production: bool, only_check: bool = False) -> bool:
    """Start the stack of the project at `root` in containers. False where it is not fit for production."""
    if not only_check:
        for text in ensure_dotenv(root):
            note(text)
    if production:
        found = reasons(settings_of(root), root)
        if found:
            _tell(found)
            return False
        console.print("[green]✓[/green] Every setting is fit for production.")
    if only_check:
        return True
    remember(root, "docker")  # so that `make down` stops what is started, though not all of it may be
    settings = stack.dashboards(root)
    console.print("[bold green]The stack is up.[/bold green]")
    if production:
        console.print(f"Airflow: {settings.stack_url or 'on this machine only, for a proxy or a tunnel'}", markup=False)
    else:
        print_addresses(settings)
    return True


def _tell(found: Sequence[Reason]) -> None:
    number = "One thing is" if len(found) == 1 else f"{len(found)} things are"
    fail(f"{number} not fit for production; nothing was started.")
    for reason in found:
        errors.print(f"  ✗ {reason.what}", markup=False)
        errors.print(f"      {reason.mend}", markup=False)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./deploy.sh", description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=("dev", "prod"), help="dev builds the image here; prod takes pinned ones")
    parser.add_argument(
        "--check", action="store_true", help="only look whether the settings are fit, and start nothing"
    )
    arguments = parser.parse_args(argv)
    if arguments.check and arguments.target == "dev":
        parser.error("--check looks whether settings are fit for production: ./deploy.sh prod --check")
    try:
        done = deploy(PROJECT_ROOT, production=arguments.target == "prod", only_check=arguments.check)
    except KeyboardInterrupt:
        fail("Interrupted. The same command takes up again from here; `make down` stops what was started.")
        return 130
    except (StackError, SettingsError, AirflowApiError) as error:
        fail(str(error))
        return 1
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
