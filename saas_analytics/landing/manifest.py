"""The `_manifest.json` beside the files of a day: what whoever delivered them says that there must be.

A manifest is optional. Where there is one, a day whose files are others lands nothing: half a delivery is not a day.
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
    """What the manifest says of one file; None where it says nothing."""

    name: str
    rows: int | None
    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the files of a day must be. Each check raises FileRefused with the file and both numbers."""

    path: Path
    entries: tuple[Entry, ...]

    def check_files(self, paths: Sequence[Path]) -> None:
        """Whether exactly these files lie there, with these sizes. It costs nothing, so it comes before reading."""
        there = {path.name: path for path in paths}
        listed = {entry.name for entry in self.entries}
        if lacking := sorted(listed - set(there)):
            raise self._error(
                f"names {', '.join(lacking)}, which is not there: the delivery is not complete"
            )
        if more := sorted(set(there) - listed):
            raise self._error(f"does not name {', '.join(more)}, which lies there")
        for entry in self.entries:
            size = there[entry.name].stat().st_size
            if entry.size is not None and size != entry.size:
                raise self._error(f"says {entry.size:,} bytes for {entry.name}, which has {size:,}")

    def check_digests(self, read: Sequence[Fingerprint]) -> None:
        """Whether the bytes that were read are those that were delivered."""
        digests = {one.name: one.sha256 for one in read}
        for entry in self.entries:
            digest = digests.get(
                entry.name
            )  # None: the file is refused, and told with its own message
            if None not in (digest, entry.sha256) and digest != entry.sha256:
                raise self._error(
                    f"says sha256 {entry.sha256} for {entry.name}, which has {digest}"
                )

    def check_rows(self, read: Mapping[str, int]) -> None:
        """Whether no record was lost.

        More records are no disagreement: the end of a broken JSON array, for one, is a reject of its own.
        """
        for entry in self.entries:
            rows = read.get(entry.name)
            if rows is not None and entry.rows is not None and rows < entry.rows:
                raise self._error(
                    f"says {entry.rows:,} rows for {entry.name}, in which {rows:,} were found"
                )

    def _error(self, what: str) -> FileRefused:
        return FileRefused(f"{self.path} {what}. Nothing of this day was landed; deliver it again.")


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest in the directory of a day, if it has one."""
    path = directory / MANIFEST
    try:
        document = json.loads(path.read_bytes())
        return Manifest(path, tuple(_entry(entry) for entry in document["files"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileRefused(
            f"{path} is not a manifest ({type(error).__name__}: {error}). It needs files: a list of name, rows, bytes "
            "and sha256. Nothing of this day was landed; deliver it again, or remove the manifest."
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
        raise ValueError(f"{key} is {value!r}, and not a whole number")
    return value
