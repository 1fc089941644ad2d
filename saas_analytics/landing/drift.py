"""Schema drift: columns of a load that its contract does not know, and missing optional ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql

from saas_analytics.contracts import Contract
from saas_analytics.landing.tables import Cursor, table_identifier

# Members may be data, such as ids, with as many names as rows: the first names are enough.
_MOST_NAMES = 200
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Drift:
    """Column names: `unknown` ones are only in the file, `missing` ones only in the contract."""

    unknown: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __or__(self, other: Drift) -> Drift:
        return Drift(_some({*self.unknown, *other.unknown}), _some({*self.missing, *other.missing}))


def drift_of_names(contract: Contract, names: Iterable[str]) -> Drift:
    """The drift of a file with these columns. A file without columns has no rows and no drift."""
    present = set(names)
    if not present:
        return Drift()
    return Drift(_some(present.difference(contract.column_names)), _absent(contract, present))


def drift_of_documents(
    cursor: Cursor, contract: Contract, table: str, *, has_unknown: bool
) -> Drift:
    """The drift of the documents in a raw table.

    Unknown are members that the contract does not have; missing are optional ones that no document
    has. `has_unknown`: whether there are unknown ones.
    """
    part = table_identifier(table)
    optional = _absent(contract, ())
    present = [
        sql.SQL("exists (select from {} where _doc ? {})").format(part, sql.Literal(name))
        for name in optional
    ]
    row = cursor.execute(
        sql.SQL("select {}").format(
            sql.SQL(", ").join([sql.SQL("exists (select from {})").format(part), *present])
        )
    ).fetchone()
    assert row is not None
    any_row, *found = row
    if not any_row:
        return Drift()
    there = {name for name, is_there in zip(optional, found, strict=True) if is_there}
    missing = Drift(missing=tuple(name for name in optional if name not in there))
    if not has_unknown:
        return missing
    unknown = cursor.execute(
        sql.SQL(
            "select distinct left(name, {most})"
            " from (select _doc - {known}::text[] as rest from {part}) as documents,"
            " jsonb_object_keys(rest) as name where rest <> '{{}}' limit {limit}"
        ).format(
            most=sql.Literal(_LONGEST_NAME),
            known=sql.Literal(list(contract.column_names)),
            part=part,
            limit=sql.Literal(_MOST_NAMES),
        )
    ).fetchall()
    return missing | Drift(unknown=tuple(str(name) for (name,) in unknown))


def record_drift(cursor: Cursor, load_id: int, drift: Drift) -> None:
    """Write the drift of a load. The view quality.schema_drift sums up the live loads."""
    if drift == Drift():
        return
    cursor.execute(
        "insert into raw.drift (load_id, column_name, kind)"
        " select %(load_id)s, name, 'unknown' from unnest(%(unknown)s::text[]) as name"
        " union all select %(load_id)s, name, 'missing' from unnest(%(missing)s::text[]) as name",
        {"load_id": load_id, "unknown": list(drift.unknown), "missing": list(drift.missing)},
    )


def _absent(contract: Contract, present: Sequence[str] | set[str]) -> tuple[str, ...]:
    required = set(contract.required)
    return tuple(
        sorted(
            name for name in contract.column_names if name not in present and name not in required
        )
    )


def _some(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name[:_LONGEST_NAME] for name in names})[:_MOST_NAMES])
