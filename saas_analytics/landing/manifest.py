"""The `_manifest.json` next to the files of a day, in which the sender lists them.

A manifest is optional. If it disagrees with the files, nothing of the day lands: half a delivery is
not a day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saas_analytics.landing.errors import FileRefused
from saas_analytics.landing.files import Fingerprint

MANIFEST = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry of one file in the manifest; each value is None if it is not given."""

    name: str
    rows: int | None
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files that a day must have. A failed check raises FileRefused with both values."""

    path: Path
    entries: tuple[Entry, ...]

    def check_files(self, paths: Sequence[Path]) -> None:
        """Check that exactly these files are there, with these sizes. Cheap, so before reading."""
        there = {path.name: path for path in paths}
        listed = {entry.name for entry in self.entries}
        if lacking := sorted(listed - set(there)):
            raise self._error(
                f"names {', '.join(lacking)}, which does not exist: the delivery is not complete"
            )
        if more := sorted(set(there) - listed):
            raise self._error(f"does not name {', '.join(more)}, which is in the directory")
        for entry in self.entries:
            size = there[entry.name].stat().st_size
            if entry.size is not None and size != entry.size:
                raise self._error(f"says {entry.size:,} bytes for {entry.name}, which has {size:,}")

    def check_digests(self, read: Sequence[Fingerprint]) -> None:
        """Check that the bytes that were read are those of the manifest."""
        digests = {one.name: one.sha256 for one in read}
        for entry in self.entries:
            digest = digests.get(entry.name)  # None: refused, which is reported by itself
            if None not in (digest, entry.sha256) and digest != entry.sha256:
                raise self._error(
                    f"says sha256 {entry.sha256} for {entry.name}, which has {digest}"
                )

    def check_rows(self, read: Mapping[str, int]) -> None:
        """Check that no record was lost.

        More records are fine: the end of a broken JSON array, for example, is a separate reject.
        """
        for entry in self.entries:
            rows = read.get(entry.name)
            if rows is not None and entry.rows is not None and rows < entry.rows:
                raise self._error(f"says {entry.rows:,} rows for {entry.name}, which has {rows:,}")

    def _error(self, what: str) -> FileRefused:
        return FileRefused(f"{self.path} {what}. Nothing of this day landed; deliver it again.")


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of a day's directory, if it has one. FileRefused if it cannot be read."""
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes())
        return Manifest(path, tuple(_entry(entry) for entry in document["files"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileRefused(
            f"{path} is not a manifest ({type(error).__name__}: {error}). It needs files: a list "
            "of name, rows, bytes and sha256. Nothing of this day landed; deliver it again, or "
            "remove the manifest."
        ) from error


def _entry(entry: dict[str, Any]) -> Entry:
    sha256 = entry.get("sha256")
    return Entry(
        str(entry["name"]),
        _whole(entry, "rows"),
        _whole(entry, "bytes"),
        sha256 and str(sha256).lower(),
    )


def _whole(entry: dict[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise ValueError(f"{key} is {value!r}, which is not a whole number")
    return value
