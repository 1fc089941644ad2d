"""The command `analytics`: its commands, their help, the targets of make, and exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from data_gen import land
from saas_analytics import cli
from saas_analytics.cli import app
from saas_analytics.console import print_table
from saas_analytics.errors import AnalyticsError, UsageError
from saas_analytics.settings import PROJECT_ROOT, SettingsError

MAKEFILE = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
# Make's own, and tests by what they need, which are options of `analytics test`.
OF_MAKE_ALONE = {"help", "check", "test-long", "test-compose", "test-dashboards"}
RECIPES = dict(re.findall(r"^([a-z-]+):.*## .*\n\t@(.*)$", MAKEFILE, flags=re.MULTILINE))


def test_every_make_target_is_one_line_that_calls_the_command_of_its_name() -> None:
    assert set(RECIPES) - OF_MAKE_ALONE <= set(COMMANDS)
    for target, recipe in RECIPES.items():
        if target != "help":
            name = "test" if target in OF_MAKE_ALONE else target
            assert re.search(rf"\$\(ANALYTICS\) {name}( |$)", recipe), target


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"analytics {name}" in said and len(said.splitlines()) > 6


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_lower_case(name: str) -> None:
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    options = [option for parameter in command.params for option in parameter.opts]
    assert [option for option in options if option.startswith("-") and not option.islower()] == []


def test_the_help_has_every_command_in_its_panel(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    panels = re.findall(r"╭─ ([\w ]+) ─", said)
    expected = ("The stack", "Data", "Models and pipeline", "Figures and quality", "Development")
    assert tuple(panels[1:]) == expected
    assert all(re.search(rf"│ {name} ", said) for name in COMMANDS)
    assert "--install-completion" in said


def test_a_shell_completes_commands() -> None:
    environment = {
        **os.environ,
        "_ANALYTICS_COMPLETE": "complete_bash",
        "COMP_WORDS": "analytics qual",
        "COMP_CWORD": "1",
    }
    command = [sys.executable, "-c", "import sys; from saas_analytics.cli import app; app()"]
    done = subprocess.run(
        [*command[:2], command[2].replace("app()", "app(prog_name='analytics')")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["quality-report"], done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ([], 2, "Usage: analytics"),
        (["lnad"], 2, "Did you mean 'land'?"),
        (["land", "--day", "01.02.2026"], 2, "'01.02.2026' is not a day like 2026-01-31"),
        (["land", "--days", "0", "--day", "2026-01-01"], 2, "0 is not in the range"),
        (["land", "some.csv"], 2, "a FILE needs --mapping"),
        (["land", "--mapping", "m.yaml"], 2, "--mapping needs at least one FILE"),
        (["land", "--mapping", "m.yaml", "--days", "2", "f"], 2, "are for the landing zone"),
        (["land", "--keep"], 2, "are for external files"),
        (["dbt"], 2, "which command of dbt?"),
        (["deploy", "dev", "--check"], 2, "--check is for production"),
        (["backfill", "--from", "2026-01-02", "--to", "2026-01-01"], 2, "is before the first"),
    ],
)
def test_wrong_usage_says_what_is_wrong(
    arguments: list[str], code: int, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments, here=True) == code
    out, err = capfd.readouterr()
    assert problem in " ".join((out + err).split()).replace(" │ │ ", " ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (AnalyticsError("no disk\nfree some"), 1, "error: no disk\nfree some\n"),
        (UsageError("no such day"), 2, "error: no such day\n"),
        (SettingsError("A=[b] is not a port"), 1, "error: A=[b] is not a port\n"),
        (
            KeyboardInterrupt(),
            130,
            "error: Interrupted. `analytics land` continues where it stopped",
        ),
    ],
)
def test_errors_are_messages_with_exit_codes(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("saas_analytics.settings.load_settings", fail)
    assert land.main(["--day", "2026-01-05"]) == code
    assert capsys.readouterr().err.startswith(said)


def test_the_day_is_yesterday_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def record(first: object, number: int, **options: object) -> None:
        asked.append((str(first), number))

    monkeypatch.setattr("data_gen.generate.generate", record)
    assert cli.main(["generate"], here=True) == 0
    assert cli.main(["generate", "--day", "2026-01-05", "--days", "3"], here=True) == 0
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert asked == [(str(yesterday), 1), ("2026-01-05", 3)]


@pytest.mark.parametrize("name", ["generate", "land", "dbt-build", "dbt-test"])
def test_what_works_on_data_runs_in_the_containers_where_the_stack_does(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def record(root: Path, command: list[str]) -> int:
        asked.append(command)
        return 7

    monkeypatch.setattr("saas_analytics.stack.containers.run", record)
    monkeypatch.setenv("STACK", "docker")
    assert cli.main([name]) == 7
    assert asked[0][:2] == ["analytics", name]
    if name == "land":
        external = ["land", "--mapping", "none.yaml", "none.csv"]
        monkeypatch.setenv("WAREHOUSE_PORT", "1")
        assert cli.main(external) == 1 and len(asked) == 1  # files of this machine land from it


def test_a_warehouse_is_named_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAREHOUSE_DB", "before")
    monkeypatch.setenv("WAREHOUSE_PORT", "1")
    assert cli.main(["kpis", "--warehouse", "Not_a_name"]) == 1
    assert "WAREHOUSE_DB=Not_a_name in the environment is not a name" in capsys.readouterr().err


def test_settings_are_listed_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAREHOUSE_LOADER_PASSWORD", "hunter2")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.example/hunter2")
    monkeypatch.setenv("COMPANY_SEED", "7")
    assert cli.main(["settings"]) == 0
    said = capsys.readouterr().out
    assert "hunter2" not in said
    assert re.search(r"WAREHOUSE_LOADER_PASSWORD +\(set\) +the environment", said)
    assert re.search(r"COMPANY_SEED +7 +the environment", said)
    assert re.search(r"SMTP_SECURITY +none ", said)


def test_columns_of_numbers_are_aligned_to_the_right_and_lines_stay_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"http://127.0.0.1/{'x' * 200}"
    print_table([("what", "value", "where"), ("a", "1,000", address), ("b", "7", "")], numeric=(1,))
    assert capsys.readouterr().out.splitlines() == [
        "what  value  where",
        f"a     1,000  {address}",
        "b         7",
    ]
