"""Law 1 for funnels that the project does not ship: every mode, repeated types, short windows, a seed that changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infrastructure.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, differences, keep_copies, land_days
from tests.warehouse.random_company import write_delivery
from tests.warehouse.test_exactness import HISTORIES, random_history

# funnel: mode, days, steps
FUNNELS = {
    "strict": ("strict", 30, ("signup", "login", "api_call")),
    "same_day": ("strict", 0, ("login", "export_run")),
    "strict_milestones": ("strict", 30, ("login", "activated", "api_call")),
    "repeated": ("ordered", 7, ("login", "export_run", "login", "login")),
    "any": ("any", 30, ("signup", "login", "export_run", "login")),
    "milestones": ("any", 45, ("activated", "trial_started", "subscription_paid")),
}


@pytest.mark.parametrize("seed", range(100, 100 + HISTORIES))
def test_funnels_of_every_mode_stay_exact(warehouse: Settings, build: Build, tmp_path: Path, seed: int) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT_ROOT / "dbt", project, ignore=shutil.ignore_patterns("target", "logs"))
    seed_file = project / "seeds" / "funnels.csv"
    select = ("--select", "+funnel_conversion")
    for number, batch in enumerate(random_history(seed)):
        if number == 1:
            seed_file.write_text(as_seed())
        for day, rows in batch:
            write_delivery(warehouse.landing_zone, day, rows)
            land_days(warehouse, day)
        build(warehouse, "run", *select, project=project)
    tables = keep_copies(warehouse)
    data_tests = ("--select", "funnel_conversion", "funnels", "--exclude-resource-type", "unit_test")
    build(warehouse, "test", *data_tests, project=project)
    build(warehouse, "run", "--full-refresh", *select, project=project)
    assert not differences(warehouse, tables)


def as_seed() -> str:
    lines = [
        f"{funnel},{number},{event_type},{days},{mode}"
        for funnel, (mode, days, steps) in FUNNELS.items()
        for number, event_type in enumerate(steps, 1)
    ]
    return "\n".join(["funnel_id,step_number,event_type,window_days,mode", *lines, ""])
