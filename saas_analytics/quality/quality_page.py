"""The data-quality report as one HTML page: no script, nothing from elsewhere, in light and dark."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Sections = Mapping[str, Sequence[Row]]
Cell = Callable[[Any, Row], str]

_GOOD = frozenset({"success", "pass", "no-op", "complete", "fresh"})
_BAD = frozenset(
    {"error", "fail", "rows are lost", "does not add up", "not landed", "stale", "anomaly"}
)
_WIDTH, _HEIGHT = 260, 34  # of the curve of a source's rows
_MEANT = {
    "failures": "What did not pass in this run",
    "anomalies": "Anomalies of the last seven days",
    "volumes": "Rows landed, the last six weeks",
    "freshness": "Freshness of the sources",
    "completeness": "Completeness: what was delivered, and what became of it",
    "rejects": "Rejected rows by rule",
    "drift": "Schema drift of the last seven days",
    "reconciliations": "Reconciliations: models against each other and against what landed",
    "test_history": "Tests that did not always pass in the last 30 days",
    "slowest": "Slowest nodes",
}


def page(sections: Sections) -> str:
    """The page of what `saas_analytics.quality.quality_report.report` gives, as plain JSON values."""
    run = sections["run"][0]
    title = f"Data quality of {run['warehouse']}, {run['day']}"
    body = [
        f"<h1>{escaped(title)}</h1><p class=quiet>Run {escaped(run['run_id'])}</p>",
        _summary(sections),
    ]
    for name, heading in _MEANT.items():
        number = f"<span class=count>{len(sections[name])}</span>"
        body.append(
            f'<section id="{name}"><h2>{escaped(heading)} {number}</h2>{_SECTIONS[name](sections)}</section>'
        )
    return document(title, "".join(body))


def document(title: str, body: str, refresh: int | None = None) -> str:
    """A whole page in the look of these reports; it loads itself again after `refresh` seconds."""
    again = f"<meta http-equiv=refresh content={refresh}>" if refresh else ""
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'>{again}<title>{escaped(title)}</title>"
    return f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>"


def failing_rows(rows: Sequence[Row] | None) -> str:
    """The first rows that a test found, as a table to fold out."""
    if not rows:
        return ""
    return f"<details><summary>first {_counted(len(rows), 'row')}</summary>{table(rows)}</details>"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def table(rows: Sequence[Row], cells: Mapping[str, Cell] | None = None) -> str:
    """A table of the columns that `cells` names, each with how it is shown; of all columns where it is missing."""
    if not rows:
        return "<p class=quiet>None.</p>"
    shown = cells or dict.fromkeys(rows[0], _plain)
    numbers = {
        name for name in shown if all(isinstance(row.get(name), int | float | None) for row in rows)
    }
    numbers = {name for name in numbers if shown[name] in (_plain, as_number)}
    kind = {name: " class=number" if name in numbers else "" for name in shown}
    head = "".join(f"<th{kind[name]}>{escaped(name.replace('_', ' '))}</th>" for name in shown)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind[name]}>{cell(row.get(name), row)}</td>" for name, cell in shown.items()
        )
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def pill(status: Any, row: Row | None = None) -> str:
    """A status in the colour of what it means."""
    colour = "good" if status in _GOOD else "bad" if status in _BAD else "mind"
    return f'<span class="pill {colour}">{escaped(status)}</span>'


def _summary(sections: Sections) -> str:
    """What one has to know, in one row of cards; each leads to its section."""
    passed = sum(row["nodes"] for row in sections["outcomes"] if row["status"] in _GOOD)
    nodes = sum(row["nodes"] for row in sections["outcomes"])
    seconds = sum(row["seconds"] for row in sections["outcomes"])
    day = sections["run"][0]["day"]
    today = sum(row["day"] == day for row in sections["anomalies"])
    stale = sum(row["is_stale"] for row in sections["freshness"])
    incomplete = sum(row["verdict"] in _BAD for row in sections["completeness"]) + len(
        sections["missing"]
    )
    rejected = sum(row["rows"] for row in sections["rejects"])
    landed = sum(row["rows_landed"] for row in sections["completeness"])
    wrong = sum(row["status"] not in _GOOD for row in sections["reconciliations"])
    cards = [
        (
            "failures",
            f"{passed} of {nodes}",
            f"nodes passed, in {seconds:,.0f} s",
            not sections["failures"],
        ),
        ("anomalies", today, "anomalies today", not today),
        ("freshness", stale, f"stale of {len(sections['freshness'])} sources", not stale),
        ("completeness", incomplete, "sources missing or incomplete", not incomplete),
        (
            "reconciliations",
            wrong,
            f"of {len(sections['reconciliations'])} reconciliations failed",
            not wrong,
        ),
        ("rejects", f"{rejected:,}", f"rows rejected, {landed:,} landed", rejected <= landed / 100),
    ]
    return (
        "<nav>"
        + "".join(
            f'<a href="#{name}" class="card {"good" if fine else "bad"}"><b>{figure}</b>{escaped(text)}</a>'
            for name, figure, text, fine in cards
        )
        + "</nav>"
    )


def _failures(sections: Sections) -> str:
    def message(value: Any, row: Row) -> str:
        return f"<pre>{escaped(value or '')}</pre>{failing_rows(row['first_rows'])}"

    cells: dict[str, Cell] = {
        "node_id": _node,
        "status": pill,
        "failures": as_number,
        "message": message,
    }
    return table(sections["failures"], cells)


def _anomalies(sections: Sections) -> str:
    return table(
        sections["anomalies"],
        {
            "day": _plain,
            "metric": as_code,
            "value": as_number,
            "lower": as_number,
            "upper": as_number,
            "score": as_number,
            "reason": _plain,
        },
    )


def _volumes(sections: Sections) -> str:
    rows = [
        {"source": row["source"], "rows_today": row["days"][-1][1], "six_weeks": row["days"]}
        for row in sections["volumes"]
    ]
    return table(rows, {"source": as_code, "rows_today": as_number, "six_weeks": _curve})


def _freshness(sections: Sections) -> str:
    rows = [
        {**row, "status": "stale" if row["is_stale"] else "fresh"} for row in sections["freshness"]
    ]
    return table(
        rows, {"source": as_code, "status": pill, "age_hours": as_number, "limit_hours": as_number}
    )


def _completeness(sections: Sections) -> str:
    names = (
        "rows_in_manifest",
        "rows_read",
        "rows_landed",
        "rows_rejected",
        "rows_left_out",
        "loads",
    )
    cells: dict[str, Cell] = {"source": as_code, "verdict": pill, **dict.fromkeys(names, as_number)}
    missing = "".join(
        f"<p>{pill('not landed')} {as_code(row['source'], row)} landed the day before, and not on this day.</p>"
        for row in sections["missing"]
    )
    return missing + table(sections["completeness"], cells)


def _reconciliations(sections: Sections) -> str:
    wrong = [row for row in sections["reconciliations"] if row["status"] not in _GOOD]
    fine = [row for row in sections["reconciliations"] if row["status"] in _GOOD]
    cells: dict[str, Cell] = {
        "test": _words,
        "status": pill,
        "failures": as_number,
        "seconds": as_number,
    }
    folded = (
        f"<details><summary>{len(fine)} that agree</summary>{table(fine, cells)}</details>"
        if fine
        else ""
    )
    return (table(wrong, cells) if wrong else "<p>No difference.</p>") + folded


def _history(sections: Sections) -> str:
    def runs(value: Any, row: Row) -> str:
        marks = "".join(
            f'<i class="{"good" if one in _GOOD else "bad" if one in _BAD else "mind"}" title="{escaped(one)}"></i>'
            for one in value or ()
        )
        return f'<span class=runs title="oldest first">{marks}</span>'

    cells: dict[str, Cell] = {
        "test": _words,
        "not_passed": as_number,
        "runs": as_number,
        "last_runs": runs,
        "last_time": _time,
    }
    return table(sections["test_history"], cells)


def _slowest(sections: Sections) -> str:
    longest = max((row["seconds"] for row in sections["slowest"]), default=0) or 1

    def bar(value: Any, row: Row) -> str:
        return f'<span class=bar style="width:{100 * value / longest:.1f}%"></span>{as_number(value, row)}'

    cells: dict[str, Cell] = {
        "node_id": _node,
        "seconds": bar,
        "usual_seconds": as_number,
        "rows_affected": as_number,
    }
    return table(sections["slowest"], cells)


def _curve(days: Any, row: Row) -> str:
    """The rows of each day as a line, with a dot on each anomaly."""
    most = max((value for _, value, _ in days), default=0) or 1
    step = _WIDTH / max(len(days) - 1, 1)
    points = [
        (step * at, _HEIGHT - 3 - (_HEIGHT - 6) * value / most)
        for at, (_, value, _) in enumerate(days)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r=3><title>{escaped(day)}: {value:,.0f}</title></circle>'
        for (x, y), (day, value, is_anomaly) in zip(points, days, strict=True)
        if is_anomaly
    )
    frame = f'viewBox="-4 0 {_WIDTH + 8} {_HEIGHT}" width={_WIDTH} height={_HEIGHT}'
    return f'<svg {frame}><polyline points="{line}"/>{dots}</svg>'


def _plain(value: Any, row: Row) -> str:
    return (
        ""
        if value is None
        else as_number(value, row)
        if isinstance(value, int | float)
        else escaped(value)
    )


def as_number(value: Any, row: Row) -> str:
    """A number with as many digits as one reads."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"


def as_code(value: Any, row: Row) -> str:
    """A name."""
    return f"<code>{escaped(value)}</code>"


def _node(value: Any, row: Row) -> str:
    kind, _, name = str(value).split(".", 2)
    return f"<span class=quiet>{escaped(kind)}</span> {as_code(name.split('.')[0], row)}"


def _words(value: Any, row: Row) -> str:
    return escaped(str(value).replace("_", " "))


def _time(value: Any, row: Row) -> str:
    return escaped(str(value or "")[:16])


def escaped(value: Any) -> str:
    """As text that HTML takes for nothing else."""
    return html.escape(str(value))


def _simple(name: str) -> Callable[[Sections], str]:
    return lambda sections: table(sections[name])


_SECTIONS: Mapping[str, Callable[[Sections], str]] = {
    "failures": _failures,
    "anomalies": _anomalies,
    "volumes": _volumes,
    "freshness": _freshness,
    "completeness": _completeness,
    "rejects": _simple("rejects"),
    "drift": _simple("drift"),
    "reconciliations": _reconciliations,
    "test_history": _history,
    "slowest": _slowest,
}
_STYLE = """
:root{color-scheme:light dark;--ink:light-dark(#1c2430,#e4e8ee);--quiet:light-dark(#5d6878,#9aa6b6);
--page:light-dark(#f6f7f9,#14181e);--panel:light-dark(#fff,#1c222b);--line:light-dark(#e1e5ea,#303945);
--good:light-dark(#14703c,#5fd08f);--bad:light-dark(#b3261e,#ff8a80);--mind:light-dark(#8a5a00,#f0c05a);
--mark:light-dark(#2f6fdb,#7fb0ff)}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);
margin:2rem auto;max-width:76rem;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:0 0 .6rem}
.quiet{color:var(--quiet)}p{margin:.2rem 0 .6rem}
.count{font-size:.8rem;color:var(--quiet);border:1px solid var(--line);border-radius:1rem;
padding:0 .5rem;font-weight:400}
nav{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--panel);border:1px solid var(--line);border-left:5px solid;border-radius:.5rem;
padding:.7rem .9rem;text-decoration:none;color:var(--quiet)}
.card b{display:block;font-size:1.5rem;line-height:1.2;color:var(--ink)}
.card.good{border-left-color:var(--good)}.card.bad{border-left-color:var(--bad)}
section{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:1rem 1.2rem;margin:0 0 1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th{font-weight:600;color:var(--quiet);font-size:.85rem;text-align:left}
td,th{border-bottom:1px solid var(--line);padding:.3rem .7rem .3rem 0;vertical-align:top}
tr:last-child td{border-bottom:0}td:first-child{white-space:nowrap}
.number{text-align:right;font-variant-numeric:tabular-nums}
code{font:.9em ui-monospace,monospace}
pre{margin:0;font:.85em ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.pill{border:1px solid;border-radius:1rem;padding:0 .55rem;font-size:.85rem;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.mind{color:var(--mind)}
.runs i{display:inline-block;width:.55rem;height:1rem;margin-right:2px;border-radius:2px;background:currentColor}
.bar{display:inline-block;max-width:8rem;height:.7rem;margin-right:.5rem;background:var(--mark);border-radius:2px}
td:has(.bar){min-width:14rem;white-space:nowrap}
polyline{fill:none;stroke:var(--mark);stroke-width:1.5}circle{fill:var(--bad)}
summary{cursor:pointer;color:var(--mark)}details table{margin:.3rem 0}
"""
