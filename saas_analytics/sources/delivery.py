"""The files of a delivery: published together, each with a manifest that describes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from saas_analytics.landing.manifest import MANIFEST
from saas_analytics.sources.files import AtomicFile, Written


class Unfinished(Protocol):
    """A file that does not have its name yet."""

    def publish(self) -> None: ...

    def discard(self) -> None: ...


@contextmanager
def all_or_nothing() -> Iterator[list[Unfinished]]:
    """Publish the files of the list in order at the end. After an error, discard them."""
    files: list[Unfinished] = []
    try:
        yield files
        while files:
            files[0].publish()
            files.pop(0)
    finally:
        for file in files:
            file.discard()


def manifest_of(
    file: Written, day: str, schema_version: str, made_from: Mapping[str, str | int]
) -> AtomicFile:
    """The complete manifest of a complete file, in the same directory.

    `schema_version` is that of the contract of its source; `made_from` is the origin of the rows.
    """
    content = {
        "source": file.source,
        "day": day,
        "schema_version": schema_version,
        **made_from,
        "files": [
            {"name": file.path.name, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}
        ],
    }
    manifest = AtomicFile(file.path.with_name(MANIFEST))
    manifest.write((json.dumps(content, indent=2) + "\n").encode())
    manifest.complete()
    return manifest
