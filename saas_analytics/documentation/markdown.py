"""Pieces of Markdown for pages that are made and not written."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

_MARKS = re.compile(r"([\\*_\[\]<>{}$#~^|])")


def text(words: object) -> str:
    """Words as they are: nothing in them is Markdown, but for `code`."""
    parts = " ".join(str(words).split()).split("`")
    if len(parts) % 2 == 0:  # a backtick too many: none of them is a mark
        return _MARKS.sub(r"\\\1", "`".join(parts)).replace("`", "\\`")
    escaped = (_MARKS.sub(r"\\\1", part) if n % 2 == 0 else code(part) for n, part in enumerate(parts))
    return "".join(escaped)


def code(words: object) -> str:
    """As code, also in a table; empty where there is nothing."""
    plain = str(words).replace("|", "\\|").replace("`", "'")
    return f"`{plain}`" if plain else ""


def table(heading: Sequence[str], rows: Iterable[Sequence[str]], numbers: Container[int] = ()) -> str:
    """A table of cells that are Markdown; empty where there is no row. `numbers`: the columns set to the right."""
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    if not lines:
        return ""
    rule = "|" + "|".join(" ---: " if number in numbers else " --- " for number in range(len(heading))) + "|"
    return "\n".join(["| " + " | ".join(heading) + " |", rule, *lines, ""])
