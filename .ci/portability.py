"""Keeps model SQL portable: SQL of a single engine belongs in dispatched macros, not in dbt/models.

    python .ci/portability.py [FILE...]

Comments and Jinja are skipped, so the text that a macro renders is not checked. Exit code 1 if
something is found.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MODELS = Path("dbt/models")

# Patterns that only PostgreSQL understands, and what to write instead.
FORBIDDEN = {
    r"::": "cast(x as type)",
    r"\bdistinct\s+on\b": "row_number() and a filter",
    r"\bgenerate_series\b": "the macro days_between",
    r"\bunnest\b": "a dispatched macro",
    r"\bstring_agg\b": "a dispatched macro",
    r"!?~\*?": "a reading macro of macros/portable/reading.sql",
    r"#?->>?": "the macros document_text and document_json",
    r"\bto_(char|date|timestamp|number)\b": "the macros of macros/portable",
    r"\bat\s+time\s+zone\b": "the macro day_of",
    r"\bdate_trunc\b": "the macro period_of",
    r"\bextract\s*\(": "the macros of macros/portable/calendar.sql",
    r"\binterval\b": "the macros plus_days and plus_periods",
    r"\b(double\s+precision|float|real)\b": "numeric(p, s)",
    r"\b(now|clock_timestamp|random)\s*\(": "the model as_of: a build must not depend on its time",
    r"\bcurrent_(date|time|timestamp)\b": "the model as_of: a build must not depend on its time",
    r"\b(is\s+(not\s+)?distinct\s+from|ilike|similar\s+to)\b": "a dispatched macro",
    r'"': "a name that needs no quotes",
}

_SILENT = re.compile(
    r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|/\*.*?\*/|--[^\n]*|'(?:[^']|'')*'", re.DOTALL
)


def findings(sql: str) -> Iterator[tuple[int, str, str]]:
    """The line, the text and its replacement, for each piece of SQL that is not portable."""
    # Blanks in place of the skipped parts keep the line numbers.
    plain = _SILENT.sub(lambda part: re.sub(r"[^\n]", " ", part.group()), sql)
    for pattern, instead in FORBIDDEN.items():
        for found in re.finditer(pattern, plain, re.IGNORECASE):
            yield plain.count("\n", 0, found.start()) + 1, found.group(), instead


def main(arguments: list[str]) -> int:
    files = [Path(name) for name in arguments] or sorted(MODELS.rglob("*.sql"))
    broken = 0
    for file in files:
        for line, found, instead in sorted(findings(file.read_text())):
            print(f"{file}:{line}: {found!r} is not portable; write {instead}")
            broken += 1
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
