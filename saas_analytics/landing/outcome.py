"""The outcome of landing one thing, and how it is shown: as a line, in a table, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

from saas_analytics.landing.drift import Drift
from saas_analytics.landing.load_log import Counts

Status = Literal["landed", "replaced", "unchanged", "absent", "failed"]


_HEADINGS = (
    "days",
    "files",
    "read",
    "landed",
    "rejected",
    "filtered",
    "drift",
    "unchanged",
    "failed",
    "seconds",
    "rows/s",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one source and day of the landing zone, or of one external file and source."""

    source: str
    day: date
    status: Status
    name: str | None = None  # of the external file
    files: int = 0
    counts: Counts = Counts()  # noqa: RUF009 - frozen
    seconds: float = 0.0
    message: str = ""  # why it failed, or another note
    load_id: int | None = None
    drift: Drift = Drift()  # noqa: RUF009 - frozen
    dry_run: bool = False  # everything was rolled back
    delivered_on: date | None = None  # of a corrected delivery: the day of its arrival

    @property
    def landed(self) -> bool:
        return self.status in ("landed", "replaced")

    def line(self) -> str:
        """One line for a log."""
        what = f"{self.source} {self.day}" + (f" {self.name}" if self.name else "")
        if self.delivered_on:
            what += f", delivered again on {self.delivered_on}"
        if self.status == "absent":
            return f"{what}: no file"
        if self.status == "unchanged":
            return f"{what}: nothing to do, {self.message or 'the same bytes landed before'}"
        if self.status == "failed":
            return f"{what}: FAILED: {self.message}"
        status = f"would be {self.status}" if self.dry_run else self.status
        text = f"{what}: {status}, {self.counts.landed} rows in {self.seconds:.2f} s"
        if self.counts.rejected:
            text += f", {self.counts.rejected} rejected"
        if self.counts.filtered:
            text += f", {self.counts.filtered} filtered"
        if self.drift.unknown:
            text += f", not in the contract: {', '.join(self.drift.unknown)}"
        if self.drift.missing:
            text += f", missing: {', '.join(self.drift.missing)}"
        return text + (f" ({self.message})" if self.message else "")


_ALWAYS = ("files", "read", "landed", "rejected", "drift", "seconds", "rows/s")


def _numbers(group: Sequence[Outcome]) -> dict[str, float]:
    counts = sum((outcome.counts for outcome in group), Counts())
    seconds = sum(outcome.seconds for outcome in group)
    return {
        "days": len({outcome.day for outcome in group}),
        "files": sum(outcome.files for outcome in group),
        "read": counts.read,
        "landed": counts.landed,
        "rejected": counts.rejected,
        "filtered": counts.filtered,
        "drift": len(
            {name for outcome in group for name in (*outcome.drift.unknown, *outcome.drift.missing)}
        ),
        "unchanged": sum(outcome.status == "unchanged" for outcome in group),
        "failed": sum(outcome.status == "failed" for outcome in group),
        "seconds": seconds,
        "rows/s": counts.read / seconds if seconds else 0,
    }


def as_json(outcomes: Sequence[Outcome], seconds: float) -> str:
    """All outcomes and their sums as JSON, for programs."""
    total = sum((outcome.counts for outcome in outcomes), Counts())
    return json.dumps(
        {
            "ok": not any(outcome.status == "failed" for outcome in outcomes),
            "seconds": round(seconds, 3),
            "total": {"read": total.read, **asdict(total)},
            "outcomes": [
                {
                    **asdict(outcome),
                    "day": outcome.day.isoformat(),
                    "delivered_on": (outcome.delivered_on or outcome.day).isoformat(),
                    "counts": {"read": outcome.counts.read, **asdict(outcome.counts)},
                    "seconds": round(outcome.seconds, 3),
                }
                for outcome in outcomes
            ],
        },
        indent=2,
    )


def conclusion(outcomes: Sequence[Outcome], seconds: float) -> str:
    """The sum of all outcomes, in words."""
    lines = []
    total = sum((outcome.counts for outcome in outcomes), Counts())
    if any(outcome.dry_run for outcome in outcomes):
        lines.append("Dry run: everything was rolled back, nothing has changed.")
    if any(outcome.landed for outcome in outcomes):
        lines.append(
            f"{total.read:,} rows read = {total.landed:,} landed + {total.rejected:,} rejected"
            f" + {total.filtered:,} filtered, in {seconds:.1f} s"
        )
    elif {outcome.status for outcome in outcomes} - {"absent"} == {"unchanged"}:
        lines.append("Nothing to do: everything landed before.")
    return "\n".join(lines)


def totals(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """The cells of a table: a heading, and a row for each source. Empty if there was no file."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.status != "absent":
            groups.setdefault(outcome.source, []).append(outcome)
    rows = {source: _numbers(group) for source, group in groups.items()}
    if not rows:
        return []
    # A narrow terminal has no room for columns that are all zero.
    shown = [
        name
        for name in _HEADINGS
        if name in _ALWAYS or any(numbers[name] for numbers in rows.values())
    ]
    cells = [("source", *shown)]
    for source, numbers in rows.items():
        digits = {"seconds": 2}
        values = (f"{numbers[name]:,.{digits.get(name, 0)}f}" for name in shown)
        cells.append((source, *values))
    return cells
