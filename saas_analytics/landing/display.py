"""Shows the progress of a run: a line for each result, and on a terminal a bar below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from saas_analytics.landing.outcome import Outcome, conclusion, totals


class Display:
    """Writes to `stream`, one line at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._write = self._print

    def show(self, text: str) -> None:
        """Write a line, above the bar if there is one."""
        self._write(text)

    def show_summary(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Write the result of a run: a table with a row for each source, and the sums."""
        if cells := totals(outcomes):
            from rich.console import Console

            from saas_analytics.console import print_table

            numeric = range(1, len(cells[0]))
            print_table(cells, numeric, Console(file=self._stream, highlight=False))
        if text := conclusion(outcomes, seconds):
            self.show(text)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[int], None]]:
        """A bar of `total` bytes on a terminal, nothing elsewhere.

        Yields the function to call with the number of bytes of each step.
        """
        if not self._stream.isatty():
            yield lambda size: None
            return
        # Only for a bar: rich takes 3 MB, and a tenth of the time of a small landing.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TransferSpeedColumn,
        )

        console = Console(file=self._stream)
        columns = (TextColumn("landing"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("landing", total=total)
            self._write = lambda text: console.print(text, markup=False, highlight=False)
            try:
                yield lambda size: progress.advance(bar, size)
            finally:
                self._write = self._print

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
