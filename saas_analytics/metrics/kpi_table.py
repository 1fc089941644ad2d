"""`make kpis`: the newest key figures as a table, each with its change and a sparkline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from saas_analytics.console import console, print_table
from saas_analytics.metrics.kpis import Grain, Trend, Unit, kpi_trends
from saas_analytics.settings import Settings

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.:-=+*#"  # for terminals without Unicode
_NUMERIC = (2, 3, 4)  # indexes of the numeric columns
_HEADINGS = ("figure", "period", "newest", "before", "change", "trend")


def print_kpis(settings: Settings) -> bool:
    """Print the newest figures. If the marts have none, print what to do and return False."""
    trends = kpi_trends(settings)
    if not trends:
        console.print(
            f"The marts of {settings.database} are built and empty: nothing has landed. Run "
            "`make generate && make land && make dbt-build` for the newest day of the synthetic "
            "company, or `make demo` for its history.",
            markup=False,
        )
        return False
    bars = _BARS if console.encoding.lower().startswith("utf") else _PLAIN_BARS
    console.print("[bold]The newest KPIs, from the marts[/bold]")
    print_table([_HEADINGS, *(_row(trend, bars) for trend in trends)], numeric=_NUMERIC)
    return True


def sparkline(values: Sequence[Decimal | None], bars: str = _BARS) -> str:
    """One character for each value, scaled from the smallest to the largest; a space for None."""
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, high = min(known), max(known)
    steps = len(bars) - 1

    def bar(value: Decimal) -> str:
        return bars[round((value - low) / (high - low) * steps)] if high > low else bars[steps // 2]

    return "".join(" " if value is None else bar(value) for value in values)


def _row(trend: Trend, bars: str) -> tuple[str, ...]:
    *earlier, (period, newest) = trend.points
    before = earlier[-1][1] if earlier else None
    return (
        trend.name,
        _period(trend.grain, period),
        _value(trend.unit, newest),
        _value(trend.unit, before),
        _change(trend.unit, newest, before),
        sparkline([value for _, value in trend.points], bars),
    )


def _period(grain: Grain, first: date) -> str:
    return {"day": str(first), "week": f"week of {first}", "month": f"{first:%Y-%m}"}[grain]


def _value(unit: Unit, value: Decimal | None) -> str:
    if value is None:
        return "-"
    return {
        "count": f"{value:,.0f}",
        "amount": f"{value:,.2f}",
        "share": f"{value:.1%}",
        "ratio": f"{value:.2f}",
    }[unit]


def _change(unit: Unit, newest: Decimal | None, before: Decimal | None) -> str:
    """The change in percent; of a share, in percentage points (pp)."""
    if newest is None or before is None:
        return "-"
    if unit == "share":
        return f"{(newest - before) * 100:+.1f} pp"
    return f"{(newest - before) / abs(before):+.1%}" if before else "-"
