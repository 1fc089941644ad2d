"""kill -9 at random times: after a second run the result is that of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from saas_analytics.contracts import load_contract
from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.integration.landing_help import DAY, LONG, MAPPINGS, command, deliver, put, state

KILLS = 50 if LONG else 4


def deliver_all(settings: Settings, inbox: Path, version: int) -> Path:
    """Deliver a day of three sources and an external file, with other bytes for each version."""
    lines = [
        json.dumps(
            {
                "event_id": f"e{number}",
                "version": version,
                "event_timestamp": f"2026-01-0{version}T10:00:00Z",
            }
        )
        for number in range(30_000)
    ]
    deliver(settings, "events.jsonl", "\n".join([*lines, "{broken"]).encode())
    users = [f"u{number},2026-01-0{version}T08:00:00Z,{'x' * 50}" for number in range(20_000)]
    deliver(
        settings, "users.csv", "\n".join(["user_id,updated_at,email", *users, "short"]).encode()
    )
    table = pa.table(
        {
            name: [f"{name} {version}"] * 5_000
            for name in load_contract("orders").column_names
            if name != "status"
        }
    )
    pq.write_table(table, deliver(settings, "orders.parquet", b""))
    activity = [
        {
            "user_id": f"v{version}",
            "action_type": "x",
            "timestamp": f"2026-01-0{version}",
            "n": number,
        }
        for number in range(3_000)
    ]
    return put(inbox, "activity.json", json.dumps([*activity, 5]).encode())


def test_killed_at_random_times_and_run_again_ends_as_if_undisturbed(
    new_warehouse: Callable[[], Settings], tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    mapping = ("--mapping", MAPPINGS / "user_activity.yaml", "--day", DAY, inbox / "activity.json")
    commands = {"zone": ("--day", DAY), "file": mapping}
    seconds, undisturbed = {}, {}
    for version in (1, 2):
        settings = new_warehouse()
        deliver_all(settings, inbox, version)
        for name, arguments in commands.items():
            started = time.monotonic()
            assert command(settings, *arguments).returncode == 0
            seconds[name] = time.monotonic() - started
        undisturbed[version] = state(settings)
        (inbox / "processed/error_records.json").unlink()
    assert undisturbed[1] != undisturbed[2]

    settings = new_warehouse()
    chance = random.Random()
    for number in range(KILLS):
        version = 1 + number % 2
        deliver_all(settings, inbox, version)
        name = chance.choice(sorted(commands))
        after = chance.uniform(0.25, 1.0) * seconds[name]
        _kill(settings, commands[name], after)

        for one, arguments in commands.items():
            # Without the file: the process was killed after the move, and had finished.
            if one == "zone" or (inbox / "activity.json").exists():
                assert command(settings, *arguments).returncode == 0, (
                    f"{name} killed after {after:.3f} s"
                )

        assert state(settings) == undisturbed[version], f"{name} killed after {after:.3f} s"
        records = json.loads((inbox / "processed/error_records.json").read_text())
        assert [(entry["file"], entry["reason"]) for entry in records] == [
            ("activity.json", "not_an_object")
        ]
        assert not (inbox / "activity.json").exists()


def _kill(settings: Settings, arguments: tuple[object, ...], after: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "data_gen/land.py", *map(str, arguments)],
        cwd=PROJECT_ROOT,
        env={**os.environ, **settings.environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    threading.Event().wait(after)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
