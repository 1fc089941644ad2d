"""What `make clean` removes, and what it keeps: backups, and files that may be a team's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from saas_analytics.landing.zone import zone_directories
from saas_analytics.layout import Layout
from saas_analytics.settings import SettingsError, load_settings

# Where the runbook once put dumps of the warehouse.
_BACKUPS = "backup"


@dataclass(frozen=True, slots=True)
class Removal:
    """The paths to remove, and a sentence for each thing that stays although it was looked at."""

    paths: tuple[Path, ...]
    kept: tuple[str, ...]


def plan_removal(layout: Layout, *, own_files: bool = False) -> Removal:
    """The existing paths that the project created below its root.

    Nothing outside the project is removed. The landing zone stays if the synthetic company is off,
    because its files are then the team's own, unless `own_files`.
    """
    paths = [layout.postgres.resolve()] if layout.postgres.is_symlink() else []
    kept = []
    backups = layout.local / _BACKUPS
    if backups.is_dir():
        paths += [path for path in layout.local.iterdir() if path != backups]
        kept.append(f"{_with_size([backups])}: backups")
    else:
        paths.append(layout.local)
    paths += [layout.root / name for name in ("dbt/target", "dbt/logs", "site")]
    try:
        settings = load_settings(layout.root)
    except SettingsError as error:
        kept.append(f"the landing zone: its place is not known ({error})")
        return Removal(_existing(paths), tuple(kept))
    zone = zone_directories(settings.landing_zone)
    root = layout.root.resolve()
    outside = [path for path in zone if not path.resolve().is_relative_to(root)]
    if outside:
        kept.append(f"{_with_size(outside)}: outside this project, so remove it by hand")
    elif zone and not settings.synthetic_company and not own_files:
        kept.append(
            f"{_with_size(zone)}: your own files, because SYNTHETIC_COMPANY is off."
            " --own-files removes them, too"
        )
    else:
        paths += zone
    return Removal(_existing(paths), tuple(kept))


def describe(path: Path) -> str:
    """A path to remove, with the number and size of its files."""
    return _with_size([path])


def _existing(paths: list[Path]) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.exists())


def _with_size(paths: list[Path]) -> str:
    files = [file for path in paths for file in path.rglob("*") if file.is_file()]
    files += [path for path in paths if path.is_file()]
    size = sum(file.stat().st_size for file in files) / 1_000_000
    names = ", ".join(map(str, paths))
    return f"{names} ({len(files):,} file{'s' * (len(files) != 1)}, {size:,.1f} MB)"
