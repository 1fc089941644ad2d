"""The results of dbt's nodes, as the project reads them, and the environment of dbt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from saas_analytics.pipeline.dbt_process import NodeEnd, _of_result
from saas_analytics.settings import PROJECT_ROOT
from tests.waiting import patience


def result(**more: Any) -> SimpleNamespace:
    names = {"status": SimpleNamespace(value="success"), "message": None, "execution_time": 0.12345}
    return SimpleNamespace(**{**names, "adapter_response": {"rows_affected": -1}, **more})


def test_the_result_of_a_test_has_its_query_kind_and_column() -> None:
    node = SimpleNamespace(
        unique_id="test.shop.unique.1a",
        compiled_code="select 1",
        column_name="order_id",
        test_metadata=SimpleNamespace(name="unique"),
    )
    status = SimpleNamespace(value="fail")
    assert _of_result(result(node=node, status=status, message="Got 2", failures=2)) == NodeEnd(
        "test.shop.unique.1a", "fail", "Got 2", 0.123, None, 2, "select 1", "unique", "order_id"
    )


def test_what_run_operation_gives_has_an_id_and_no_node() -> None:
    given = result(
        unique_id="operation.shop.vacuum", status="success", adapter_response={"rows_affected": 3}
    )
    assert _of_result(given) == NodeEnd("operation.shop.vacuum", "success", "", 0.123, 3)


def test_what_stands_in_a_dotenv_stays_out_of_the_process_of_dbt(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NOT_FOR_MODELS=secret\n")
    code = (
        "import os; from saas_analytics.pipeline import dbt_process; dbt_process.load(); "
        "print(os.environ.get('NOT_FOR_MODELS'))"
    )
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHON_DOTENV_DISABLED"
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=patience(120),
    )
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
