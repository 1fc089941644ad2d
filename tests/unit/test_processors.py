"""The number of processors that landing uses, on a host and in a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saas_analytics.landing.execution import usable_processors

HOST = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("50000 100000", 1),
        ("100001 100000", min(2, HOST)),
        ("max 100000", HOST),
        (f"{HOST * 400000} 100000", HOST),
        ("", HOST),
    ],
)
def test_the_quota_of_a_container_limits_the_processors(
    tmp_path: Path, quota: str, expected: int
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert usable_processors(file) == expected


def test_without_control_groups_the_processors_of_the_host_count(tmp_path: Path) -> None:
    assert usable_processors(tmp_path / "cpu.max") == HOST
