"""Measures each landed day for quality.daily_metrics: the volume and content of sources, and KPIs.

- `rows.<source>`: the number of rows.
- `empty.<source>.<column>`: the share of rows without a value.
- `size.<source>.<column>`: the geometric mean of the values above 0 of a numeric column. A few
  large values hardly change it.
- `kpi.<name>`: a KPI of the marts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import psycopg
from psycopg import sql

from saas_analytics.contracts import SOURCES, Column, Contract, load_contract
from saas_analytics.landing.tables import file_partition_value

# The sources that a KPI is calculated from, the most important one first.
KPI_SOURCES = {
    "total_events": ("events",),
    "dau": ("events",),
    "signups": ("events",),
    "orders": ("orders", "order_items"),
    "gross_revenue": ("order_items", "orders"),
    "net_revenue": ("order_items", "orders", "payments"),
}
_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$"


def subject(metric: str) -> str:
    """The source of a metric; of a KPI, its most important one."""
    kind, name, *_ = metric.split(".")
    return KPI_SOURCES[name][0] if kind == "kpi" else name


def by_cause(metrics: Iterable[str]) -> dict[str, str]:
    """The source that causes each anomalous metric of a day, by metric.

    A KPI is attributed to the first of its sources that has an anomalous metric itself.
    """
    metrics = list(metrics)
    wrong = {subject(metric) for metric in metrics if not metric.startswith("kpi.")}
    return {
        metric: next(
            (
                source
                for source in KPI_SOURCES.get(metric.removeprefix("kpi."), ())
                if source in wrong
            ),
            "",
        )
        or subject(metric)
        for metric in metrics
    }


def is_number(column: Column) -> bool:
    """Whether the column has a metric `size`."""
    return column.logical_type in ("number", "integer")


def measure(warehouse: psycopg.Connection, first: date, last: date) -> list[date]:
    """Measure the days from `first` to `last` with new loads since their last measurement.

    Returns these days, oldest first. The KPIs of all days are read again, because a late row
    changes them. `last` is always measured.
    """
    days = warehouse.execute(_CHANGED_DAYS, {"first": first, "last": last}).fetchall()
    for (day,) in days:
        _measure_day(warehouse, day)
    models = ["core.fact_daily_events", "marts.sales_summary"]
    built = "select bool_and(to_regclass(name) is not null) from unnest(%s::text[]) as name"
    if warehouse.execute(built, [models]).fetchone() == (True,):
        warehouse.execute(_KPIS, {"first": first, "last": last})
    return [day for (day,) in days]


def history(warehouse: psycopg.Connection, first: date, last: date) -> dict[str, dict[date, float]]:
    """Values by metric and day. Days on which nothing landed are skipped, except for the last."""
    rows = warehouse.execute(
        "select metric, day, value from quality.daily_metrics where day between %s and %s",
        [first, last],
    ).fetchall()
    landed = {day for metric, day, value in rows if metric.startswith("rows.") and value}
    values: dict[str, dict[date, float]] = {}
    for metric, day, value in rows:
        if day in landed or day == last:
            values.setdefault(metric, {})[day] = float(value)
    return values


def newest_day(warehouse: psycopg.Connection) -> date | None:
    """The last complete day (UTC) with a load; None if there is none.

    Files of incoming/ land on the current day, which is not complete.
    """
    row = warehouse.execute(_NEWEST_DAY).fetchone()
    return row[0] if row else None


def _measure_day(warehouse: psycopg.Connection, day: date) -> None:
    warehouse.execute("delete from quality.daily_metrics where day = %s", [day])
    in_use = {source for (source,) in warehouse.execute(_SOURCES_IN_USE, [day])}
    values: list[tuple[str, float | None]] = []
    for source in sorted(in_use.intersection(SOURCES)):
        contract = load_contract(source)
        row = warehouse.execute(
            _profile_query(contract), [day.isoformat(), file_partition_value(day)]
        ).fetchone()
        assert row is not None
        values += zip(_profile_names(contract), row, strict=True)
    warehouse.cursor().executemany(
        "insert into quality.daily_metrics (day, metric, value) values (%s, %s, %s)",
        [(day, metric, value) for metric, value in values if value is not None],
    )


def _profile_names(contract: Contract) -> Iterable[str]:
    yield f"rows.{contract.source}"
    for column in contract.columns:
        yield f"empty.{contract.source}.{column.name}"
        if is_number(column):
            yield f"size.{contract.source}.{column.name}"


def _profile_query(contract: Contract) -> sql.Composed:
    """One scan of a day's partitions. The columns have the order of `_profile_names`."""
    parts: list[sql.Composable] = [sql.SQL("count(*)")]
    for column in contract.columns:
        text = (
            sql.SQL("(_doc ->> {})").format(sql.Literal(column.name))
            if contract.payload == "document"
            else sql.Identifier(column.name)
        )
        parts.append(sql.SQL("avg((coalesce({}, '') = '')::int)").format(text))
        if is_number(column):
            number = sql.SQL("case when {text} ~ {form} then {text}::double precision end").format(
                text=text, form=sql.Literal(_NUMBER)
            )
            parts.append(
                sql.SQL("exp(avg(ln({number})) filter (where {number} > 0))").format(number=number)
            )
    return sql.SQL("select {} from {} where _partition in (%s, %s)").format(
        sql.SQL(", ").join(parts), sql.Identifier("raw", contract.source)
    )


# The last day is measured even if nothing has landed: then all of it is missing.
_CHANGED_DAYS = """
    with measured as (
        select day, min(measured_at) as measured_at
        from quality.daily_metrics
        where day between %(first)s and %(last)s and metric like 'rows.%%'
        group by day
    ),
    landed as (
        select landed_on as day, max(ended_at) as landed_at
        from raw.loads
        where landed_on between %(first)s and %(last)s
        group by landed_on
        union all
        select %(last)s, null
    )
    select landed.day
    from landed
    left join measured on landed.day = measured.day
    group by landed.day
    -- The last day is measured each time. A load may have ended before the measurement, but have
    -- been committed after it.
    having
        landed.day = %(last)s
        or max(measured.measured_at) is null
        or max(landed.landed_at) > max(measured.measured_at)
    order by landed.day
"""
_NEWEST_DAY = """
    select max(landed_on) from raw.loads
    where superseded_by is null and landed_on < (now() at time zone 'UTC')::date
"""
# A source is in use from the day on which it first landed.
_SOURCES_IN_USE = (
    "select distinct source from raw.loads where landed_on <= %s and superseded_by is null"
)
_KPIS = """
    insert into quality.daily_metrics (day, metric, value)
    select day, 'kpi.' || metric, value
    from (
        select event_date as day, 'total_events' as metric, total_events::double precision as value
        from core.fact_daily_events
        union all
        select event_date, 'dau', daily_active_users from core.fact_daily_events
        union all
        select event_date, 'signups', signup_events from core.fact_daily_events
        union all
        select period_start, 'orders', orders from marts.sales_summary where grain = 'day'
        union all
        select period_start, 'gross_revenue', gross_revenue
        from marts.sales_summary where grain = 'day'
        union all
        select period_start, 'net_revenue', net_revenue
        from marts.sales_summary where grain = 'day'
    ) as kpis
    where day between %(first)s and %(last)s
    on conflict (day, metric) do update set value = excluded.value
"""
