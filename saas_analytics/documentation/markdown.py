"""Pieces of Markdown for generated pages."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

_MARKS = re.compile(r"([\\*_\[\]<>{}$#~^|])")


def text(words: object) -> str:
    """`words` with every mark of Markdown escaped, except `code`."""
    parts = " ".join(str(words).split()).split("`")
    if len(parts) % 2 == 0:  # an odd number of backticks: escape them all
        return _MARKS.sub(r"\\\1", "`".join(parts)).replace("`", "\\`")
    escaped = (
        _MARKS.sub(r"\\\1", part) if n % 2 == 0 else code(part) for n, part in enumerate(parts)
    )
    return "".join(escaped)


def code(words: object) -> str:
    """`words` as code, safe in a table too; "" for no words."""
    plain = str(words).replace("|", "\\|").replace("`", "'")
    return f"`{plain}`" if plain else ""


def table(
    heading: Sequence[str], rows: Iterable[Sequence[str]], numbers: Container[int] = ()
) -> str:
    """A table of Markdown cells; "" without rows. `numbers`: indexes of columns to align right."""
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    if not lines:
        return ""
    rule = (
        "|"
        + "|".join(" ---: " if number in numbers else " --- " for number in range(len(heading)))
        + "|"
    )
    return "\n".join(["| " + " | ".join(heading) + " |", rule, *lines, ""])
