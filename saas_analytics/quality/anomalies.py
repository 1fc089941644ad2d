"""Finds the days on which a volume, a content or a KPI does not fit its history.

The anomalies are kept in quality.anomalies. `judge` tests each metric by itself:

1. Scale: the values of the 42 days before are transformed so that effects add up. Counts and
   amounts become logarithms, shares the arcsine of their square root. Special days, and days on
   which nothing landed at all, are skipped.
2. Trend: the median of the slopes between all pairs of days with the same weekday. This is Sen's
   slope, unaffected by the weekly pattern.
3. Weekday and level: the effect of a weekday is its median without the trend, shrunk towards 0 if
   it has few values. The level is the median of the last 21 days without trend and weekday effect.
   The expected value is the level plus the effect of the weekday.
4. Spread: the median absolute deviation (MAD) of the residuals, but at least the variation that
   chance alone gives a number of this size. That minimum does not apply if nearly all days are as
   expected, as for a list that always has four rows.
5. Score: the distance from the expected value, in spreads. On a special day, every value between
   the usual and the special one is expected. A day is anomalous if its score is 6 or more, up or
   down, and the difference matters: a quarter of the expected number, or six percentage points of
   a share and three rows.

Medians make the method robust. Some faulty days in the history hardly change the expected value,
and a permanent change becomes the expected value after two to three weeks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import psycopg

from saas_analytics.quality.alerts import open_causes, raise_alert, resolve_alert
from saas_analytics.quality.daily_metrics import by_cause, history, measure, newest_day, subject
from saas_analytics.quality.special_days import SpecialDay, special_days
from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect

Numbers = npt.NDArray[np.float64]
History = Mapping[str, Mapping[date, float]]  # metric: day: value

WINDOW = 42  # days of history that a day is compared with
HISTORY_DAYS = 2 * WINDOW  # the history of the first day that is judged again
ENOUGH = 21  # days of the window that must have a value
LIMIT = 6.0  # score of an anomaly
_LEVEL_DAYS = 21
_LEAST_CHANGE = math.log(1.25)  # of a count or an amount
_LEAST_SHARE = 0.06  # of a share, as a difference of shares ...
_LEAST_ROWS = 3  # ... and in rows
_STEADY = 0.85  # share of days as expected from which a metric counts as free of chance
_PER_MAD = 1.4826  # standard deviations per MAD of normally distributed values
_CAUSE = "anomaly in "
_LOCK = 7_222_021  # key of an advisory lock in the warehouse
_REMEMBERED = 7  # earlier days whose anomalies the message of a resolved source names


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A metric that does not fit its history on `day`.

    Values between `lower` and `upper` would not be anomalous. `score` is signed, in spreads.
    """

    day: date
    metric: str
    value: float
    expected: float
    lower: float
    upper: float
    score: float
    reason: str


def judge(history: History, day: date, special: Sequence[SpecialDay] = ()) -> list[Anomaly]:
    """The anomalies of `day`, worst first.

    `history` holds the values of the day and of the days before. Later days are ignored.
    """
    unusual = {one.day for one in special}
    before = [day - timedelta(days=back) for back in range(WINDOW, 0, -1)]
    found = []
    for metric, values in history.items():
        value = values.get(day, math.nan)
        past = np.array(
            [math.nan if one in unusual else values.get(one, math.nan) for one in before]
        )
        if math.isnan(value) or np.count_nonzero(~np.isnan(past)) < ENOUGH:
            continue
        rows = history.get(f"rows.{subject(metric)}", {}).get(day, 0.0)
        scale = _Share(rows) if metric.startswith("empty.") else _Log(metric, past)
        shares = [one.share for one in special if one.day == day]
        if anomaly := _judge_one(metric, day, value, past, scale, shares):
            found.append(anomaly)
    return sorted(found, key=lambda anomaly: -abs(anomaly.score))


class _Log:
    """The scale of counts and amounts: logarithmic, and linear near 0 for 0 and negatives."""

    least = 0.03  # the smallest spread

    def __init__(self, metric: str, past: Numbers) -> None:
        usual = float(np.nanmedian(np.abs(past)))
        self._is_count = not metric.startswith("size.") and "revenue" not in metric
        self._unit = 1.0 if self._is_count else max(usual / 100, 1e-9)

    def to(self, values: Numbers | float) -> Numbers:
        return np.asarray(np.sign(values) * np.log1p(np.abs(values) / self._unit))

    def back(self, value: float) -> float:
        return math.copysign(math.expm1(min(abs(value), 700)) * self._unit, value)

    def by_chance(self, expected: float) -> float:
        """The spread of a count of independent events: its square root, on this scale."""
        return 1 / math.sqrt(max(self.back(expected), 0) + 1) if self._is_count else 0.0

    def least_change(self, expected: float) -> float:
        return _LEAST_CHANGE

    def change_of(self, share: float) -> float:
        """The effect of a special day on which `share` of the usual value is expected."""
        return math.log(share)


class _Share:
    """The scale of shares: the arcsine of the square root.

    On it, the variation by chance depends on the number of rows, and not on the share.
    """

    least = 0.01

    def __init__(self, rows: float) -> None:
        self._rows = max(rows, 1.0)

    def to(self, values: Numbers | float) -> Numbers:
        return np.asarray(np.arcsin(np.sqrt(np.clip(values, 0, 1))), dtype=np.float64)

    def back(self, value: float) -> float:
        return math.sin(min(max(value, 0), math.pi / 2)) ** 2

    def by_chance(self, expected: float) -> float:
        return 0.5 / math.sqrt(self._rows)

    def least_change(self, expected: float) -> float:
        share = self.back(expected)
        least = max(_LEAST_SHARE, _LEAST_ROWS / self._rows)
        nearer = share + least if share < 0.5 else share - least
        return abs(float(self.to(nearer)) - float(self.to(share)))

    def change_of(self, share: float) -> float:
        return 0.0


def _judge_one(
    metric: str,
    day: date,
    value: float,
    past: Numbers,
    scale: _Log | _Share,
    shares: Sequence[float],
) -> Anomaly | None:
    expected, rest = _forecast(scale.to(past))
    spread = _spread(rest, scale, expected)
    changes = [0.0, *(scale.change_of(share) for share in shares)]
    allowed = max(LIMIT * spread, scale.least_change(expected))
    nearest = min(max(float(scale.to(value)), expected + min(changes)), expected + max(changes))
    distance = float(scale.to(value)) - nearest
    if abs(distance) < allowed:
        return None
    usual = scale.back(expected)
    lower, upper = (
        scale.back(expected + min(changes) - allowed),
        scale.back(expected + max(changes) + allowed),
    )
    reason = _reason(metric, day, value, usual, lower, upper)
    return Anomaly(day, metric, value, usual, lower, upper, distance / spread, reason)


def _spread(rest: Numbers, scale: _Log | _Share, expected: float) -> float:
    """The distance of a usual day from its expected value, on the scale."""
    steady = np.count_nonzero(np.abs(rest) < scale.least) >= _STEADY * len(rest)
    least = scale.least if steady else math.hypot(scale.by_chance(expected), scale.least)
    return max(_PER_MAD * float(np.median(np.abs(rest))), least)


def _forecast(y: Numbers) -> tuple[float, Numbers]:
    """The expected next value, and the residuals of the days that have a value.

    `y` has one value for each day of whole weeks, the oldest first, and NaN for none.
    """
    ages = np.arange(len(y), 0, -1.0)  # days before the judged day
    # Each value with the trend up to the judged day. The first column has the same weekday.
    now = (y + _slope(y) * ages).reshape(-1, 7)
    seen = np.count_nonzero(~np.isnan(now), axis=0)
    week = np.zeros(7)
    week[seen > 0] = np.nanmedian(now[:, seen > 0], axis=0) - np.median(now[~np.isnan(now)])
    week *= seen / (seen + 1)
    rest = (now - week).ravel()
    recent, rest = rest[-_LEVEL_DAYS:], rest[~np.isnan(rest)]
    recent = recent[~np.isnan(recent)]
    level = float(np.median(recent if len(recent) > _LEVEL_DAYS // 2 else rest))
    return level + float(week[0]), rest - level


def _slope(y: Numbers) -> float:
    """The change per day: the median over all pairs of days that are whole weeks apart."""
    slopes = np.concatenate([(y[apart:] - y[:-apart]) / apart for apart in range(7, len(y), 7)])
    slopes = slopes[~np.isnan(slopes)]
    return float(np.median(slopes)) if len(slopes) else 0.0


def _reason(metric: str, day: date, value: float, usual: float, lower: float, upper: float) -> str:
    kind, _, name = metric.partition(".")
    what = {
        "rows": f"rows of {name}",
        "empty": f"share of rows without {name}",
        "size": f"usual size of {name}",
    }
    expected = f"expected {_number(lower)} to {_number(upper)} on a {day:%A}"
    text = f"{what.get(kind, name)}: {_number(value)}, {expected}"
    if kind == "empty":
        return f"{text}. A column may have been renamed, or may no longer be filled."
    if value == 0:
        return f"{text}. Nothing arrived."
    times = value / usual if usual else math.inf
    if 20 < times < 5000 or 1 / 5000 < times < 1 / 20:
        return f"{text}. {times:.3g} times the usual value: the unit may have changed."
    return f"{text}. {times:.2f} times the usual value."


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def find_anomalies(
    settings: Settings, day: date, known: Sequence[SpecialDay] = ()
) -> list[Anomaly]:
    """Measure and judge `day`, keep its anomalies and return them, worst first.

    Earlier days are measured and judged again if something has landed for them since. Anomalies of
    the newest day raise one alert for each source, which is resolved on the first normal day.
    `known` are special days in addition to those of the team's file.
    """
    with connect(settings, "transformer", application_name="anomalies") as warehouse:
        # The runs of a backfill call this in parallel.
        warehouse.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        measured = measure(warehouse, day - timedelta(days=WINDOW), day)
        values = history(warehouse, day - timedelta(days=HISTORY_DAYS), day)
        special = [*known, *special_days(settings, day - timedelta(days=HISTORY_DAYS), day)]
        for each in sorted({*measured, day}):
            found = judge(values, each, special)
            _keep(warehouse, each, found)
        is_newest = day >= (newest_day(warehouse) or day)
    if is_newest:
        _alert(settings, day, found)
    return found


def _keep(warehouse: psycopg.Connection, day: date, found: Sequence[Anomaly]) -> None:
    warehouse.execute("delete from quality.anomalies where day = %s", [day])
    rows = [
        (a.day, a.metric, a.value, a.expected, a.lower, a.upper, a.score, a.reason) for a in found
    ]
    warehouse.cursor().executemany(
        """
        insert into quality.anomalies (day, metric, value, expected, lower, upper, score, reason)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        rows,
    )


def _alert(settings: Settings, day: date, found: Sequence[Anomaly]) -> None:
    by_source: dict[str, list[Anomaly]] = {}
    sources = by_cause(anomaly.metric for anomaly in found)
    for anomaly in found:
        by_source.setdefault(sources[anomaly.metric], []).append(anomaly)
    for source, anomalies in by_source.items():
        lines = [
            f"{len(anomalies)} anomalous metrics of {source} on {day}:",
            *(a.reason for a in anomalies[:5]),
        ]
        raise_alert(settings, _CAUSE + source, "\n".join(lines))
    for cause in open_causes(settings, _CAUSE):
        if (source := cause.removeprefix(_CAUSE)) not in by_source:
            text = f"{source} is normal on {day}.{_still_wrong(settings, day, source)}"
            resolve_alert(settings, cause, text)


def _still_wrong(settings: Settings, day: date, source: str) -> str:
    """A sentence with the earlier days on which the source is still anomalous, or ""."""
    with connect(settings, "transformer", application_name="anomalies") as warehouse:
        rows = warehouse.execute(
            "select day, metric from quality.anomalies where day >= %s and day < %s",
            [day - timedelta(days=_REMEMBERED), day],
        ).fetchall()
    days = sorted({str(one) for one, metric in rows if subject(metric) == source})
    return f" It is still anomalous on {', '.join(days)}." if days else ""
