"""The commands that generate and land data."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from saas_analytics.cli.application import (
    DATA,
    Day,
    Days,
    Invocation,
    Json,
    Warehouse,
    Yes,
    as_day,
    command,
    yesterday,
)
from saas_analytics.errors import UsageError


def in_containers(context: typer.Context, arguments: Sequence[str]) -> int | None:
    """Run `analytics ARGUMENTS` in the container that runs tasks, and return its exit code.

    None if the command belongs in this process.
    """
    invocation: Invocation = context.obj or Invocation()
    if invocation.here:
        return None
    from saas_analytics.settings import PROJECT_ROOT
    from saas_analytics.stack import containers
    from saas_analytics.stack.choice import chosen_stack

    if chosen_stack(PROJECT_ROOT)[0] != "docker":
        return None
    return containers.run(PROJECT_ROOT, ["analytics", *arguments])


@command("generate", DATA)
def generate(
    context: typer.Context,
    day: Day,
    days: Days = 1,
    scale: Annotated[
        str | None,
        typer.Option(metavar="X", show_default="COMPANY_SCALE", help="A factor for the users."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="S", show_default="COMPANY_SEED", help="Another seed gives another company."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default="LANDING_ZONE", help="The landing zone."),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default="data_gen/rules.yaml", help="The rules."),
    ] = None,
) -> int:
    """Generate the synthetic company's files for some days, in the landing zone.

    The files are OUT/<source>/dt=YYYY-MM-DD/<source>.<format>. The bytes of a day depend only on
    the rules, the founding day, the scale, the seed and the day, so you can generate any day alone
    and repeatedly.
    """
    span = ["--day", str(day), "--days", str(days)]
    stays = any(value is not None for value in (scale, seed, out, rules))
    if not stays and (code := in_containers(context, ["generate", *span])) is not None:
        return code
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here uses numpy's linear algebra
    from data_gen.generate import generate as write_days

    write_days(day, days, scale=scale, seed=seed, out=out, rules=rules)
    return 0


@command("land", DATA)
def land(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="External files, with --mapping.")
    ] = None,
    day: Annotated[
        date | None,
        typer.Option(
            parser=as_day,
            metavar="YYYY-MM-DD",
            show_default="yesterday; today for external files, UTC",
            help="The day to land, or the day on which the files arrive.",
        ),
    ] = None,
    days: Days = 1,
    zone: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR", show_default="LANDING_ZONE", help="The landing zone."
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="MAPPING.yaml", help="How external files become rows."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Do not move external files to processed/.")
    ] = False,
    new: Annotated[
        bool,
        typer.Option("--new", help="Land as new files, even if name or bytes are known."),
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Land older deliveries too, in place of corrected ones."),
    ] = False,
    allow_future: Annotated[
        bool, typer.Option("--allow-future", help="Land days after tomorrow, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, report it, and roll it back.")
    ] = False,
    as_json: Json = False,
    warehouse: Warehouse = None,
) -> int:
    """Land files in the raw tables: days of the landing zone, or external files by a mapping.

    Landing the same bytes again changes nothing. The exit code is 0 only if everything landed.
    """
    _check_usage(files, days, zone, mapping, keep=keep, new=new, again=again)
    if mapping is None and zone is None:
        flags = {
            "--again": again,
            "--allow-future": allow_future,
            "--dry-run": dry_run,
            "--json": as_json,
        }
        span = ["--day", str(day or yesterday()), "--days", str(days)]
        arguments = ["land", *span, *(flag for flag, given in flags.items() if given)]
        if (code := in_containers(context, arguments)) is not None:
            return code
    from saas_analytics.landing import execution, outcome
    from saas_analytics.landing.display import Display
    from saas_analytics.settings import load_settings

    # With --json, standard output has only the JSON.
    display = Display(sys.stderr if as_json else sys.stdout)
    settings = load_settings()
    started = time.monotonic()
    if mapping:
        arrived = day or datetime.now(UTC).date()
        outcomes = execution.land_files(
            settings,
            mapping,
            files or [],
            arrived,
            display,
            new=new,
            keep=keep,
            allow_future=allow_future,
            dry_run=dry_run,
        )
    else:
        first = day or yesterday()
        outcomes = execution.land_days(
            settings,
            zone,
            first,
            days,
            display,
            again=again,
            allow_future=allow_future,
            dry_run=dry_run,
        )
    seconds = time.monotonic() - started
    if as_json:
        typer.echo(outcome.as_json(outcomes, seconds))
    else:
        display.show_summary(outcomes, seconds)
    return 1 if any(one.status == "failed" for one in outcomes) else 0


def _check_usage(
    files: list[Path] | None,
    days: int,
    zone: Path | None,
    mapping: Path | None,
    *,
    keep: bool,
    new: bool,
    again: bool,
) -> None:
    if mapping:
        if not files:
            raise UsageError("--mapping needs at least one FILE")
        if zone or days != 1 or again:
            raise UsageError(
                "--from, --days and --again are for the landing zone, --mapping for external files"
            )
    elif files:
        raise UsageError("a FILE needs --mapping, which describes its columns")
    elif keep or new:
        raise UsageError("--keep and --new are for external files, with --mapping")


@command("withdraw", DATA)
def withdraw(
    loads: Annotated[
        list[int] | None, typer.Argument(metavar="LOAD...", help="Numbers of loads: raw.loads.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="All loads of this source, with --day.")
    ] = None,
    day: Annotated[
        date | None,
        typer.Option(parser=as_day, metavar="YYYY-MM-DD", help="The day on which they landed."),
    ] = None,
    yes: Yes = False,
    warehouse: Warehouse = None,
) -> int:
    """Take loads back: their rows leave raw now, and the models with the next build.

    The load that a withdrawn one had replaced does not come back: deliver it again.
    """
    from saas_analytics.landing.withdrawal import loads_by_id, loads_of_day
    from saas_analytics.landing.withdrawal import withdraw as withdraw_loads
    from saas_analytics.settings import load_settings
    from saas_analytics.warehouse import connect

    if bool(loads) == bool(source or day) or bool(source) != bool(day):
        raise UsageError("name the loads: either their numbers, or --source and --day")
    with connect(
        load_settings(), "loader", autocommit=True, application_name="withdraw"
    ) as connection:
        found = (
            loads_by_id(connection, loads)
            if loads
            else loads_of_day(connection, source or "", day or date.min)
        )
        typer.echo("This takes out of raw:")
        for load in found:
            typer.echo(f"  {load.line()}")
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("there is no terminal for the question; --yes does not ask")
            if not typer.confirm("Withdraw it?"):
                typer.echo("Nothing was withdrawn.")
                return 1
        withdraw_loads(connection, found)
    typer.echo("Withdrawn. The models follow with the next build: `make dbt-build`.")
    return 0


@command("land-incoming", DATA)
def land_incoming(warehouse: Warehouse = None) -> int:
    """Land the files that wait in incoming/, each by the mapping of its folder."""
    from saas_analytics.pipeline.incoming import land_waiting
    from saas_analytics.settings import load_settings

    return land_waiting(load_settings())


@command("faults", DATA)
def faults(
    zone: Annotated[Path, typer.Option("--from", metavar="DIR", help="The generated zone.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The copy; must not exist yet.")],
    day: Annotated[
        date, typer.Option(parser=as_day, metavar="YYYY-MM-DD", help="The first day with faults.")
    ],
    days: Days = 30,
    every: Annotated[int, typer.Option(metavar="N", help="One fault in about N days.")] = 3,
    seed: Annotated[int, typer.Option(metavar="S", help="Another seed gives other faults.")] = 1,
) -> None:
    """Copy a generated landing zone with labelled faults, to measure the anomaly detection."""
    from data_gen.faults import copy_with_faults

    copy_with_faults(zone, out, day, days=days, seed=seed, every=every)
