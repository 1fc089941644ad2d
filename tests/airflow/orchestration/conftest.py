"""Tests of Airflow with a small dbt project, in place of the real one, which tests/airflow uses.

Its models are those that the pipeline's other tasks and the tests themselves need.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Stack, new_stack

MODELS = Path(__file__).with_name("models")
KEPT = ("groups.yml", "staging/_staging__sources.yml")  # of the real project's models


def use_small_project(root: Path) -> None:
    """Replace the models of the copy's dbt project by the small ones. Macros and settings stay."""
    dbt = root / "dbt"
    kept = {name: (dbt / "models" / name).read_text() for name in KEPT}
    for folder in ("models", "seeds"):
        shutil.rmtree(dbt / folder)
    shutil.copytree(MODELS, dbt / "models")
    # The generic tests stay, because the tests of raw use them.
    for test in (dbt / "tests").glob("*.sql"):
        test.unlink()
    for name, text in kept.items():
        (dbt / "models" / name).write_text(text)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A running stack of the small project."""
    with new_stack(use_small_project) as stack:
        yield stack
