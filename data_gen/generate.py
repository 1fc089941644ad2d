"""Command line: writes the synthetic company's files for one or more days into the landing zone."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    gc.disable()  # until the imports are done: all that they make stays
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads for algebra that nothing here does

from data_gen.company.company import Company, exact_scale  # noqa: E402
from data_gen.company.files import Written  # noqa: E402
from data_gen.company.growth import TooManyUsers  # noqa: E402
from data_gen.company.making import day_number_of, write_day  # noqa: E402
from data_gen.company.reading import RulesError  # noqa: E402
from data_gen.company.rules import DEFAULT_RULES, load_rules  # noqa: E402

VARIABLES = ("COMPANY_SCALE", "COMPANY_SEED", "COMPANY_FOUNDED", "LANDING_ZONE")


@dataclass(frozen=True)
class Request:
    """What the command line and the environment ask for."""

    days: tuple[date, ...]
    company: Company
    out: Path


class UsageError(Exception):
    """The command line or the environment asks for what cannot be made. The message says what to change."""


def main(argv: Sequence[str] | None = None) -> int:
    try:
        request = read_request(argv)
        _make(request)
    except (UsageError, RulesError, TooManyUsers) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"generate: cannot write: {error}. Days that were reported are complete; run again for the rest.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("generate: stopped. Days that were reported are complete; run again for the rest.", file=sys.stderr)
        return 130
    return 0


def read_request(argv: Sequence[str] | None = None) -> Request:
    """Command line first, then the environment, then `.env`, then the defaults. Raises UsageError or RulesError."""
    given = _parser().parse_args(argv)
    settings = _settings()
    rules = load_rules(given.rules)
    if "COMPANY_FOUNDED" in settings:
        rules = rules.founded_on(_as_day(settings["COMPANY_FOUNDED"], "COMPANY_FOUNDED"))
    try:
        scale = exact_scale(given.scale or settings.get("COMPANY_SCALE", "1.0"))
        seed = given.seed if given.seed is not None else _as_seed(settings.get("COMPANY_SEED", "42"))
        first = _as_day(given.day, "--day")
        if not 1 <= given.days <= 4000:
            raise UsageError(f"--days must lie between 1 and 4000, not {given.days}")
        day_number_of(first)
        day_number_of(first + timedelta(days=given.days - 1))
        day_number_of(rules.company.founded)
    except (ValueError, OverflowError) as error:
        raise UsageError(str(error)) from error
    days = tuple(first + timedelta(days=n) for n in range(given.days))
    out = Path(given.out) if given.out else ROOT / settings.get("LANDING_ZONE", "raw")
    company = Company(rules, seed, scale)
    company.growth.users_by(day_number_of(days[-1]))  # raises here where they would be too many
    return Request(days, company, out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="generate.py",
        description="Writes the synthetic company's files for one or more days into the landing zone, as "
        "OUT/<source>/dt=YYYY-MM-DD/<source>.<format>. A day's bytes depend on the rules, scale, seed and day only: "
        "any day can be made alone, in any order, and again.",
    )
    parser.add_argument("--day", required=True, metavar="YYYY-MM-DD", help="the (first) day to make")
    parser.add_argument(
        "--days", type=int, default=1, metavar="N", help="make N days: --day and the N-1 days after it (default 1)"
    )
    parser.add_argument("--scale", metavar="X", help="multiplies the number of users (default: COMPANY_SCALE, or 1.0)")
    parser.add_argument(
        "--seed", type=int, metavar="S", help="another seed is another company (default: COMPANY_SEED, or 42)"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="the landing zone (default: LANDING_ZONE, or raw in the project's root)"
    )
    parser.add_argument(
        "--rules", type=Path, default=DEFAULT_RULES, metavar="FILE", help="the rules (default: data_gen/rules.yaml)"
    )
    return parser


def _settings() -> dict[str, str]:
    """The variables of the environment, or of `.env` where the environment has none. The stack need not run."""
    found: dict[str, str] = {}
    dotenv = ROOT / ".env"
    if dotenv.exists():
        from saas_analytics.settings import SettingsError, read_dotenv  # costs a moment: only where there is a file

        try:
            found.update(read_dotenv(dotenv))
        except SettingsError as error:
            raise UsageError(str(error)) from error
    found.update({name: os.environ[name] for name in VARIABLES if os.environ.get(name)})
    return found


def _as_seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"COMPANY_SEED must be a whole number, not {text!r}") from None


def _as_day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name} must be a day as YYYY-MM-DD, not {text!r}") from None


def _make(request: Request) -> None:
    if sys.stdout.isatty():
        _make_with_bar(request)
        return
    for day in request.days:
        for file in write_day(request.company, day, request.out):
            print(f"{file.source:<14} {day}  {file.rows:>10,} rows  {file.bytes:>13,} bytes  {file.path}", flush=True)
        _say_if_empty(request, day)


def _make_with_bar(request: Request) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
            bar.update(task, advance=1, description=f"generate {day}", made=f"{rows:,} rows, {size / 1e6:,.1f} MB")
    for day in request.days:
        _say_if_empty(request, day)


def _say_if_empty(request: Request, day: date) -> None:
    founded = request.company.rules.company.founded
    if day < founded:
        print(f"generate: {day} lies before the founding on {founded}: its files are valid and empty.", file=sys.stderr)


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    sys.exit(main())
