"""The stack in containers, of a copy of this project with a small company: built, up, and removed with its data."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from infrastructure.containers.compose import engine_answers
from infrastructure.settings import PROJECT_ROOT, read_dotenv
from tests.conftest import Stack, copy_of_project
from tests.warehouse.conftest import build  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def _images() -> None:
    """The two images that the stack's own is made from: here, or to be had."""
    if not engine_answers():
        pytest.skip("no Docker engine answers, or Compose is not installed")
    template = read_dotenv(PROJECT_ROOT / ".env.template")
    for key in ("PYTHON_IMAGE", "POSTGRES_IMAGE"):
        image = os.environ.get(key) or template[key]
        there = subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0
        if not there and subprocess.run(["docker", "pull", "--quiet", image], capture_output=True).returncode:
            pytest.skip(f"the image {image} is not here, and no registry gives it")


@pytest.fixture(scope="session")
def containers(_images: None) -> Iterator[Stack]:
    """A stack whose containers are up and healthy, those of the dashboards too."""
    with copy_of_project("docker") as stack:
        try:
            stack.local("dashboards")
            yield stack
        finally:
            stack.local("clean", "--yes", check=False)
