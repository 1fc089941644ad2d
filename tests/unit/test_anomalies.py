"""The method that finds anomalies, on synthetic histories: faults to find, and normal days."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from data_gen.company.special_days import company_days
from data_gen.faults import KINDS, plan
from saas_analytics.quality.anomalies import WINDOW, judge
from saas_analytics.quality.daily_metrics import by_cause
from saas_analytics.quality.special_days import SpecialDay, special_days
from saas_analytics.settings import SettingsError, load_settings

DAY = date(2026, 3, 4)  # a Wednesday
WEEK = (1.0, 1.1, 1.1, 1.0, 0.9, 0.4, 0.3)


def rows(
    today: float, *, daily_growth: float = 0.01, level: float = 1000.0, noise: float = 0.05
) -> dict[date, float]:
    """Row counts with a weekly pattern, a trend and noise; that of DAY is multiplied by `today`."""
    draw = np.random.default_rng(7)
    days = [DAY - timedelta(days=back) for back in range(WINDOW, -1, -1)]
    values = {
        day: level
        * WEEK[day.weekday()]
        * (1 + daily_growth) ** after
        * float(np.exp(draw.normal(0, noise)))
        for after, day in enumerate(days)
    }
    values[DAY] *= today
    return values


def found(
    values: dict[date, float], metric: str = "rows.events", special: tuple[SpecialDay, ...] = ()
) -> list[str]:
    return [anomaly.reason for anomaly in judge({metric: values}, DAY, special)]


@pytest.mark.parametrize("today", [0.0, 0.5, 2.0, 100.0])
def test_a_day_that_is_unlike_its_history_is_found(today: float) -> None:
    (reason,) = found(rows(today))
    assert "rows of events" in reason and "on a Wednesday" in reason
    assert ("Nothing arrived" in reason) == (today == 0)
    assert ("unit may have changed" in reason) == (today == 100)


@pytest.mark.parametrize("growth", [-0.03, 0.0, 0.03])
def test_week_and_trend_are_expected(growth: float) -> None:
    values = rows(1, daily_growth=growth)
    assert found(values) == []
    (anomaly,) = judge({"rows.events": {**values, DAY: values[DAY] * 3}}, DAY)
    assert anomaly.expected == pytest.approx(values[DAY], rel=0.2)
    assert anomaly.lower < values[DAY] < anomaly.upper < anomaly.value


def test_faulty_days_in_the_history_do_not_change_what_is_expected() -> None:
    values = rows(1)
    for back in (1, 2, 3, 14, 25, 26):
        values[DAY - timedelta(days=back)] *= 100 if back == 14 else 0
    assert found(values) == []
    (anomaly,) = judge({"rows.events": {**values, DAY: values[DAY] / 3}}, DAY)
    assert anomaly.expected == pytest.approx(values[DAY], rel=0.05)


def test_a_known_holiday_is_expected_to_do_less_and_no_more_than_that() -> None:
    holiday = (SpecialDay(DAY, "holiday", 0.5),)
    assert len(found(rows(0.5))) == 1
    assert found(rows(0.5), special=holiday) == []
    assert found(rows(1), special=holiday) == []
    assert len(found(rows(0.1), special=holiday)) == 1
    assert len(found(rows(2), special=holiday)) == 1


def test_few_rows_alarm_only_where_they_are_not_left_to_chance() -> None:
    draw = np.random.default_rng(3)
    by_chance = {DAY - timedelta(days=back): float(draw.poisson(4)) for back in range(WINDOW + 1)}
    assert found({**by_chance, DAY: 0.0}) == []
    a_list = dict.fromkeys(by_chance, 4.0)
    assert len(found({**a_list, DAY: 0.0})) == 1
    assert len(found({**a_list, DAY: 8.0})) == 1
    assert found(a_list) == []


def test_a_share_is_held_to_the_number_of_its_rows() -> None:
    empty = {DAY - timedelta(days=back): 0.0 for back in range(WINDOW + 1)} | {DAY: 0.3}
    assert judge({"rows.users": {DAY: 7.0}, "empty.users.phone": empty}, DAY) == []
    (anomaly,) = judge({"rows.users": {DAY: 400.0}, "empty.users.phone": empty}, DAY)
    assert "without users.phone" in anomaly.reason


def test_without_enough_history_there_is_no_judgement() -> None:
    values = {day: value for day, value in rows(0).items() if (DAY - day).days < 20}
    assert found(values) == []


def test_a_kpi_follows_the_source_that_is_to_blame() -> None:
    metrics = ["kpi.gross_revenue", "rows.orders", "kpi.orders", "kpi.dau"]
    assert by_cause(metrics) == {
        "kpi.gross_revenue": "orders",
        "rows.orders": "orders",
        "kpi.orders": "orders",
        "kpi.dau": "events",
    }


def test_the_holidays_of_the_company_are_known() -> None:
    days = {
        special.day: special
        for special in company_days(date(2026, 12, 1), date(2026, 12, 24), date(2026, 12, 31))
    }
    assert set(days) == {date(2026, 12, 25), date(2026, 12, 26), date(2026, 12, 31)}
    assert (
        0.45
        <= days[date(2026, 12, 25)].share
        < days[date(2026, 12, 26)].share
        < 1
        < days[date(2026, 12, 31)].share
    )


def test_a_team_names_its_own_special_days(tmp_path: Path) -> None:
    settings = replace(
        load_settings(tmp_path, {"WAREHOUSE_PORT": "1"}),
        synthetic_company=False,
        special_days="days.csv",
    )
    file = tmp_path / "days.csv"
    with pytest.raises(SettingsError, match=r"SPECIAL_DAYS names .*days\.csv"):
        special_days(settings, DAY, DAY)
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([["day", "name", "share"], ["2026-03-04", "inventory", "0.2"]])
    assert special_days(settings, DAY, DAY) == [SpecialDay(DAY, "inventory", 0.2)]
    assert special_days(settings, DAY + timedelta(days=1), DAY + timedelta(days=9)) == []


def test_faults_are_planned_alike_for_a_seed_and_never_twice_on_a_file() -> None:
    faults = plan(DAY, 120, seed=5, every=2)
    assert faults == plan(DAY, 120, seed=5, every=2) != plan(DAY, 120, seed=6, every=2)
    assert {fault.kind for fault in faults} == set(KINDS)
    covered = [
        (f.source, f.first + timedelta(days=after)) for f in faults for after in range(f.days)
    ]
    assert len(covered) == len(set(covered))
