"""The commands for work on the project itself: tests, checkers, benchmarks.

They need a checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated

import typer

from saas_analytics.cli.application import DEVELOPMENT, command
from saas_analytics.errors import UsageError

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
# The tests that need at most one PostgreSQL.
_QUICK = ("tests/unit", "tests/integration", "--ignore=tests/integration/test_local_stack.py")
_PARALLEL = ("--numprocesses", "logical", "--maxprocesses", "4", "--no-loadscope-reorder")


@command("test", DEVELOPMENT, context_settings=_PASS_ON)
def test(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only tests that need at most one PostgreSQL.")
    ] = False,
    long: Annotated[bool, typer.Option("--long", help="The nightly tests too, for hours.")] = False,
    compose: Annotated[
        bool, typer.Option("--compose", help="The stack in containers; needs a Docker engine.")
    ] = False,
    dashboards: Annotated[
        bool, typer.Option("--dashboards", help="The dashboards, on a Superset of their own.")
    ] = False,
) -> int:
    """Run the tests of a commit; other arguments go to pytest."""
    if compose:
        return _run("-m", "pytest", "tests/compose", *context.args, COMPOSE="1")
    if dashboards:
        return _run("-m", "pytest", "tests/superset", *context.args, DASHBOARDS="1")
    environment = {"LONG": "1"} if long else {}
    places = _QUICK if quick else ()
    return _run("-m", "pytest", *_PARALLEL, *places, *context.args, **environment)


@command("lint", DEVELOPMENT)
def lint(
    checkers: Annotated[
        list[str] | None, typer.Argument(metavar="WORD...", help="Only checkers with these names.")
    ] = None,
) -> int:
    """Run all checkers."""
    return subprocess.run(["bash", ".ci/lint", *(checkers or [])], cwd=_checkout()).returncode


@command("bench", DEVELOPMENT, context_settings=_PASS_ON)
def bench(context: typer.Context) -> int:
    """Measure the stack; arguments name the benchmarks."""
    _set_up("--group", "bench")  # packages for the comparison only
    try:
        return _run("-m", "tests.bench", *context.args)
    finally:
        _set_up()


def _run(*arguments: str, **environment: str) -> int:
    return subprocess.run(
        [sys.executable, *arguments], cwd=_checkout(), env={**os.environ, **environment}
    ).returncode


def _set_up(*options: str) -> None:
    subprocess.run(["sh", "infrastructure/setup.sh", ".", *options], cwd=_checkout(), check=True)


def _checkout() -> str:
    from saas_analytics.settings import PROJECT_ROOT

    if not (PROJECT_ROOT / "tests").is_dir():
        raise UsageError(f"{PROJECT_ROOT} has no tests: run this in a checkout of the project.")
    return str(PROJECT_ROOT)
