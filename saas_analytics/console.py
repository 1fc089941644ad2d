"""What the commands of the stack say to people: steps with their time, notes, errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from saas_analytics.settings import Settings

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def login(settings: Settings, user: str, key: str) -> str:
    """How to log in. The password is for eyes alone: what goes to a file or a log names its key instead."""
    return (
        f"user {user}, password {settings.secret(key) if console.is_terminal else f'{key} in .env'}"
    )


def note(text: str) -> None:
    console.print(f"[dim]  {_plain(text)}[/dim]")


def warn(text: str) -> None:
    console.print(f"[yellow]! {_plain(text)}[/yellow]")


def fail(text: str) -> None:
    first, _, rest = text.partition("\n")
    errors.print(f"[bold red]error:[/bold red] {_plain(first)}")
    if rest:
        errors.print(_plain(rest))


def table_of(rows: Sequence[Sequence[str]], numeric: Collection[int] = ()) -> Table:
    """Rows with their columns aligned, those numbered in `numeric` to the right."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for number in range(len(rows[0])):
        table.add_column(
            justify="right" if number in numeric else "left", no_wrap=True, overflow="ignore"
        )
    for row in rows:
        table.add_row(*map(_plain, row))
    return table


def print_table(
    rows: Sequence[Sequence[str]], numeric: Collection[int] = (), to: Console = console
) -> None:
    """Print rows as a table. Lines are never broken, so that an address can be copied."""
    table = table_of(rows, numeric)
    widest = Measurement.get(to, to.options.update(max_width=10_000), table).maximum
    for line in to.render_lines(table, to.options.update_width(widest), pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        to.print(text, soft_wrap=True)


@contextmanager
def step(title: str) -> Iterator[Callable[[str], None]]:
    """Show `title` while its block runs and the time that it took at the end; the block may say how far it is."""
    began, last = time.monotonic(), ""
    with console.status(_plain(title)) as status:

        def progress(detail: str) -> None:
            nonlocal last
            if detail == last:
                return
            last = detail
            status.update(f"{_plain(title)}: {_plain(detail)}")
            if not console.is_terminal:
                console.print(f"  {_plain(title)}: {_plain(detail)}")

        yield progress
    console.print(f"[green]✓[/green] {_plain(title)} [dim]{time.monotonic() - began:.1f} s[/dim]")


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
