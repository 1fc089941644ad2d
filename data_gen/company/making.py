"""Makes days: files in the landing zone, or tables."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_gen.company import events as event
from data_gen.company import text
from data_gen.company.activity import robot_on
from data_gen.company.audience import AudienceFigures
from data_gen.company.columns import no_rows
from data_gen.company.company import Company, exact_scale
from data_gen.company.corrupting_writer import CorruptingWriter
from data_gen.company.day import CHUNK_ROWS, day_batches
from data_gen.company.defect_plan import ACCEPT, redeliveries
from data_gen.company.defects import DEFECTS, DefectList
from data_gen.company.events import Events
from data_gen.company.figures import KPIS
from data_gen.company.growth import day_number
from data_gen.company.hashing import LAST_DAY
from data_gen.company.rules import Rules
from data_gen.company.schemas import SOURCES
from data_gen.company.writers import SourceWriter
from saas_analytics.sources.delivery import Unfinished, all_or_nothing, manifest_of
from saas_analytics.sources.files import Written


def day_number_of(day: date) -> int:
    """The day's number since 1970. Raises ValueError if ids have no room for it."""
    number = day_number(day)
    if not 0 <= number <= LAST_DAY:
        raise ValueError(
            f"the day must lie between 1970-01-01 and {np.datetime64(LAST_DAY, 'D')}, not {day}"
        )
    return number


def day_tables(
    rules: Rules, seed: int, scale: str | float | Decimal, day: date, chunk_rows: int = CHUNK_ROWS
) -> dict[str, pa.Table]:
    """All rows that land on a day, without defects, as one table per source."""
    company = Company(rules, seed, exact_scale(scale))
    parts: dict[str, list[pa.Table]] = {
        name: [no_rows(source.schema)] for name, source in SOURCES.items()
    }
    for batch in day_batches(company, day_number_of(day), chunk_rows):
        rows = (
            event.as_table(company, batch.rows)
            if isinstance(batch.rows, Events)
            else batch.rows.table
        )
        parts[batch.source].append(rows)
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def write_day(
    company: Company, day: date, out: Path, chunk_rows: int = CHUNK_ROWS
) -> list[Written]:
    """Write the files of a day, with their ground truth, to the landing zone `out`: all or none."""
    number = day_number_of(day)
    with all_or_nothing() as unfinished:
        written = _first_deliveries(company, number, out, chunk_rows, unfinished)
        for source, earlier in redeliveries(company, number):
            written.append(
                _delivered_again(company, source, earlier, number, out, chunk_rows, unfinished)
            )
    return written


def _first_deliveries(
    company: Company, day: int, out: Path, chunk_rows: int, unfinished: list[Unfinished]
) -> list[Written]:
    name = _iso(day)
    writers: dict[str, CorruptingWriter] = {}
    for source in SOURCES.values():
        path = out / source.name / f"dt={name}" / f"{source.name}.{source.format}"
        defects = DefectList(source.name, str(path.relative_to(out)), day)
        writers[source.name] = CorruptingWriter(company, source, day, path, defects)
        unfinished.append(writers[source.name])
    robot = robot_on(company, day)
    if robot is not None:
        user = text.numbered("u", np.array([robot]), 6)[0].as_py()
        writers["events"].defects.add_file("skew", ACCEPT, "user_id", None, None, key=user)
    figures = AudienceFigures(company, day)
    for batch in day_batches(company, day, chunk_rows, watcher=figures):
        writers[batch.source].add(batch.rows)
    written = [writer.complete() for writer in writers.values()]
    truth = SourceWriter(DEFECTS, out / "_truth" / f"dt={name}" / "defects.parquet")
    unfinished.append(truth)
    for writer in writers.values():
        for part in writer.defects.tables():
            truth.add(part)
    written.append(truth.complete())
    figures.late_events()
    kpis = SourceWriter(KPIS, out / "_truth" / f"dt={name}" / "kpis.parquet")
    unfinished.append(kpis)
    kpis.add(figures.table())
    written.append(kpis.complete())
    # Last, so that the file of a manifest always exists.
    for source, file in zip(SOURCES.values(), written, strict=False):
        unfinished.append(manifest_of(file, name, source.version, company.made_from))
    return written


def _delivered_again(
    company: Company,
    name: str,
    earlier: int,
    day: int,
    out: Path,
    chunk_rows: int,
    unfinished: list[Unfinished],
) -> Written:
    """Write the clean file of an earlier day.

    It has a directory of its own, because the files of the earlier day must not change.
    """
    source = SOURCES[name]
    folder = out / "_redelivered" / f"on={_iso(day)}" / name / f"dt={_iso(earlier)}"
    writer = SourceWriter(source, folder / f"{name}.{source.format}")
    unfinished.append(writer)
    for batch in day_batches(company, earlier, chunk_rows, frozenset({name})):
        if isinstance(batch.rows, Events):
            writer.add_lines(event.lines(company, batch.rows))
        else:
            writer.add(batch.rows.table)
    file = writer.complete()
    unfinished.append(manifest_of(file, _iso(earlier), source.version, company.made_from))
    return file


def _iso(day: int) -> str:
    return str(np.datetime64(day, "D"))
