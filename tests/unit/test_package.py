"""The wheel: everything the command needs is in it, and works outside of a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from saas_analytics.settings import PROJECT_ROOT
from tests.waiting import patience


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", place],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stderr
    (made,) = place.glob("*.whl")
    return made


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "saas_analytics", "data_gen"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        assert set(listed) <= set(archive.namelist())


def test_the_command_works_in_an_environment_with_the_wheel_alone(
    wheel: Path, tmp_path: Path
) -> None:
    """The packages that it depends on are those of this environment."""
    venv.create(tmp_path / "venv", with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(tmp_path / "venv")}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    others = Path(sysconfig.get_path("purelib"))
    (site / "dependencies.pth").write_text(f"{others}\n")
    environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    script = (
        "import sys, saas_analytics; from saas_analytics.cli import main;"
        "assert 'venv' in saas_analytics.__file__, saas_analytics.__file__;"
        "from saas_analytics.contracts import SOURCES; assert len(SOURCES) == 14, SOURCES;"
        "import saas_analytics.quality.rendering;"  # finds the templates of pages
        "sys.exit(main(['--help']))"
    )
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stderr
    assert "dbt-build" in done.stdout
