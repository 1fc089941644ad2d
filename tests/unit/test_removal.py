"""`make clean` removes what the project created, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from saas_analytics.layout import Layout
from saas_analytics.stack.dotenv import ensure_dotenv
from saas_analytics.stack.removal import describe, plan_removal


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with data in its default places."""
    for name in ("LANDING_ZONE", "SYNTHETIC_COMPANY"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "project"
    root.mkdir()
    ensure_dotenv(root)
    for folder in (".local/logs", "dbt/target", "site", "incoming/shop"):
        (root / folder).mkdir(parents=True)
    day(root / "raw")
    return root


def day(zone: Path) -> Path:
    """A day of the landing zone `zone`, next to something that is not of the zone."""
    file = zone / "users/dt=2026-01-05/users.csv"
    file.parent.mkdir(parents=True)
    file.write_text("user_id,updated_at\n")
    (zone / "notes").mkdir()
    return file


def test_the_projects_own_data_are_removed(root: Path) -> None:
    removal = plan_removal(Layout(root))
    places = (".local", "dbt/target", "site", "raw/users")
    assert set(removal.paths) == {root / place for place in places}
    assert removal.kept == ()
    assert describe(root / "raw/users") == f"{root / 'raw/users'} (1 file, 0.0 MB)"


@pytest.mark.parametrize("own_files", [False, True])
@pytest.mark.parametrize("is_link", [False, True])
def test_a_landing_zone_outside_the_project_stays(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_files: bool, is_link: bool
) -> None:
    elsewhere = tmp_path / "team/zone"
    day(elsewhere)
    if is_link:
        monkeypatch.setenv("LANDING_ZONE", "linked")
        (root / "linked").symlink_to(elsewhere)
    else:
        monkeypatch.setenv("LANDING_ZONE", str(elsewhere))
    removal = plan_removal(Layout(root), own_files=own_files)
    assert not [path for path in removal.paths if path.resolve().is_relative_to(elsewhere)]
    (kept,) = removal.kept
    assert "users (1 file" in kept and "outside this project" in kept


def test_own_files_stay_without_a_second_word(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHETIC_COMPANY", "off")
    removal = plan_removal(Layout(root))
    assert root / "raw/users" not in removal.paths
    (kept,) = removal.kept
    assert "users (1 file" in kept and "--own-files" in kept
    assert root / "raw/users" in plan_removal(Layout(root), own_files=True).paths


def test_backups_stay(root: Path) -> None:
    dump = root / ".local/backup/analytics.dump"
    dump.parent.mkdir()
    dump.write_bytes(b"x")
    removal = plan_removal(Layout(root))
    assert root / ".local/logs" in removal.paths
    assert not [path for path in removal.paths if dump.is_relative_to(path)]
    assert "backup (1 file" in removal.kept[0]


def test_without_readable_settings_no_landing_zone_is_removed(root: Path) -> None:
    (root / ".env").write_text("LANDING_ZONE\n")
    removal = plan_removal(Layout(root))
    assert root / ".local" in removal.paths and root / "raw/users" not in removal.paths
    assert "its place is not known" in removal.kept[0]
