"""The memory of landing does not grow with the file: under 120 MB for each format.

Of these, the process's own memory has a bound for each format. The rest is mapped code, which
processes share, such as that of Arrow; the kernel decides how much of it is resident.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saas_analytics.contracts import load_contract
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.integration.landing_help import DAY, deliver
from tests.waiting import patience

# Runs land.py, and prints its memory at the end: the peak, and what of it is mapped from files. The
# rusage of a child would include pytest.
MEASURED = """
import atexit, runpy, sys
def report():
    print(open("/proc/self/status").read(), file=sys.stderr)
atexit.register(report)
runpy.run_path("data_gen/land.py", run_name="__main__")
"""


def csv() -> bytes:
    rows = [f"u{number},2026-01-05T10:00:00Z,{number:0100d}".encode() for number in range(200_000)]
    rows[100_000] = b'"' + rows[100_000]
    return b"\n".join([b"user_id,updated_at,full_name", *rows])


def events() -> list[bytes]:
    filler = "x" * 200
    return [
        json.dumps({"event_id": f"e{number}", "properties": {"x": filler}}).encode()
        for number in range(100_000)
    ]


def parquet() -> bytes:
    """One row group of large pages, which Arrow would read at once, or a page of each column."""
    names = load_contract("orders").column_names
    stream = pa.BufferOutputStream()
    table = pa.table({name: [os.urandom(10).hex() for _ in range(150_000)] for name in names})
    pq.write_table(table, stream, row_group_size=len(table), data_page_size=4_000_000)
    return bytes(stream.getvalue())


BOUND = 120  # MB
# How a file is made, and the bound of the process's own memory in MB.
FILES = {
    "users.csv": (csv, 65),
    "users.csv.gz": (lambda: gzip.compress(csv(), 1), 65),
    "events.jsonl": (lambda: b"\n".join([*events(), b"{broken"]), 57),
    "events.json": (lambda: b"[" + b",".join(events()) + b"]", 32),
    "orders.parquet": (parquet, 50),
}


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak memory of a process is read from /proc"
)
@pytest.mark.parametrize("name", FILES)
def test_the_memory_that_landing_takes(warehouse: Settings, name: str) -> None:
    make, bound = FILES[name]
    path = deliver(warehouse, name, make())
    assert path.stat().st_size > 20_000_000 or name.endswith(".gz")

    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "--day", str(DAY)],
        cwd=PROJECT_ROOT,
        env={**os.environ, **warehouse.environment()},
        capture_output=True,
        text=True,
        timeout=patience(300),
    )

    assert done.returncode == 0, done.stderr
    peak, mapped = (
        int(done.stderr.partition(f"{name}:")[2].split()[0]) / 1024 for name in ("VmHWM", "RssFile")
    )
    assert peak < BOUND, f"{peak:.0f} MB"
    assert peak - mapped < bound, f"{peak:.0f} MB, {mapped:.0f} of them mapped from files"
