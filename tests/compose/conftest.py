"""The stack in containers of a copy of this project with a small company.

It is built, started, and removed with its data.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from saas_analytics.settings import PROJECT_ROOT, read_dotenv
from saas_analytics.stack.compose import engine_answers
from saas_analytics.stack.dotenv import set_value
from tests.conftest import Stack, copy_of_project
from tests.warehouse.conftest import build, dbt_output, parsed  # noqa: F401 - fixtures

# A team's mirror, from the environment, before the fixtures remove the developer's settings.
_BASE_IMAGES = {
    key: os.environ.get(key) or value
    for key, value in read_dotenv(PROJECT_ROOT / ".env.template").items()
    if key in ("PYTHON_IMAGE", "POSTGRES_IMAGE")
}


@pytest.fixture(scope="session")
def _images() -> None:
    """The two base images of the stack must be on this machine or in a registry."""
    if not engine_answers():
        pytest.fail(
            "no Docker engine answers, or Compose is not installed: start it, or skip these tests"
        )
    for image in _BASE_IMAGES.values():
        commands = (["docker", "image", "inspect", image], ["docker", "pull", "--quiet", image])
        if all(subprocess.run(command, capture_output=True).returncode for command in commands):
            pytest.fail(f"the image {image} is neither on this machine nor in a registry")


@pytest.fixture(scope="session")
def containers(_images: None) -> Iterator[Stack]:
    """A stack whose containers are up and healthy, including the dashboards."""
    with copy_of_project("docker") as stack:
        for key, image in _BASE_IMAGES.items():
            set_value(stack.root, key, image)
        # Compose would expand the dollars as variables.
        set_value(stack.root, "WAREHOUSE_OWNER_PASSWORD", f"a$HOME-$${secrets.token_urlsafe(16)}")
        try:
            stack.local("dashboards")
            yield stack
        finally:
            stack.local("clean", "--yes", check=False)
