"""Writes the synthetic company's files for one or more days into the landing zone.

`python data_gen/generate.py` is `analytics generate`, on this machine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from saas_analytics import cli
from saas_analytics.errors import AnalyticsError, UsageError
from saas_analytics.settings import PROJECT_ROOT, given_values

# The modules of the company import numpy, pyarrow and pydantic, which `--help` does not need.
if TYPE_CHECKING:
    from data_gen.company.company import Company
    from saas_analytics.sources.files import Written

VARIABLES = ("COMPANY_SCALE", "COMPANY_SEED", "COMPANY_FOUNDED", "LANDING_ZONE")


@dataclass(frozen=True)
class Request:
    """The company, the days and the landing zone of a run."""

    days: tuple[date, ...]
    company: Company
    out: Path


def main(argv: Sequence[str] | None = None) -> int:
    return cli.main(["generate", *(sys.argv[1:] if argv is None else argv)], here=True)


def generate(
    first: date,
    number: int,
    *,
    scale: str | None = None,
    seed: int | None = None,
    out: Path | None = None,
    rules: Path | None = None,
) -> None:
    """Write the files of `number` days from `first` on. The settings replace what is None.

    Raises UsageError if the company or a day cannot be made, AnalyticsError if a file cannot
    be written.
    """
    request = read_request(first, number, scale=scale, seed=seed, out=out, rules=rules)
    try:
        _make(request)
    except OSError as error:
        raise AnalyticsError(
            f"cannot write: {error}. Days that were reported are complete; run again for the rest."
        ) from error


def read_request(
    first: date,
    number: int = 1,
    *,
    scale: str | None = None,
    seed: int | None = None,
    out: Path | None = None,
    rules: Path | None = None,
) -> Request:
    """The request, completed by the settings. It needs no running stack and no `.env`."""
    from data_gen.company.company import Company, exact_scale
    from data_gen.company.making import day_number_of
    from data_gen.company.rules import DEFAULT_RULES, load_rules

    given = given_values(PROJECT_ROOT)
    company_rules = load_rules(rules or DEFAULT_RULES)
    if founded := given.get("COMPANY_FOUNDED"):
        company_rules = company_rules.founded_on(founded)
    try:
        given.get("COMPANY_SCALE")  # checks it; the text says exactly what one tenth is
        exact = exact_scale(scale or given.texts["COMPANY_SCALE"])
        day_number_of(first)
        day_number_of(first + timedelta(days=number - 1))
        day_number_of(company_rules.company.founded)
    except (ValueError, OverflowError) as error:
        raise UsageError(str(error)) from error
    days = tuple(first + timedelta(days=after) for after in range(number))
    company = Company(company_rules, given.get("COMPANY_SEED") if seed is None else seed, exact)
    company.growth.users_by(day_number_of(days[-1]))  # raises here where they would be too many
    return Request(days, company, out or PROJECT_ROOT / given.texts["LANDING_ZONE"])


def _make(request: Request) -> None:
    from data_gen.company.making import write_day

    if sys.stdout.isatty():
        _make_with_bar(request)
        return
    for day in request.days:
        for file in write_day(request.company, day, request.out):
            size = f"{file.rows:>10,} rows  {file.bytes:>13,} bytes"
            print(f"{file.source:<14} {day}  {size}  {file.path}", flush=True)
        _say_if_empty(request, day)


def _make_with_bar(request: Request) -> None:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from data_gen.company.making import write_day

    rows = size = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[made]}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("generate", total=len(request.days), made="")
        for day in request.days:
            files: list[Written] = write_day(request.company, day, request.out)
            rows += sum(file.rows for file in files)
            size += sum(file.bytes for file in files)
            bar.update(
                task,
                advance=1,
                description=f"generate {day}",
                made=f"{rows:,} rows, {size / 1e6:,.1f} MB",
            )
    for day in request.days:
        _say_if_empty(request, day)


def _say_if_empty(request: Request, day: date) -> None:
    founded = request.company.rules.company.founded
    if day < founded:
        print(
            f"generate: {day} lies before the founding on {founded}: "
            "its files are valid and empty.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())
