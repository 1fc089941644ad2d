"""The keys that a file has had, for a mapping's `distinct`: on disk beyond some megabytes."""

from __future__ import annotations

import sqlite3
import tempfile

_MOST_IN_MEMORY = 200_000
_CACHE_KILOBYTES = 16 * 1024


class DistinctKeys:
    """A set of digests that only grows. close() deletes its temporary file."""

    def __init__(self) -> None:
        self._recent: set[bytes] = set()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._older: sqlite3.Connection | None = None

    def add(self, key: bytes) -> bool:
        """Add a key. Returns whether it is new."""
        if key in self._recent:
            return False
        if (
            self._older
            and self._older.execute("select 1 from keys where key = ?", [key]).fetchone()
        ):
            return False
        self._recent.add(key)
        if len(self._recent) == _MOST_IN_MEMORY:
            self._put_on_disk()
        return True

    def close(self) -> None:
        if self._older:
            self._older.close()
        if self._directory:
            self._directory.cleanup()

    def _put_on_disk(self) -> None:
        if self._older is None:
            self._directory = tempfile.TemporaryDirectory(prefix="landing-")
            self._older = sqlite3.connect(f"{self._directory.name}/keys", isolation_level=None)
            # Durability costs time, and nobody reads this after the process.
            for setting in (
                "journal_mode = off",
                "synchronous = off",
                f"cache_size = -{_CACHE_KILOBYTES}",
            ):
                self._older.execute(f"pragma {setting}")
            self._older.execute("create table keys (key blob primary key) without rowid")
        self._older.execute("begin")
        self._older.executemany(
            "insert into keys values (?)", ([key] for key in sorted(self._recent))
        )
        self._older.execute("commit")
        self._recent.clear()
