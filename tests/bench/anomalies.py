"""How well anomalies are found, against a plain z-score of 14 days: faults in otherwise clean days.

Both methods get the same figures of the same days, measured from the files with the faults. The
limits of this project's method were chosen with the companies of TUNING; the benchmark uses the
others. The method must be better in both precision and recall. `python -m tests.bench.anomalies`
prints the same for the companies of TUNING, and for each kind of fault.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
import polars as pl

from data_gen.company.company import Company
from data_gen.company.making import write_day
from data_gen.company.rules import DEFAULT_RULES, rules_from
from data_gen.company.schemas import SOURCES
from data_gen.company.special_days import company_days
from data_gen.faults import HOLIDAY_SHARE, Fault, inject, plan
from saas_analytics.contracts import load_contract
from saas_analytics.quality.anomalies import judge
from saas_analytics.quality.daily_metrics import is_number, subject
from saas_analytics.quality.special_days import SpecialDay

History = dict[str, dict[date, float]]
Judge = Callable[[History, date, list[SpecialDay]], set[str]]

TUNING = ((101, date(2026, 2, 1)), (102, date(2026, 9, 10)))  # seed and founding of a company
TESTING = (
    (1, date(2026, 1, 1)),
    (2, date(2026, 4, 1)),
    (3, date(2026, 8, 20)),
    (4, date(2026, 10, 5)),
)
DAYS = 110
FIRST_JUDGED = 45
PLANS = 3  # plans of faults for each company
SCALE = Fraction(1)
# An order counts only with its items, so a fault in one shows in the figures of both.
_TOGETHER = {"orders": {"orders", "order_items"}, "order_items": {"orders", "order_items"}}


@dataclass
class Score:
    """What a method found in all plans of all companies."""

    right: int = 0  # sources on a day that were reported and had a fault
    wrong: int = 0
    found: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    delays: list[int] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.found.total() / max(self.faults.total(), 1)

    @property
    def delay(self) -> float:
        return fmean(self.delays) if self.delays else math.nan


def measure() -> Iterator[tuple[str, str, str, str]]:
    """What was measured, the result, what it is compared with, and the ratio.

    Raises SystemExit where the z-score is as good.
    """
    ours, plain = scores(TESTING)
    what = f"{ours.faults.total()} faults in {len(TESTING) * PLANS} x {DAYS - FIRST_JUDGED} days"
    against = "z-score of 14 days"
    for name in ("precision", "recall"):
        one, other = getattr(ours, name), getattr(plain, name)
        yield (
            f"anomalies: {name}, {what}",
            f"{one:.1%}",
            f"{against}: {other:.1%}",
            f"{one / max(other, 1e-9):.2f}x",
        )
    yield "anomalies: days to detection", f"{ours.delay:.2f}", f"{against}: {plain.delay:.2f}", ""
    if ours.precision <= plain.precision or ours.recall <= plain.recall:
        raise SystemExit(
            "The detection of anomalies is not better than the z-score in both precision and "
            "recall."
        )


def by_history(history: History, day: date, special: list[SpecialDay]) -> set[str]:
    """The sources that this project's method reports."""
    return {subject(anomaly.metric) for anomaly in judge(history, day, special)}


def by_z_score(history: History, day: date, special: list[SpecialDay]) -> set[str]:
    """The sources with a figure more than 3 standard deviations from the mean of 14 days."""
    reported = set()
    for metric, values in history.items():
        past = np.array([values.get(day - timedelta(days=back), math.nan) for back in range(1, 15)])
        if abs(values.get(day, math.nan) - past.mean()) > 3 * past.std():
            reported.add(subject(metric))
    return reported


def scores(companies: tuple[tuple[int, date], ...]) -> tuple[Score, Score]:
    """Of this project's method and of the z-score."""
    ours, plain = Score(), Score()
    for seed, founded in companies:
        with tempfile.TemporaryDirectory(prefix="bench-anomalies-") as place:
            zone = Path(place) / "clean"
            days = [founded + timedelta(days=after) for after in range(DAYS)]
            generate_clean(zone, seed, days)
            clean = _figures(zone, days)
            for number in range(PLANS):
                faults = plan(days[FIRST_JUDGED], DAYS - FIRST_JUDGED, 1000 * seed + number)
                faulty = Path(place) / f"faulty{number}"
                inject(zone, faulty, faults)
                # The figures at the end of each day, and later, when late files have landed.
                then = _changed(clean, faulty, faults)
                later = _changed(clean, faulty, [fault for fault in faults if fault.kind != "late"])
                special = [
                    SpecialDay(f.first, "holiday", HOLIDAY_SHARE)
                    for f in faults
                    if f.kind == "holiday"
                ]
                special += company_days(founded, days[0], days[-1])
                for score, method in ((ours, by_history), (plain, by_z_score)):
                    _count(score, method, then, later, special, faults, days[FIRST_JUDGED:])
    return ours, plain


def _count(
    score: Score,
    method: Judge,
    then: History,
    later: History,
    special: list[SpecialDay],
    faults: list[Fault],
    days: list[date],
) -> None:
    reported: dict[date, set[str]] = {}
    for day in days:
        known = {metric: {**values, day: math.nan} for metric, values in later.items()}
        for metric, values in known.items():
            values.pop(day)
            if day in then[metric]:
                values[day] = then[metric][day]
        reported[day] = method(known, day, special)
    real = [fault for fault in faults if fault.kind != "holiday"]
    at_fault: dict[date, set[str]] = defaultdict(set)
    for fault in real:
        score.faults[fault.kind] += 1
        subjects = _TOGETHER.get(fault.source, {fault.source})
        at = [fault.first + timedelta(days=after) for after in range(fault.days)]
        for day in at:
            at_fault[day] |= subjects
        hits = [
            after for after, day in enumerate(at) if day in reported and reported[day] & subjects
        ]
        if hits:
            score.found[fault.kind] += 1
            score.delays.append(hits[0])
    for day, sources in reported.items():
        score.right += len(sources & at_fault[day])
        score.wrong += len(sources - at_fault[day])


def generate_clean(zone: Path, seed: int, days: list[date], scale: Fraction = SCALE) -> None:
    """The days of a company without defects in single rows and files."""
    before, key, rest = DEFAULT_RULES.read_text(encoding="utf-8").partition("\ndefects:\n")
    clean = re.sub(r"(?m)^( +(?!skew_sessions)\w+: )[\d.]+", r"\g<1>0", rest)
    company = Company(rules_from(before + key + clean).founded_on(days[0]), seed, scale)
    for day in days:
        write_day(company, day, zone)


def _figures(zone: Path, days: list[date]) -> History:
    history: History = defaultdict(dict)
    for day in days:
        for metric, value in figures_of_day(zone, day, list(SOURCES)).items():
            history[metric][day] = value
    return history


def _changed(clean: History, faulty: Path, faults: list[Fault]) -> History:
    """The figures, measured again for the days with a fault."""
    history = {metric: dict(values) for metric, values in clean.items()}
    for day in sorted({f.first + timedelta(days=after) for f in faults for after in range(f.days)}):
        for values in history.values():
            values.pop(day, None)
        for metric, value in figures_of_day(faulty, day, list(SOURCES)).items():
            history[metric][day] = value
    return history


def figures_of_day(zone: Path, day: date, sources: list[str]) -> dict[str, float]:
    """The measures of saas_analytics.quality.daily_metrics, from the files of a day."""
    figures: dict[str, float] = {}
    tables = {source: _read(zone, source, day) for source in sources}
    for source, table in tables.items():
        figures[f"rows.{source}"] = table.height
        if table.height:
            figures |= _profile(source, table)
    return figures | _kpis(tables)


def _profile(source: str, table: pl.DataFrame) -> dict[str, float]:
    measures = []
    for column in load_contract(source).columns:
        values = pl.col(column.name) if column.name in table.columns else pl.lit(None, pl.String)
        if column.name not in table.columns or table.schema[column.name] == pl.String:
            values = values.replace("", None)
        measures.append(values.is_null().mean().alias(f"empty.{source}.{column.name}"))
        if is_number(column):
            measures.append(_size(values.cast(pl.Float64)).alias(f"size.{source}.{column.name}"))
    row = table.select(measures).row(0, named=True)
    return {metric: float(value) for metric, value in row.items() if value is not None}


def _size(values: pl.Expr) -> pl.Expr:
    return values.filter(values > 0).log().mean().exp()


def _read(zone: Path, source: str, day: date) -> pl.DataFrame:
    path = zone / source / f"dt={day}" / f"{source}.{SOURCES[source].format}"
    columns = [column.name for column in load_contract(source).columns]
    if not path.exists() or path.stat().st_size < 4:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    match path.suffix:
        case ".jsonl":
            return pl.read_ndjson(path, infer_schema_length=None)
        case ".json":
            return pl.read_json(path, infer_schema_length=None)
        case ".csv":
            return pl.read_csv(path, infer_schema=False)
    return pl.read_parquet(path)


def _kpis(tables: dict[str, pl.DataFrame]) -> dict[str, float]:
    """The KPIs. Net revenue has no refunds here, as those are for orders of other days."""
    events = tables["events"].unique("event_id")
    orders = tables["orders"].unique("order_id").filter(pl.col("status") != "cancelled")
    items = (
        tables["order_items"]
        .unique("order_item_id")
        .with_columns(pl.col("unit_price", "quantity", "discount_amount").cast(pl.Float64))
    )
    sold = items.join(orders, "order_id", "semi")
    sales = orders.join(items, "order_id", "semi")
    gross = float((sold["unit_price"] * sold["quantity"]).sum())
    discounts = float(sold["discount_amount"].sum()) + float(
        sales["discount_amount"].cast(pl.Float64).sum()
    )
    return {
        "kpi.total_events": events.height,
        "kpi.dau": events["user_id"].n_unique(),
        "kpi.signups": events.filter(pl.col("event_type") == "signup").height,
        "kpi.orders": sales.height,
        "kpi.gross_revenue": gross,
        "kpi.net_revenue": gross - discounts,
    }


if __name__ == "__main__":
    for name, score in zip(("this project", "z-score"), scores(TUNING), strict=True):
        print(
            f"{name}: precision {score.precision:.1%}, recall {score.recall:.1%}, "
            f"days {score.delay:.2f}"
        )
        for kind, number in sorted(score.faults.items()):
            print(f"  {kind:12} {score.found[kind]:3d} of {number}")
    sys.exit()
