"""Draws diagrams as SVG without an external program: boxes from left to right, and curves.

`draw` takes boxes and edges; `flowchart` reads the part of Mermaid's language that pages use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

# In pixels, for a monospaced font of 12 pixels.
CHARACTER, ROW, HEADING, PADDING = 7.3, 19.0, 27.0, 11.0
GAP_ACROSS, GAP_DOWN, GAP_OF_LABEL = 48.0, 20.0, 44.0
SWEEPS = 8  # passes that order the boxes in the columns


class DiagramError(Exception):
    """A diagram cannot be drawn. The message names the line or box, and the remedy."""


@dataclass(frozen=True, slots=True)
class Box:
    """A heading, and rows. Each row is a mark (PK, FK or empty) and a text."""

    title: str
    rows: tuple[tuple[str, str], ...] = ()
    link: str | None = None
    kind: str = "plain"  # the CSS class, for its colour

    @property
    def lines(self) -> list[str]:
        return self.title.split("\n")

    @property
    def width(self) -> float:
        rows = max((len(text) + 4 for _, text in self.rows), default=0)
        return CHARACTER * max(rows, *(len(line) for line in self.lines)) + 2 * PADDING

    @property
    def height(self) -> float:
        if not self.title:
            return 0
        heading = HEADING + ROW * (len(self.lines) - 1)
        return heading + (ROW * len(self.rows) + PADDING / 2 if self.rows else 0)


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge from a box to a box on its right.

    `left_row` and `right_row` are the texts of the rows at which it ends; None means the heading.
    """

    left: str
    right: str
    left_row: str | None = None
    right_row: str | None = None
    label: str = ""
    dashed: bool = False


Place = tuple[float, float]  # x and y of the upper left corner
_PASSAGE = Box("")


def draw(boxes: Mapping[str, Box], edges: Sequence[Edge], title: str) -> str:
    """An SVG element. theme/static/site.css sets its colours. DiagramError if there is a cycle."""
    depths = _depths(boxes, edges)
    # An edge across a column gets a place in it, so that it does not run under a box.
    passing = {
        (edge, depth): f"{n} {depth}"
        for n, edge in enumerate(edges)
        for depth in _passed(edge, depths)
    }
    everything = {**boxes, **dict.fromkeys(passing.values(), _PASSAGE)}
    hops = [hop for edge in edges for hop in _hops(edge, passing, depths)]
    columns = _columns(
        boxes, hops, {**depths, **{name: depth for (_, depth), name in passing.items()}}
    )
    places, width, height = _places(everything, edges, columns)
    parts = [
        f'<svg class="diagram" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(title, quote=True)}" xmlns="http://www.w3.org/2000/svg">'
    ]
    across = {
        name: max(everything[n].width for n in column) for column in columns for name in column
    }
    for edge in edges:
        stops = [
            (places[name][0], places[name][0] + across[name], places[name][1])
            for depth in _passed(edge, depths)
            for name in (passing[edge, depth],)
        ]
        parts.append(_curve(boxes, places, edge, stops))
    parts += [_rectangle(boxes[name], places[name]) for name in boxes]
    parts += [_label(boxes, places, edge) for edge in edges if edge.label]
    return "".join([*parts, "</svg>"])


def _passed(edge: Edge, depths: Mapping[str, int]) -> range:
    return range(depths[edge.left] + 1, depths[edge.right])


def _hops(
    edge: Edge, passing: Mapping[tuple[Edge, int], str], depths: Mapping[str, int]
) -> list[tuple[str, str]]:
    stops = [edge.left, *(passing[edge, depth] for depth in _passed(edge, depths)), edge.right]
    return list(pairwise(stops))


def flowchart(text: str) -> str:
    """The SVG of a flow chart in a subset of Mermaid's language. DiagramError for anything else."""
    boxes: dict[str, Box] = {}
    edges: list[Edge] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.strip() == "flowchart LR":
            continue
        match = _ARROW.fullmatch(line.strip())
        if match is None:
            raise DiagramError(
                f"Line {number} of the diagram cannot be drawn: {line.strip()!r}. "
                "Supported are `flowchart LR` and arrows `a[text] -->|text| b[(text)]`. "
                "Rewrite it, or extend diagrams.py."
            )
        for name, round_open, label in (match.group("a", "ra", "ta"), match.group("b", "rb", "tb")):
            if label is not None:
                boxes[name] = Box(
                    label.replace("<br>", "\n"), kind="table" if round_open else "plain"
                )
            elif name not in boxes:
                boxes[name] = Box(name)
        edges.append(Edge(match["a"], match["b"], label=match["label"] or ""))
    return draw(boxes, edges, "Flow chart")


_ARROW = re.compile(
    r"(?P<a>\w+)(?:\[(?P<ra>\()?(?P<ta>.+?)\)?\])?"
    r" *-->(?:\|(?P<label>[^|]+)\|)? *"
    r"(?P<b>\w+)(?:\[(?P<rb>\()?(?P<tb>.+?)\)?\])?"
)


def _depths(boxes: Mapping[str, Box], edges: Sequence[Edge]) -> dict[str, int]:
    """The column of each box with an edge: to the right of all boxes that lead to it."""
    lefts: dict[str, set[str]] = {name: set() for edge in edges for name in (edge.left, edge.right)}
    for edge in edges:
        lefts[edge.right].add(edge.left)
    depths: dict[str, int] = {}

    def depth_of(name: str, seen: frozenset[str]) -> int:
        if name in seen:
            raise DiagramError(
                f"The diagram has a cycle through {name}. It cannot be drawn from left to right."
            )
        if name not in depths:
            depths[name] = max(
                (depth_of(left, seen | {name}) + 1 for left in lefts[name]), default=0
            )
        return depths[name]

    return {name: depth_of(name, frozenset()) for name in boxes if name in lefts}


def _columns(
    boxes: Mapping[str, Box], hops: Sequence[tuple[str, str]], depths: Mapping[str, int]
) -> list[list[str]]:
    """The names in each column, close to their neighbours. Boxes without edges fill gaps."""
    columns: list[list[str]] = [[] for _ in range(max(depths.values(), default=0) + 1)]
    for name, depth in depths.items():
        columns[depth].append(name)
    neighbours: dict[str, list[str]] = {name: [] for name in depths}
    for left, right in hops:
        neighbours[left].append(right)
        neighbours[right].append(left)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            rank = {name: n / len(other) for other in columns for n, name in enumerate(other)}
            column.sort(key=lambda name: _mean([rank[n] for n in neighbours[name]], rank[name]))
    for name in boxes:
        if name not in depths:
            least = min(
                columns,
                key=lambda column: sum(boxes[n].height + GAP_DOWN for n in column if n in boxes),
            )
            least.append(name)
    return columns


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _places(
    boxes: Mapping[str, Box], edges: Sequence[Edge], columns: Sequence[Sequence[str]]
) -> tuple[dict[str, Place], float, float]:
    heights = [
        sum(boxes[name].height + GAP_DOWN for name in column) - GAP_DOWN for column in columns
    ]
    places: dict[str, Place] = {}
    across = 1.0
    for column, height in zip(columns, heights, strict=True):
        down = 1 + (max(heights) - height) / 2
        for name in column:
            places[name] = (across, down)
            down += boxes[name].height + GAP_DOWN
        labels = [
            len(edge.label) * CHARACTER + GAP_OF_LABEL
            for edge in edges
            if edge.left in column and edge.label
        ]
        across += max((boxes[name].width for name in column), default=0) + max(
            [GAP_ACROSS, *labels]
        )
    right = max(places[name][0] + boxes[name].width for name in boxes)
    return places, right + 1, max(heights) + 2


def _ends(
    boxes: Mapping[str, Box], places: Mapping[str, Place], edge: Edge
) -> tuple[float, float, float, float]:
    x1, y1 = places[edge.left]
    x2, y2 = places[edge.right]
    left, right = boxes[edge.left], boxes[edge.right]
    return x1 + left.width, y1 + _row(left, edge.left_row), x2, y2 + _row(right, edge.right_row)


def _row(box: Box, text: str | None) -> float:
    texts = [row for _, row in box.rows]
    if text is None or text not in texts:
        return box.height / 2 if not box.rows else HEADING / 2
    return HEADING + ROW * (len(box.lines) - 1) + ROW * (texts.index(text) + 0.5)


def _curve(
    boxes: Mapping[str, Box],
    places: Mapping[str, Place],
    edge: Edge,
    stops: Sequence[tuple[float, float, float]],
) -> str:
    """The SVG of an edge. A stop is a straight part: its first x, its last x, and its y."""
    x1, y1, x2, y2 = _ends(boxes, places, edge)
    path, x, y = [f"M{x1:.1f},{y1:.1f}"], x1, y1
    for begin, end, down in [*stops, (x2, x2, y2)]:
        bend = max(24.0, (begin - x) / 2)
        path.append(f"C{x + bend:.1f},{y:.1f} {begin - bend:.1f},{down:.1f} {begin:.1f},{down:.1f}")
        if end > begin:
            path.append(f"H{end:.1f}")
        x, y = end, down
    if edge.left_row is not None or edge.right_row is not None:
        # A reference: one row at the left, any number at the right.
        ends = f'<path d="M{x1 + 8:.1f},{y1 - 5:.1f} v10 M{x2:.1f},{y2 - 5:.1f} l-9,5 l9,5"/>'
    else:
        ends = f'<path class="arrow" d="M{x2 - 8:.1f},{y2 - 4.5:.1f} l8,4.5 l-8,4.5 z"/>'
    kind = "edge dashed" if edge.dashed else "edge"
    return f'<g class="{kind}">{_title(edge)}<path d="{" ".join(path)}"/>{ends}</g>'


def _title(edge: Edge) -> str:
    """The tooltip of an edge, which screen readers read out."""
    left, right = (
        f"{name}.{row}" if row else name
        for name, row in ((edge.left, edge.left_row), (edge.right, edge.right_row))
    )
    return f"<title>{escape(left)} → {escape(right)}</title>"


def _label(boxes: Mapping[str, Box], places: Mapping[str, Place], edge: Edge) -> str:
    x1, y1, x2, y2 = _ends(boxes, places, edge)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    place = f'x="{x:.1f}" y="{y - 4:.1f}" text-anchor="middle"'
    return f'<text class="label" {place}>{escape(edge.label)}</text>'


def _rectangle(box: Box, place: Place) -> str:
    x, y = place
    heading = HEADING + ROW * (len(box.lines) - 1)
    size = f'width="{box.width:.1f}" height="{box.height:.1f}"'
    parts = [
        f'<g class="box {box.kind}" transform="translate({x:.1f},{y:.1f})">'
        f'<rect class="body" {size} rx="5"/>'
    ]
    parts.append(
        f'<path class="head" d="{_round_top(box.width, heading, open_below=bool(box.rows))}"/>'
    )
    for number, line in enumerate(box.lines):
        parts.append(
            f'<text class="title" x="{PADDING}" y="{18 + ROW * number}">{escape(line)}</text>'
        )
    for number, (mark, text) in enumerate(box.rows):
        down = heading + ROW * number + 14
        parts.append(f'<text class="mark" x="{PADDING}" y="{down:.1f}">{escape(mark)}</text>')
        parts.append(
            f'<text x="{PADDING + 4 * CHARACTER:.1f}" y="{down:.1f}">{escape(text)}</text>'
        )
    inside = "".join([*parts, "</g>"])
    return f'<a href="{escape(box.link, quote=True)}">{inside}</a>' if box.link else inside


def _round_top(width: float, height: float, *, open_below: bool) -> str:
    """The outline of a heading: rounded at the top, and at the bottom if no row follows."""
    below = f"V{height} H0" if open_below else f"V{height - 5} q0,5 -5,5 H5 q-5,0 -5,-5"
    return f"M0,5 q0,-5 5,-5 H{width - 5:.1f} q5,0 5,5 {below} Z"
