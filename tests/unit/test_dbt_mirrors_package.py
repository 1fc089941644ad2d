"""The package dbt_mirrors without this project: its imports, its wheel, its README."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from saas_analytics.settings import PROJECT_ROOT
from tests.waiting import patience

PACKAGE = PROJECT_ROOT / "airflow/plugins/dbt_mirrors"
MODULES = sorted(PACKAGE.glob("*.py"))
# The modules of this project that are on the path of its tests and DAG files.
OURS = {
    "data_gen",
    "dbt_nodes_page",
    "deadlines",
    "infrastructure",
    "saas_analytics",
    "tests",
    "warehouse_tasks",
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_no_module_imports_this_project(module: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert not imported & OURS
    third_party = imported - sys.stdlib_module_names - {"dbt_mirrors"}
    assert third_party <= {"airflow", "asgiref"}, "pyproject.toml of the package does not name it"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel. Its build back end runs in this process, without pip or a package index."""
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(PACKAGE)).build(directory=str(folder), versions=["standard"])
    return Path(built)


def test_the_wheel_holds_the_modules_and_says_what_it_needs(wheel: Path) -> None:
    assert wheel.name == "dbt_mirrors-0.1.0-py3-none-any.whl"
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read("dbt_mirrors-0.1.0.dist-info/METADATA").decode()
    code = {name for name in names if ".dist-info/" not in name}
    assert code == {f"dbt_mirrors/{module.name}" for module in MODULES}
    assert "dbt_mirrors-0.1.0.dist-info/licenses/LICENSE" in names
    needed = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    assert needed == ["apache-airflow>=3.3.2", "asgiref"]
    assert "\nLicense-Expression: MIT\n" in metadata


# What another project does: it reads its DAG file before dbt has parsed the project, and after.
SHOP = """
import importlib, importlib.util, json, sys

path, ours = map(json.loads, sys.argv[1:])
sys.path[:0] = path
import dbt_mirrors, shop

before = sorted(shop.build.dag.task_ids)
shop.build.invoke({}, ["--quiet", "parse"], [])
importlib.reload(shop)
listed = shop.build.invoke({}, ["--quiet", "ls", "--output", "name"], [])
ends = []
# Compiling needs no database, and reports its nodes like a build.
compiled = shop.build.invoke({}, ["--quiet", "--no-populate-cache", "compile"], [ends.append])
print(json.dumps({
    "file": dbt_mirrors.__file__,
    "ours": [name for name in ours if importlib.util.find_spec(name)],
    "before": before,
    "after": sorted(shop.build.dag.task_ids),
    "upstream": sorted(shop.build.dag.get_task("marts.report").upstream_task_ids),
    "listed": sorted(listed.lines),
    "ends": sorted((end.node, end.status) for end in ends),
    "nodes": sorted((end.node, end.status) for end in compiled.nodes),
    "success": compiled.success,
}))
"""
PROFILE = """
shop:
  target: shop
  outputs:
    shop: {type: postgres, host: 127.0.0.1, port: 1, user: none, password: none,
           dbname: none, schema: public}
"""


def test_another_project_can_use_the_wheel_as_its_readme_says(wheel: Path, tmp_path: Path) -> None:
    """In a Python that sees the wheel, the libraries and the shop, but not this project."""
    shop, unpacked = tmp_path / "shop", tmp_path / "unpacked"
    with ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    (shop / "models/marts").mkdir(parents=True)
    (shop / "dbt_project.yml").write_text("{name: shop, profile: shop, version: '1.0'}")
    (shop / "profiles.yml").write_text(PROFILE)
    (shop / "models/sales.sql").write_text("select 1 as n")
    (shop / "models/marts/report.sql").write_text("select n from {{ ref('sales') }}")
    dag, build = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    for name, code in (("shop", dag), ("shop_build", build)):
        (tmp_path / f"{name}.py").write_text(code.replace("/srv/shop", str(shop)))

    path = [str(tmp_path), str(unpacked), sysconfig.get_path("purelib")]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("DBT_")},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "DBT_PROFILES_DIR": str(shop),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHON_DOTENV_DISABLED": "1",
    }
    # -I and -S: neither the working directory nor the .pth files of the environment, which name
    # this project.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SHOP, json.dumps(path), json.dumps(sorted(OURS))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience(240),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["file"] == str(unpacked / "dbt_mirrors/__init__.py")
    assert found["ours"] == []
    assert "the models are not shown" in done.stderr
    assert found["before"] == ["dbt_build"]
    assert found["after"] == ["dbt_build", "marts.report", "sales"]
    assert found["upstream"] == ["sales"]
    assert found["listed"] == ["report", "sales"]
    ends = [["model.shop.report", "success"], ["model.shop.sales", "success"]]
    assert (found["ends"], found["nodes"], found["success"]) == (ends, ends, True)
