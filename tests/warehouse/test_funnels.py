"""Funnels that the project does not ship: all modes, repeated types, short windows, a changed seed.

They equal a full refresh, and a computation in Python from the events of each user.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from saas_analytics.settings import PROJECT_ROOT, Settings
from tests.warehouse.conftest import Build, copy_of, differences, keep_copies, land_days
from tests.warehouse.random_company import Row, write_delivery
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


class Event(NamedTuple):
    at: datetime
    name: str
    type: str
    is_milestone: bool
    day: date


# A reached step: funnel, user, day and moment of entry, number, seconds since the previous step.
Step = tuple[str, str, date, datetime, int, float | None]


@pytest.mark.parametrize("seed", range(100, 100 + HISTORIES))
def test_funnels_of_every_mode_stay_exact(
    warehouse: Settings, build: Build, tmp_path: Path, seed: int
) -> None:
    project = copy_of(PROJECT_ROOT / "dbt", tmp_path / "dbt")
    seed_file = project / "seeds" / "funnels.csv"
    select = ("--select", "+funnel_conversion")
    dice = random.Random(seed)
    for number, batch in enumerate(random_history(seed)):
        if number == 1:
            seed_file.write_text(as_seed())
        for day, rows in batch:
            if number < 2 or "events" in rows:  # late rows of other sources land alone
                rows["events"] = [
                    *rows.get("events", []),
                    *crowd(dice, day, 20 if number < 2 else 1),
                    *walkers(day),
                ]
            write_delivery(warehouse.landing_zone, day, rows)
            land_days(warehouse, day)
        build(warehouse, "run", *select, project=project)
    with psycopg.connect(warehouse.dsn("owner")) as connection:
        found = set(steps_in(connection))
        walked = set(steps_walked(connection))
    assert {step[0] for step in found if step[4] > 1} >= {
        "strict",
        "strict_milestones",
        "repeated",
        "any",
    }
    assert sorted(found - walked) == sorted(walked - found) == []
    tables = keep_copies(warehouse)
    data_tests = (
        "--select",
        "funnel_conversion",
        "funnels",
        "--exclude-resource-type",
        "unit_test",
    )
    build(warehouse, "test", *data_tests, project=project)
    build(warehouse, "run", "--full-refresh", *select, project=project)
    assert not differences(warehouse, tables)


def crowd(dice: random.Random, day: date, size: int) -> list[Row]:
    """Events of a few users, mostly steps of funnels, often several at one moment."""
    types = sorted({step for _, _, steps in FUNNELS.values() for step in steps} | {"view_product"})
    return [
        event(
            f"u{dice.randrange(4)}",
            dice.choice(types),
            day,
            dice.choice((0, 9, 10, 23)),
            f"{dice.randrange(400)}",
        )
        for _ in range(size)
    ]


def walkers(day: date) -> list[Row]:
    """Events of users who complete a strict funnel, which hardly happens by chance."""
    straight = (("signup", 8), ("login", 9), ("api_call", 10))
    activated = (("login", 9), ("export_run", 10), ("api_call", 11))
    return [
        event(f"{name} {day}", event_type, day, hour)
        for name, walked in (("straight", straight), ("activated", activated))
        for event_type, hour in walked
    ]


def event(user: str, event_type: str, day: date, hour: int, name: str = "") -> Row:
    moment = f"{day}T{hour:02}:00:00Z"
    return {
        "event_id": name or f"{user} {moment}",
        "user_id": user,
        "event_type": event_type,
        "event_timestamp": moment,
    }


def as_seed() -> str:
    lines = [
        f"{funnel},{number},{event_type},{days},{mode}"
        for funnel, (mode, days, steps) in FUNNELS.items()
        for number, event_type in enumerate(steps, 1)
    ]
    return "\n".join(["funnel_id,step_number,event_type,window_days,mode", *lines, ""])


def steps_in(connection: psycopg.Connection) -> Iterator[Step]:
    columns = (
        "funnel_id, user_id, entry_date, entered_at, step_number, seconds_from_previous::float"
    )
    yield from connection.execute(f"select {columns} from core.int_funnel_entries")


def steps_walked(connection: psycopg.Connection) -> Iterator[Step]:
    columns = "user_id, event_timestamp, event_id, event_type, is_milestone, event_date"
    events: dict[str, list[Event]] = defaultdict(list)
    for user, *event in connection.execute(f"select {columns} from core.int_funnel_events"):
        events[user].append(Event(*event))
    for funnel, (mode, days, steps) in FUNNELS.items():
        for user, theirs in events.items():
            best: dict[date, tuple[int, datetime, str, list[datetime]]] = {}
            for start in theirs:
                if start.type == steps[0] or (mode == "any" and start.type in steps):
                    moments = walk(start, sorted(theirs), mode, timedelta(days=days), steps)
                    attempt = (-len(moments), start.at, start.name, moments)
                    best[start.day] = min(attempt, best.get(start.day, attempt))
            for day, (_, entered_at, _, moments) in best.items():
                seconds = [
                    None,
                    *((later - earlier).total_seconds() for earlier, later in pairwise(moments)),
                ]
                yield from (
                    (funnel, user, day, entered_at, n, since) for n, since in enumerate(seconds, 1)
                )


def walk(
    start: Event, events: Sequence[Event], mode: str, window: timedelta, steps: Sequence[str]
) -> list[datetime]:
    """The moments of the steps that an attempt reaches: docs/reference/metrics.md, decision 32."""
    later = [
        event for event in events if start.at <= event.at <= start.at + window and event != start
    ]
    if mode == "any":
        wanted = Counter(steps) - Counter([start.type])
        moments = [start.at]
        for event in later:
            if wanted[event.type]:
                wanted[event.type] -= 1
                moments.append(event.at)
        return moments
    reached = [start]
    for step in steps[1:]:
        last = reached[-1]
        ahead = [event for event in later if event.at >= last.at and event not in reached]
        for moment, at_once in groupby(ahead, key=lambda event: event.at):
            here = list(at_once)
            if hits := [event for event in here if event.type == step]:
                reached.append(min(hits, key=lambda event: (not event.is_milestone, event.name)))
                break
            came_between = moment > last.at or (last.at > start.at and not last.is_milestone)
            if mode == "strict" and came_between and not all(event.is_milestone for event in here):
                return [event.at for event in reached]
        else:
            break
    return [event.at for event in reached]
