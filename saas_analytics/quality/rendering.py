"""Renders the HTML templates of this package. The pages have no script and load nothing.

Autoescape is on, so a value of the data cannot become HTML. A missing value is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

_GOOD = frozenset({"success", "pass", "no-op", "complete", "fresh"})
_BAD = frozenset(
    {"error", "fail", "rows are lost", "does not add up", "not landed", "stale", "anomaly"}
)


def render(template: str, **values: object) -> str:
    """The page of a file in templates/. jinja2.UndefinedError if it uses a value not given."""
    return _ENVIRONMENT.get_template(template).render(values)


def number(value: float | None) -> str:
    """Three significant digits, or all digits before the point; "" for None."""
    if value is None:
        return ""
    return whole(value) if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"


def whole(value: float) -> str:
    """A number without decimals, with commas between thousands."""
    return f"{value:,.0f}"


def colour(status: str) -> str:
    """The CSS class of a status."""
    return "good" if status in _GOOD else "bad" if status in _BAD else "mind"


def is_numeric(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether a column holds only numbers and None. Such columns are aligned to the right."""
    return all(isinstance(row.get(column), int | float | None) for row in rows)


def points(
    days: Sequence[tuple[str, float, bool]], width: float, height: float
) -> list[tuple[float, float]]:
    """The points (x, y) of a sparkline in pixels, from 0 at the bottom to the largest value."""
    most = max((value for _, value, _ in days), default=0) or 1
    step = width / max(len(days) - 1, 1)
    return [
        (round(step * index, 1), round(height - 3 - (height - 6) * value / most, 1))
        for index, (_, value, _) in enumerate(days)
    ]


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("saas_analytics.quality"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(number=number, whole=whole, colour=colour, points=points)
_ENVIRONMENT.tests.update(good=_GOOD.__contains__, bad=_BAD.__contains__, numeric=is_numeric)
