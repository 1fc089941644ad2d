"""A manifest that disagrees stops its day with an error; a dry run reports and changes nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from saas_analytics.landing.errors import FileRefused
from saas_analytics.settings import Settings
from tests.integration.landing_help import DAY, MAPPINGS, command, deliver, land, put, query

USERS = b"user_id,updated_at\nu1,2026-01-05\nu2,2026-01-05\n"


def manifest(path: Path, **changes: Any) -> None:
    """A manifest of this one file, with some of it changed."""
    content = path.read_bytes()
    entry = {
        "name": path.name,
        "rows": content.count(b"\n") - 1,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    document = {"files": [{**entry, **changes}], "schema_version": "1.0.0", "rules_hash": "0" * 64}
    put(path.parent, "_manifest.json", json.dumps(document).encode())


def test_a_day_as_its_manifest_says_lands(warehouse: Settings) -> None:
    manifest(deliver(warehouse, "users.csv", USERS))

    assert land(warehouse, "users").counts.landed == 2
    assert land(warehouse, "users").status == "unchanged"


def test_a_record_that_is_rejected_counts_as_delivered(warehouse: Settings) -> None:
    manifest(deliver(warehouse, "users.csv", USERS + b"u3\n"))

    assert land(warehouse, "users").counts.rejected == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bytes": 90}, "says 90 bytes for users.csv, which has 47"),
        ({"sha256": "0" * 64}, "says sha256 0{64} for users.csv, which has [0-9a-f]{64}"),
        ({"rows": 3}, "says 3 rows for users.csv, which has 2"),
        (
            {"name": "users.2.csv"},
            "names users.2.csv, which does not exist: the delivery is not complete",
        ),
        ({"rows": "3"}, "is not a manifest .*rows is '3', which is not a whole number"),
    ],
)
def test_a_manifest_that_disagrees_leaves_the_day_as_it_was(
    warehouse: Settings, changes: dict[str, Any], message: str
) -> None:
    deliver(warehouse, "users.csv", USERS.replace(b"u2", b"u9"))
    land(warehouse, "users")
    path = deliver(warehouse, "users.csv", USERS)
    manifest(path, **changes)

    with pytest.raises(FileRefused, match=message):
        land(warehouse, "users")

    assert query(warehouse, "select user_id from raw.users order by 1") == [("u1",), ("u9",)]
    manifest(path)
    assert land(warehouse, "users").status == "replaced"


def test_files_and_manifest_must_be_the_same_set(warehouse: Settings) -> None:
    path = deliver(warehouse, "users.csv", USERS)
    manifest(path)
    deliver(warehouse, "users.2.csv", USERS)
    with pytest.raises(
        FileRefused, match=r"does not name users\.2\.csv, which is in the directory"
    ):
        land(warehouse, "users")

    path.unlink()
    path.with_name("users.2.csv").unlink()
    with pytest.raises(FileRefused, match=r"names users\.csv, which does not exist"):
        land(warehouse, "users")


def test_a_landed_file_that_a_new_manifest_contradicts_is_reported(warehouse: Settings) -> None:
    path = deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    manifest(path, sha256="0" * 64)

    with pytest.raises(FileRefused, match="says sha256"):
        land(warehouse, "users")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"files": 5}', b'{"files": [{}]}', b"[" * 10_000, b"\xff"]
)
def test_a_broken_manifest_is_one_error_and_the_other_sources_land(
    warehouse: Settings, content: bytes
) -> None:
    put(deliver(warehouse, "users.csv", USERS).parent, "_manifest.json", content)
    deliver(warehouse, "customers.csv", b"customer_id,updated_at\nc1,2026-01-05\n")

    done = command(warehouse, "--day", DAY)

    assert done.returncode == 1
    assert "_manifest.json is not a manifest" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert query(
        warehouse, "select (select count(*) from raw.users), (select count(*) from raw.customers)"
    ) == [(0, 1)]


EVERYTHING = """
select
    (select count(*) from pg_class where relnamespace = 'raw'::regnamespace),
    (select count(*) from raw.loads),
    (select count(*) from raw.drift),
    (select count(*) from raw.touched_days),
    (select count(*) from raw.rejects),
    (select array_agg(user_id order by user_id) from raw.users)
"""


def test_a_dry_run_of_the_zone_reports_and_changes_nothing(warehouse: Settings) -> None:
    deliver(warehouse, "users.csv", USERS)
    land(warehouse, "users")
    before = query(warehouse, EVERYTHING)
    deliver(warehouse, "users.csv", USERS + b"u3\n" + b"u4,2026-01-05\n")
    deliver(warehouse, "customers.csv", b"customer_id,updated_at,x\nc1,2026-01-05,1\n")
    deliver(warehouse, "products.csv", b"product_id\np1\n")

    dry_run = command(warehouse, "--day", DAY, "--dry-run")
    machine = json.loads(command(warehouse, "--day", DAY, "--dry-run", "--json").stdout)

    assert (
        "users 2026-01-05: would be replaced, 3 rows" in dry_run.stdout
        and "1 rejected" in dry_run.stdout
    )
    assert "customers 2026-01-05: would be landed, 1 rows" in dry_run.stdout
    assert "nothing has changed" in dry_run.stdout
    assert (
        dry_run.returncode == 1
        and "products.csv: the required column updated_at is missing" in dry_run.stdout
    )
    assert machine["total"] == {"read": 5, "landed": 4, "rejected": 1, "filtered": 0}
    assert query(warehouse, EVERYTHING) == before


def test_a_dry_run_of_a_file_reports_and_changes_nothing(
    warehouse: Settings, tmp_path: Path
) -> None:
    land(warehouse, "users")
    before = query(warehouse, EVERYTHING)
    file = put(
        tmp_path, "a.json", b'[{"user_id": "u1", "action_type": "x", "timestamp": "2026-01-05"}, 5]'
    )
    arguments = ("--mapping", MAPPINGS / "user_activity.yaml", "--day", DAY, file)

    dry_run = command(warehouse, "--dry-run", *arguments)

    assert dry_run.returncode == 0, dry_run.stderr
    assert "events 2026-01-05 a.json: would be landed, 1 rows" in dry_run.stdout
    assert query(warehouse, EVERYTHING) == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.json"]
    assert command(warehouse, *arguments).returncode == 0
    assert (
        "nothing to do"
        in command(warehouse, "--dry-run", *arguments[:-1], tmp_path / "processed/a.json").stdout
    )


def test_a_dry_run_creates_no_warehouse(postgres: Settings, tmp_path: Path) -> None:
    settings = replace(postgres, database="test_never_made", landing_zone=tmp_path)

    done = command(settings, "--day", DAY, "--dry-run")

    assert done.returncode == 1
    assert "A dry run needs a warehouse, and creates none" in done.stderr
    assert "Traceback" not in done.stderr
