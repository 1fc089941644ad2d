"""Copies a generated landing zone with faults of whole files, which monitoring must find.

    analytics faults --from raw --out faulty --day 2026-03-01 --days 60 [--seed 1] [--every 3]

Files without a fault are hard links. `_truth/faults.json` of the copy lists every fault. Manifests
match the changed files, because the faults are the sender's and not those of the transport. The
zone must be made by rules whose `defects` are all 0 (`generate.py --rules`): defects of single rows
are another matter.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from data_gen.company.schemas import SOURCES
from saas_analytics.contracts import Contract, load_contract
from saas_analytics.errors import AnalyticsError

Rows = list[dict[str, Any]]

# How many days a fault lasts.
KINDS = {
    "missing": (1, 3),  # no file
    "halved": (1, 4),  # every other row is missing
    "doubled": (1, 4),  # every row twice
    "null_drift": (2, 5),  # half of the values of an optional column are null
    "unit_change": (2, 5),  # an amount is in cents: 100 times as much
    "late": (1, 1),  # the file comes a day later
    "holiday": (1, 1),  # not a fault: less activity everywhere, and known beforehand
}
HOLIDAY_SHARE = 0.6  # of the usual activity
# The sources that lose rows on a holiday, and the key by which they lose them.
_ON_HOLIDAY = {
    "events": "user_id",
    "sessions": "session_id",
    "users": "user_id",
    "orders": "order_id",
    "order_items": "order_id",
    "payments": "order_id",
}
_AMOUNTS = {
    "orders": "tax_amount",
    "order_items": "unit_price",
    "payments": "amount",
    "products": "unit_price",
    "subscriptions": "monthly_amount",
    "ad_spend": "spend",
}
_NULLED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the files of `source` for `days` days from `first`.

    The source of a holiday is "all".
    """

    kind: str
    source: str
    first: date
    days: int
    column: str | None = None

    def covers(self, source: str, day: date) -> bool:
        return self.source in ("all", source) and 0 <= (day - self.first).days < self.days


def plan(
    first: date, days: int, seed: int, every: int = 3, sources: Sequence[str] = tuple(SOURCES)
) -> list[Fault]:
    """Faults from `first` on, one in about `every` days, and at most one on each file.

    All kinds are equally likely, and so are all sources of a kind.
    """
    draw = random.Random(f"faults {seed}")
    faults: list[Fault] = []
    for start in range(0, days - max(most for _, most in KINDS.values()), every):
        kind = draw.choice(list(KINDS))
        fault = _fault(draw, kind, first + timedelta(days=start + draw.randrange(every)), sources)
        covered = [fault.first + timedelta(days=after) for after in range(fault.days)]
        if not any(_overlap(fault, other, day) for other in faults for day in covered):
            faults.append(fault)
    return faults


def _fault(draw: random.Random, kind: str, first: date, sources: Sequence[str]) -> Fault:
    days = draw.randint(*KINDS[kind])
    if kind == "holiday":
        return Fault(kind, "all", first, days)
    if kind == "unit_change":
        source = draw.choice([source for source in sources if source in _AMOUNTS])
        return Fault(kind, source, first, days, _AMOUNTS[source])
    source = draw.choice(list(sources))
    if kind == "null_drift":
        source = draw.choice([source for source in sources if _filled(load_contract(source))])
        return Fault(kind, source, first, days, draw.choice(_filled(load_contract(source))))
    return Fault(kind, source, first, days)


def _filled(contract: Contract) -> list[str]:
    """The optional columns that the company always fills."""
    empty_anyway = {
        "trial_end",
        "delivered_at",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "referrer",
        "anonymous_id",
    }
    empty_anyway |= {"customer_id", "order_id", "subscription_id", "user_id", "period_end"}
    return [
        column.name
        for column in contract.columns
        if not column.required and column.name not in empty_anyway
    ]


def _overlap(fault: Fault, other: Fault, day: date) -> bool:
    return other.covers(fault.source, day) or (
        fault.source == "all" and other.first <= day < _end(other)
    )


def _end(fault: Fault) -> date:
    return fault.first + timedelta(days=fault.days)


def inject(zone: Path, out: Path, faults: Sequence[Fault]) -> None:
    """Copy `zone` to `out`, which must not exist, and add the faults to the copy."""
    shutil.copytree(zone, out, copy_function=os.link)
    for fault in faults:
        for after in range(fault.days):
            day = fault.first + timedelta(days=after)
            for source in _ON_HOLIDAY if fault.source == "all" else [fault.source]:
                directory = out / source / f"dt={day}"
                if directory.is_dir():
                    _apply(out, directory, fault, source, day)
    truth = out / "_truth"
    truth.mkdir(exist_ok=True)
    listed = json.dumps([asdict(fault) for fault in faults], default=str, indent=2)
    (truth / "faults.json").write_text(listed + "\n")


def _apply(out: Path, directory: Path, fault: Fault, source: str, day: date) -> None:
    if fault.kind == "missing":
        shutil.rmtree(directory)
    elif fault.kind == "late":
        arrival = out / "_redelivered" / f"on={day + timedelta(days=1)}" / source
        arrival.mkdir(parents=True, exist_ok=True)
        shutil.move(directory, arrival / directory.name)
    else:
        _rewrite(
            directory,
            source,
            lambda rows: _changed(rows, fault, source, random.Random(f"{fault} {day}")),
        )


def _changed(rows: Rows, fault: Fault, source: str, draw: random.Random) -> Rows:
    match fault.kind:
        case "halved":
            return [row for row in rows if draw.random() < 0.5]
        case "doubled":
            return [row for row in rows for _ in range(2)]
        case "holiday":
            key = _ON_HOLIDAY[source]
            return [row for row in rows if _kept(fault, row[key])]
        case "null_drift":
            return [
                {**row, str(fault.column): None} if draw.random() < _NULLED_SHARE else row
                for row in rows
            ]
        case "unit_change":
            assert fault.column is not None
            return [{**row, fault.column: _hundredfold(row.get(fault.column))} for row in rows]
    raise ValueError(f"There is no fault of the kind {fault.kind!r}: {', '.join(KINDS)}")


def _kept(fault: Fault, key: object) -> bool:
    digest = hashlib.sha256(f"{fault.first} {key}".encode()).digest()
    return int.from_bytes(digest[:4]) < HOLIDAY_SHARE * 2**32


def _hundredfold(value: Any) -> Any:
    if isinstance(value, str):
        return f"{float(value) * 100:.2f}" if value else value
    return None if value is None else value * 100


def _rewrite(directory: Path, source: str, change: Callable[[Rows], Rows]) -> None:
    """Change the rows of the day's file, and its manifest accordingly."""
    path = next(path for path in directory.iterdir() if path.stem == source)
    read, write = _FORMATS[path.suffix]
    rows = read(path)
    changed = change(rows)
    content = write(changed, path, list(rows[0]) if rows else [])
    path.unlink()  # only the link: the file of the original zone stays
    path.write_bytes(content)
    manifest = directory / "_manifest.json"
    document = json.loads(manifest.read_bytes())
    digest = hashlib.sha256(content).hexdigest()
    document["files"] = [
        {"name": path.name, "rows": len(changed), "bytes": len(content), "sha256": digest}
    ]
    manifest.unlink()
    manifest.write_text(json.dumps(document, indent=2) + "\n")


def _read_csv(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_csv(rows: Rows, path: Path, columns: list[str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _write_parquet(rows: Rows, path: Path, columns: list[str]) -> bytes:
    schema, sink = pq.read_schema(path), pa.BufferOutputStream()
    # A decimal may have become too large for its type.
    wider = [
        field.with_type(pa.decimal128(38, field.type.scale))
        if pa.types.is_decimal(field.type)
        else field
        for field in schema
    ]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(wider)), sink)
    return bytes(sink.getvalue())


_FORMATS: dict[str, tuple[Callable[[Path], Rows], Callable[[Rows, Path, list[str]], bytes]]] = {
    ".jsonl": (
        lambda path: [orjson.loads(line) for line in path.read_bytes().splitlines()],
        lambda rows, path, columns: b"".join(orjson.dumps(row) + b"\n" for row in rows),
    ),
    ".json": (
        lambda path: orjson.loads(path.read_bytes()),
        lambda rows, path, columns: orjson.dumps(rows),
    ),
    ".csv": (_read_csv, _write_csv),
    ".parquet": (lambda path: pq.read_table(path).to_pylist(), _write_parquet),
}


def copy_with_faults(
    zone: Path, out: Path, first: date, *, days: int, seed: int, every: int
) -> None:
    """Copy the landing zone `zone` to `out` with labelled faults, and print them."""
    faults = plan(first, days, seed, every)
    try:
        inject(zone, out, faults)
    except (OSError, ValueError) as error:
        raise AnalyticsError(
            f"{error}. --from must be a landing zone made without defects "
            "(docs/reference/synthetic-company.md), and --out must not exist."
        ) from error
    for fault in faults:
        what = f"{fault.kind:12} {fault.source} {fault.column or ''}".rstrip()
        print(f"{fault.first} {fault.days} days  {what}")
