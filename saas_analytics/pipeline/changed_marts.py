"""Which marts have changed since somebody was last told of it: read from the change feed, which every build writes."""

from __future__ import annotations

from collections.abc import Mapping

from saas_analytics.settings import Settings
from saas_analytics.warehouse import connect


def changed_marts(settings: Settings) -> dict[str, int]:
    """The marts whose rows have changed since `note_told`, each with the number of its last change."""
    with connect(settings, "transformer", application_name="changed_marts") as warehouse:
        return dict(warehouse.execute(_CHANGED).fetchall())


def note_told(settings: Settings, marts: Mapping[str, int]) -> None:
    """Keep that these changes have been told."""
    with connect(settings, "transformer", application_name="changed_marts") as warehouse:
        warehouse.cursor().executemany(_TOLD, list(marts.items()))


# A model's last_seq grows in the transaction that changes its rows, and in no other.
_CHANGED = """
select models.model, models.last_seq
from change_feed.models as models
inner join pg_tables as tables on tables.schemaname = 'marts' and models.model = tables.tablename
left join quality.told_marts as told on models.model = told.mart
where models.last_seq > coalesce(told.seq, 0)
order by models.model
"""
_TOLD = """
insert into quality.told_marts (mart, seq) values (%s, %s)
on conflict (mart) do update set seq = excluded.seq, told_at = excluded.told_at
"""
