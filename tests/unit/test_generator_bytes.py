"""Law 4: the bytes of a day are a function of (rules, scale, seed, day) and of nothing else."""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_gen.company.company import Company, exact_scale
from data_gen.company.making import write_day
from data_gen.company.rules import load_rules
from tests.waiting import patience

ROOT = Path(__file__).resolve().parents[2]
FOUNDED = date(2026, 1, 1)
DAYS = [FOUNDED + timedelta(days=n) for n in (0, 1, 9, 47, 48, 49, 200)]
SCALE = "0.3"


def company(scale: str = SCALE, seed: int = 42, founded: date = FOUNDED) -> Company:
    return Company(load_rules().founded_on(founded), seed, exact_scale(scale))


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*.*"))
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All days in order, by one company in one process."""
    out = tmp_path_factory.mktemp("in_order")
    one = company()
    for day in DAYS:
        write_day(one, day, out)
    found = digests(out)
    assert len(found) >= (2 * 14 + 1) * len(DAYS)  # each with its manifest, and the ground truth
    return found


def test_days_in_random_order_and_again(expected: dict[str, str], tmp_path: Path) -> None:
    one = company()
    days = [*DAYS, DAYS[2]]
    random.Random(7).shuffle(days)
    for day in days:
        write_day(one, day, tmp_path)
    assert digests(tmp_path) == expected


@pytest.mark.parametrize("chunk_rows", [37, 1000, 1 << 20])
def test_chunk_size(expected: dict[str, str], tmp_path: Path, chunk_rows: int) -> None:
    days = DAYS[-2:]
    for day in days:
        write_day(company(), day, tmp_path, chunk_rows)
    wanted = {
        name: digest
        for name, digest in expected.items()
        if any(day.isoformat() in name for day in days)
    }
    assert digests(tmp_path) == wanted


def test_row_groups_do_not_depend_on_chunks(tmp_path: Path) -> None:
    """The row groups of a Parquet file have the same rows for every size of chunks."""
    rules = load_rules().founded_on(FOUNDED)
    for name, chunk_rows in (("small", 20_000), ("large", 1 << 20)):
        write_day(Company(rules, 42, exact_scale("120")), FOUNDED, tmp_path / name, chunk_rows)
    items = next((tmp_path / "small" / "order_items").rglob("*.parquet"))
    assert (
        pq.ParquetFile(items).num_row_groups == 1 + (pq.read_metadata(items).num_rows - 1) // 65_536
    )
    assert digests(tmp_path / "small") == digests(tmp_path / "large")


def fresh_process(out: Path, days: list[date], **variables: str) -> None:
    """Makes each day by the command line in a process of its own."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("COMPANY_", "LANDING_"))
    }
    environment |= {"COMPANY_FOUNDED": FOUNDED.isoformat(), **variables}
    for day in days:
        command = [sys.executable, "data_gen/generate.py", "--day", day.isoformat()]
        command += ["--scale", SCALE, "--seed", "42", "--out", str(out)]
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=patience(60),
        )


def test_fresh_processes_with_other_thread_counts(expected: dict[str, str], tmp_path: Path) -> None:
    for threads in ("1", "2"):
        out = tmp_path / threads
        days = [DAYS[-1], DAYS[0]]
        fresh_process(
            out, days, POLARS_MAX_THREADS=threads, OMP_NUM_THREADS=threads, ARROW_IO_THREADS=threads
        )
        wanted = {
            name: digest
            for name, digest in expected.items()
            if any(day.isoformat() in name for day in days)
        }
        assert digests(out) == wanted


def test_processor_without_its_features(expected: dict[str, str], tmp_path: Path) -> None:
    core = importlib.import_module(
        "numpy._core._multiarray_umath"
    )  # numpy has no public name for this
    features = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    if not features:
        pytest.skip("numpy uses no features of this processor that could be switched off")
    day = DAYS[-1]
    fresh_process(
        tmp_path,
        [day],
        NPY_DISABLE_CPU_FEATURES=",".join(features),
        ARROW_USER_SIMD_LEVEL="NONE",
        PYTHONHASHSEED="1",
    )
    wanted = {name: digest for name, digest in expected.items() if day.isoformat() in name}
    assert digests(tmp_path) == wanted


@pytest.mark.parametrize(
    "other",
    [company(seed=43), company(scale="0.31"), company(founded=FOUNDED - timedelta(days=1))],
    ids=["seed", "scale", "founded"],
)
def test_what_the_bytes_do_depend_on(
    expected: dict[str, str], tmp_path: Path, other: Company
) -> None:
    day = DAYS[3]
    write_day(other, day, tmp_path)
    changed = {name for name, digest in digests(tmp_path).items() if digest != expected[name]}
    assert {name.split("/")[0] for name in changed} >= {
        "events",
        "users",
        "orders",
        "order_items",
        "payments",
    }


def test_no_float_is_in_the_columns() -> None:
    """All draws are integers: the last bit of a float may differ between processors."""
    one = company()
    for part in (
        one.hours.edges,
        one.rules.sessions.gap_ms.edges,
        one.growth.totals(one.founded + 50),
    ):
        assert part.dtype == np.int64
