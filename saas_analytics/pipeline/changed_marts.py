"""The marts that changed since the last notification, by the change logs that every build writes.

A notification is an asset event in Airflow.
"""

from __future__ import annotations

from collections.abc import Mapping

from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect


def changed_marts(settings: Settings) -> dict[str, int]:
    """The marts whose rows changed since `record_notified`, with the number of the last change."""
    with connect(settings, "transformer", application_name="changed_marts") as warehouse:
        return dict(warehouse.execute(_CHANGED).fetchall())


def record_notified(settings: Settings, marts: Mapping[str, int]) -> None:
    """Record the notification of these changes: the number of the last one, by mart."""
    with connect(settings, "transformer", application_name="changed_marts") as warehouse:
        warehouse.cursor().executemany(_RECORD, list(marts.items()))


# A model's last_seq grows only in a transaction that changes its rows.
_CHANGED = """
select models.model, models.last_seq
from change_feed.models as models
inner join pg_tables as tables on tables.schemaname = 'marts' and models.model = tables.tablename
left join quality.told_marts as notified on models.model = notified.mart
where models.last_seq > coalesce(notified.seq, 0)
order by models.model
"""
_RECORD = """
insert into quality.told_marts (mart, seq) values (%s, %s)
on conflict (mart) do update set seq = excluded.seq, told_at = excluded.told_at
"""
