"""What commands print for people: steps with their time, notes, errors, tables."""

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
    """How to log in as `user`, with the password of the setting `key`.

    Only a terminal shows the password; a file or a log gets the name of the setting.
    """
    password = settings.secret(key) if console.is_terminal else f"{key} in .env"
    return f"user {user}, password {password}"


def note(text: str) -> None:
    """Print something that is good to know."""
    console.print(f"[dim]  {_plain(text)}[/dim]")


def warn(text: str) -> None:
    """Print something that may need attention."""
    console.print(f"[yellow]! {_plain(text)}[/yellow]")


def fail(text: str) -> None:
    """Print an error to standard error, its first line highlighted."""
    first, _, rest = text.partition("\n")
    errors.print(f"[bold red]error:[/bold red] {_plain(first)}")
    if rest:
        errors.print(_plain(rest))


def table_of(rows: Sequence[Sequence[str]], numeric: Collection[int] = ()) -> Table:
    """Rows with their columns aligned, those numbered in `numeric` to the right."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for number in range(len(rows[0])):
        table.add_column(
            justify="right" if number in numeric else "left", no_wrap=True, overflow="crop"
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
    """Show `title` while the block runs, and at the end the time that it took.

    The block gets a function that shows its progress.
    """
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
