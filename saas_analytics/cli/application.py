"""The application, its error reports, and the options that commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer

from saas_analytics.errors import AnalyticsError

F = TypeVar("F", bound=Callable[..., Any])

app = typer.Typer(
    help="The analytics stack: land files, build the marts, run the pipeline, see the results.",
    epilog="Exit codes: 0 succeeded, 1 failed, 2 invalid usage, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The panels of `analytics --help`, in their order.
STACK, DATA, PIPELINE, QUALITY, DEVELOPMENT = (
    "The stack",
    "Data",
    "Models and pipeline",
    "Figures and quality",
    "Development",
)


@dataclass(frozen=True, slots=True)
class Invocation:
    """How the command was called."""

    here: bool = False  # not in a container, even if the stack runs in containers


def command(name: str, panel: str, **options: Any) -> Callable[[F], F]:
    """Register a function as a command. It returns its exit code, or None for 0.

    An AnalyticsError becomes a message and the exit code of its class.
    """

    def register(function: F) -> F:
        @functools.wraps(function)
        def run(*arguments: Any, **given: Any) -> None:
            try:
                code = function(*arguments, **given)
            except KeyboardInterrupt:
                _fail(f"Interrupted. `analytics {name}` continues where it stopped.")
                code = 130
            except AnalyticsError as error:
                _fail(str(error))
                code = error.exit_code
            raise typer.Exit(int(code or 0))

        app.command(name, rich_help_panel=panel, **options)(run)
        return function

    return register


def _fail(text: str) -> None:
    from saas_analytics.console import fail  # rich takes a tenth of a second

    fail(text)


def yesterday() -> date:
    """The newest day that is over, in UTC."""
    return datetime.now(UTC).date() - timedelta(days=1)


def as_day(text: str | date) -> date:
    """The day of an option. typer.BadParameter if it is not a date like 2026-01-31."""
    if isinstance(text, date):
        return text
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day like 2026-01-31") from None


def _enter_warehouse(name: str | None) -> str | None:
    if name:
        os.environ["WAREHOUSE_DB"] = name
    return name


Day = Annotated[
    date,
    typer.Option(
        parser=as_day,
        metavar="YYYY-MM-DD",
        default_factory=yesterday,
        show_default="yesterday, UTC",
        help="The first day, or the only one.",
    ),
]
Days = Annotated[
    int, typer.Option(min=1, max=4000, metavar="N", help="The number of days, from --day.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Warehouse = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=_enter_warehouse,
        is_eager=True,
        show_default="WAREHOUSE_DB",
        help="The warehouse (database) to work in.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
