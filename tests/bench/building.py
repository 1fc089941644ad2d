"""The cost of building one more day, after a short and a long history, against a full refresh.

The queries of dashboards are measured too. The default is small. With BENCH_DAYS and BENCH_SCALE it
reaches the size that the project promises, 180 days of 200,000 events; that takes hours and some
100 GB.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import psutil
import psycopg

from saas_analytics.settings import PROJECT_ROOT, Settings
from saas_analytics.warehouse import ensure_warehouse
from tests.server import drop_database, running_server

FOUNDED = date(2026, 1, 1)
DAYS = int(os.environ.get("BENCH_DAYS", "60"))
SCALE = float(os.environ.get("BENCH_SCALE", "2"))
# The days of the short history. Both histories end with the same days, which are built in turns on
# one and the other, because the speed of a machine varies. One more day is built before the
# measured ones: a history that was built as a whole leaves little in memory for the next days.
SHORT = max(DAYS // 6, 4)
WARMING = 1
MEASURED = 3

# The queries of dashboards: the newest figures of each mart.
QUERIES = {
    "fact_daily_events": "select * from core.fact_daily_events order by event_date desc limit 90",
    "active_users": "select * from marts.active_users order by date_day desc limit 90",
    "growth_accounting": "select * from marts.growth_accounting"
    " where grain = 'week' order by period_start",
    "retention_cohorts": "select * from marts.retention_cohorts"
    " where retention_type = 'first_time' and grain = 'week'",
    "feature_engagement": "select * from marts.feature_engagement order by week_start",
    "funnel_conversion": "select funnel_id, step_number, sum(users) from marts.funnel_conversion"
    " where dimension = 'total' group by 1, 2",
    "mrr_movements": "select * from marts.mrr_movements order by month_start",
    "sales_summary": "select * from marts.sales_summary"
    " where grain = 'day' order by period_start desc limit 90",
    "channel_performance": "select * from marts.channel_performance order by month_start",
    "customer_summary": "select rfm_segment, count(*), sum(net_revenue)"
    " from marts.customer_summary group by 1",
    "product_performance": "select * from marts.product_performance where month_start ="
    " (select max(month_start) from marts.product_performance) order by net_sales desc limit 20",
    "product_affinity": "select * from marts.product_affinity order by lift desc limit 20",
    "order_fulfilment": "select * from marts.order_fulfilment"
    " where grain = 'month' order by period_start",
    "payment_methods": "select * from marts.payment_methods order by month_start",
    "geography_sales": "select * from marts.geography_sales order by month_start",
    "usage_by_segment": "select event_date, country, sum(active_users)"
    " from marts.usage_by_segment"
    " where event_date > (select max(event_date) - 90 from marts.usage_by_segment) group by 1, 2",
    "mrr": "select sum(mrr), count(*) filter (where mrr > 0) from marts.mrr where month_start ="
    " (select max(month_start) from marts.mrr)",
    "payment_reconciliation": "select status, currency, count(*), sum(difference)"
    " from marts.payment_reconciliation where status <> 'paid' group by 1, 2",
    "product_returns": "select reason, sum(returns), sum(refund_amount)"
    " from marts.product_returns where month_start ="
    " (select max(month_start) from marts.product_returns) group by 1",
    "complete_periods": "select grain, max(period_start) from marts.complete_periods group by 1",
    "rejected_rows": "select source, rule, sum(rejected_rows)"
    " from marts.rejected_rows group by 1, 2",
}


@dataclass(frozen=True)
class Cost:
    """The seconds of a build: wall time, CPU of dbt, CPU of PostgreSQL including vacuums."""

    wall: float
    dbt_cpu: float
    server_cpu: float

    @property
    def cpu(self) -> float:
        return self.dbt_cpu + self.server_cpu


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(median(values) for values in zip(*map(astuple, costs), strict=True)))


def measure() -> list[tuple[str, str, str, str]]:
    """Rows of: what was measured, the result, the baseline, and the ratio."""
    with tempfile.TemporaryDirectory(prefix="bench-building-") as place, running_server() as server:
        zone = Path(place) / "raw"
        short = replace(
            server,
            database="short",
            landing_zone=zone,
            company_scale=SCALE,
            company_founded=FOUNDED,
        )
        long = replace(short, database="long")
        _run(short, "data_gen/generate.py", "--day", str(FOUNDED), "--days", str(DAYS))
        after_few, after_many = _days_after([(short, SHORT), (long, DAYS - WARMING - MEASURED)])
        _print_growth(_seconds_by_node(short), _seconds_by_node(long))
        few_tested, many_tested = _test(short), _test(long)
        drop_database(server, short.database)
        slowest = max((_milliseconds(long, query), name) for name, query in QUERIES.items())
        print(f"  slowest query of a dashboard, {slowest[1]}: {slowest[0]:.1f} ms", file=sys.stderr)
        events = _events_a_day(long)
        nothing, full = _build(long), _build(long, "--full-refresh")
    day = f"build of one more day, of {events:,.0f} events, after {DAYS - WARMING - MEASURED} days"
    return [
        _compared(day, after_many.wall, f"after {SHORT} days", after_few.wall),
        _compared(
            "its CPU, PostgreSQL's and dbt's", after_many.cpu, f"after {SHORT} days", after_few.cpu
        ),
        _compared(day, after_many.wall, "full refresh", full.wall),
        _compared("its CPU, PostgreSQL's and dbt's", after_many.cpu, "full refresh", full.cpu),
        _compared(
            "the same less a build of nothing",
            after_many.wall - nothing.wall,
            "full refresh",
            full.wall - nothing.wall,
        ),
        _compared("dbt's own CPU in it", after_many.dbt_cpu, "build of nothing", nothing.dbt_cpu),
        _compared(
            "all tests of the data", many_tested.wall, f"after {SHORT} days", few_tested.wall
        ),
        (
            f"slowest query of a dashboard: {slowest[1]}",
            f"{slowest[0]:.1f} ms",
            "bound: 50 ms",
            f"{slowest[0] / 50:.2f}x",
        ),
    ]


def _compared(
    what: str, seconds: float, baseline: str, of_baseline: float
) -> tuple[str, str, str, str]:
    ratio = f"{seconds / of_baseline:.3f}x"
    return what, f"{seconds:.1f} s", f"{baseline}: {of_baseline:.1f} s", ratio


def _days_after(histories: list[tuple[Settings, int]]) -> list[Cost]:
    """The median cost of one of the last days, landed and built after each of these histories."""
    first = DAYS - WARMING - MEASURED
    for settings, days in histories:
        ensure_warehouse(settings)
        _land(settings, first - days, days)
        _build(settings)
        _finish_maintenance(settings)
    costs: list[list[Cost]] = [[] for _ in histories]
    for position in range(first, DAYS):
        for (settings, _), costs_of_days in zip(histories, costs, strict=True):
            _land(settings, position, 1)
            costs_of_days.append(_build(settings))
    return [_median(costs_of_days[WARMING:]) for costs_of_days in costs]


def _finish_maintenance(settings: Settings) -> None:
    """Do PostgreSQL's maintenance for the history now: it is not a cost of the next days."""
    with psycopg.connect(settings.admin_dsn(settings.database), autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


def _seconds_by_node(settings: Settings) -> dict[str, float]:
    """The median seconds of each node in the measured builds."""
    newest = """
        select run_id from quality.dbt_results
        group by run_id order by max(finished_at) desc limit %s
    """
    seconds = "percentile_cont(0.5) within group (order by seconds)"
    with psycopg.connect(settings.dsn("owner")) as connection:
        query = f"""
            select node_id, {seconds} from quality.dbt_results
            where run_id in ({newest}) group by node_id
        """
        return dict(connection.execute(query, [MEASURED]).fetchall())


def _print_growth(after_few: dict[str, float], after_many: dict[str, float], most: int = 8) -> None:
    """Print the nodes whose time grows most with the history."""
    grown = sorted(after_many, key=lambda node: after_few.get(node, 0.0) - after_many[node])[:most]
    for node in grown:
        few, many = after_few.get(node, 0.0), after_many[node]
        print(
            f"  {node.split('.')[-1]}: {few:.2f} s after few days, {many:.2f} s after many",
            file=sys.stderr,
        )


def _land(settings: Settings, position: int, days: int) -> None:
    first = FOUNDED + timedelta(days=position)
    _run(settings, "data_gen/land.py", "--day", str(first), "--days", str(days))


def _build(settings: Settings, *options: str) -> Cost:
    """Build all models without the tests. The start of dbt is included."""
    return _dbt(settings, "build", "--resource-type", "model", "--resource-type", "seed", *options)


def _test(settings: Settings) -> Cost:
    """Run all data tests, some of which read everything."""
    return _dbt(settings, "test", "--exclude-resource-type", "unit_test")


def _dbt(settings: Settings, *command: str) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    server_before, started = _server_cpu(settings), time.perf_counter()
    _run(settings, "-m", "saas_analytics", "dbt", "--quiet", *command)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    dbt = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = Cost(wall, dbt, _server_cpu(settings) - server_before)
    what = f"{command[0]} of {settings.database}"
    what += ", a full refresh" if "--full-refresh" in command else ""
    print(
        f"  {what}: {wall:.1f} s, CPU {dbt:.1f} s of dbt, {cost.server_cpu:.1f} s of PostgreSQL",
        file=sys.stderr,
    )
    return cost


def _server_cpu(settings: Settings) -> float:
    """The CPU seconds of all processes of the server, including those that have ended."""
    with psycopg.connect(settings.dsn("owner")) as connection:
        server = psutil.Process(connection.info.backend_pid).parent()
        assert server
        children = [child.cpu_times() for child in server.children()]
        of_server = server.cpu_times()
    ended = of_server.children_user + of_server.children_system
    return ended + sum(times.user + times.system for times in (of_server, *children))


def _milliseconds(settings: Settings, query: str) -> float:
    """The median wall time of 5 runs of a query, on tables that are in memory."""
    times = []
    with psycopg.connect(settings.dsn("owner")) as connection:
        for _ in range(6):
            started = time.perf_counter()
            connection.execute(query).fetchall()
            times.append(time.perf_counter() - started)
    return 1000 * median(times[1:])


def _events_a_day(settings: Settings) -> float:
    """The mean of the measured days: the company grows, so earlier days had fewer events."""
    query = "select count(*) from core.fact_events where event_date >= %s"
    with psycopg.connect(settings.dsn("owner")) as connection:
        row = connection.execute(query, [FOUNDED + timedelta(days=DAYS - MEASURED)]).fetchone()
    assert row
    return float(row[0] / MEASURED)


def _run(settings: Settings, *arguments: str) -> None:
    environment = {**os.environ, **settings.environment()}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
