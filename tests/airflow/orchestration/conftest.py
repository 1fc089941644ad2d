"""Tests of what Airflow does with a dbt project, which need no particular project: theirs has nine small models.

They are those that the pipeline's other tasks and the tests themselves ask for. tests/airflow has the tests of what the
real project gives in Airflow.
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
    """Put the small models in the place of those of the copy's dbt project, whose macros and settings stay."""
    dbt = root / "dbt"
    kept = {name: (dbt / "models" / name).read_text() for name in KEPT}
    for folder in ("models", "seeds"):
        shutil.rmtree(dbt / folder)
    shutil.copytree(MODELS, dbt / "models")
    for test in (dbt / "tests").glob("*.sql"):  # the generic ones stay: what raw holds is tested by them
        test.unlink()
    for name, text in kept.items():
        (dbt / "models" / name).write_text(text)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack of the small project that is up."""
    with new_stack(use_small_project) as stack:
        yield stack
