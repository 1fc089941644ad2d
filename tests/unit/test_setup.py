"""The script that creates the environment, with a uv that only records its arguments."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from saas_analytics.settings import PROJECT_ROOT

SCRIPT = "infrastructure/setup.sh"
UV = """#!/bin/sh
[ "$1" != --version ] || {{ echo uv {version}; exit; }}
echo "$@" > "{asked}"
mkdir -p .venv
"""


@pytest.mark.parametrize(("value", "compiled"), [("1", True), ("", False), (None, False)])
def test_modules_are_compiled_at_once_if_python_may_not_store_bytecode(
    tmp_path: Path, value: str | None, compiled: bool
) -> None:
    script, uv, asked = tmp_path / SCRIPT, tmp_path / "bin/uv", tmp_path / "asked"
    for folder in (script.parent, uv.parent):
        folder.mkdir(parents=True)
    shutil.copy(PROJECT_ROOT / SCRIPT, script)
    version = re.findall(r"^wanted=uv==(\S+)", script.read_text(), re.MULTILINE)[0]
    uv.write_text(UV.format(version=version, asked=asked))
    uv.chmod(0o755)
    environment = {
        key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
    }
    environment["PATH"] = f"{uv.parent}:{environment['PATH']}"
    if value is not None:
        environment["PYTHONDONTWRITEBYTECODE"] = value
    subprocess.run(
        ["sh", script, ".", "--group", "bench"], env=environment, check=True, capture_output=True
    )
    expected = "sync --frozen --project . --compile-bytecode --group bench"
    assert asked.read_text().strip() == (
        expected if compiled else expected.replace(" --compile-bytecode", "")
    )
