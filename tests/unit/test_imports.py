"""The contracts of import-linter in pyproject.toml, tried on copies with a wrong import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saas_analytics.settings import PROJECT_ROOT

LAYERS = "A package imports only from the layers below it"
PRODUCT = "Only the command line imports the synthetic company"
CIRCLES = "No two siblings import each other"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("saas_analytics", "data_gen"):
        shutil.copytree(
            PROJECT_ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy2(PROJECT_ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of `.ci/lint` in the copy, whose packages come before the installed ones."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_the_project_keeps_every_contract(project: Path) -> None:
    done = lint(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 3 kept, 0 broken." in done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "broken", "named"),
    [
        pytest.param(
            "landing/files.py",
            "from saas_analytics.pipeline import transform",
            LAYERS,
            "saas_analytics.landing.files -> saas_analytics.pipeline.transform",
            id="a layer imports a higher one",
        ),
        pytest.param(
            "stack/ports.py",
            "def later():\n    from saas_analytics.cli import application",
            LAYERS,
            "saas_analytics.stack.ports -> saas_analytics.cli.application",
            id="a layer imports a higher one, inside a function",
        ),
        pytest.param(
            "unlisted.py", "", LAYERS, "unlisted", id="a new module without a place in the layers"
        ),
        pytest.param(
            "console.py",
            "from saas_analytics import layout",
            LAYERS,
            "saas_analytics.console -> saas_analytics.layout",
            id="modules of one layer import each other",
        ),
        pytest.param(
            "stack/demo.py",
            "from data_gen import rules",
            PRODUCT,
            "saas_analytics.stack.demo -> data_gen",
            id="the stack imports the synthetic company",
        ),
        pytest.param(
            "quality/alerts.py",
            "import warehouse_tasks",
            PRODUCT,
            "saas_analytics.quality.alerts -> warehouse_tasks",
            id="the product imports a plugin of Airflow",
        ),
        pytest.param(
            "stack/addresses.py",
            "from saas_analytics.stack import ports",
            CIRCLES,
            "saas_analytics.stack",
            id="a circle in a package",
        ),
    ],
)
def test_a_wrong_import_breaks_its_contract(
    project: Path, module: str, statement: str, broken: str, named: str
) -> None:
    path = project / "saas_analytics" / module
    text = path.read_text() if path.exists() else ""
    path.write_text(f"{text}\n{statement}\n")

    done = lint(project)

    assert done.returncode == 1, done.stdout + done.stderr
    reported = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(broken) for line in reported), done.stdout
    assert named in done.stdout
