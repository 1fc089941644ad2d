"""The files of one day in the landing zone: all sources, each with a manifest beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from data_gen.company.files import AtomicFile, Written
from data_gen.company.schemas import Source
from data_gen.company.writers import SourceWriter

MANIFEST = "_manifest.json"


class DayWriters:
    """The files of one day, of some sources. They get their names when all of them are complete; before, none does."""

    def __init__(self, sources: list[Source], out: Path, day: str, made_from: Mapping[str, str | int]) -> None:
        self.by_source: dict[str, SourceWriter] = {}
        self._manifests: list[AtomicFile] = []
        self._sources, self._out, self._day, self._made_from = sources, out, day, made_from

    def __enter__(self) -> Self:
        try:
            for source in self._sources:
                path = self._out / source.name / f"dt={self._day}" / f"{source.name}.{source.format}"
                self.by_source[source.name] = SourceWriter(source, path)
        except BaseException:
            self._discard()
            raise
        return self

    def finish(self) -> list[Written]:
        written = [writer.complete() for writer in self.by_source.values()]
        for source, file in zip(self._sources, written, strict=True):
            manifest = AtomicFile(file.path.with_name(MANIFEST))
            self._manifests.append(manifest)
            manifest.write(_manifest(source, self._day, file, self._made_from))
            manifest.complete()
        for writer in self.by_source.values():
            writer.publish()
        for manifest in self._manifests:  # last: who sees a new manifest sees the file that it describes
            manifest.publish()
        self.by_source.clear()
        self._manifests.clear()
        return written

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        for writer in self.by_source.values():
            writer.discard()
        for manifest in self._manifests:
            manifest.discard()


def _manifest(source: Source, day: str, file: Written, made_from: Mapping[str, str | int]) -> bytes:
    content = {
        "source": source.name,
        "day": day,
        "schema_version": source.version,
        **made_from,
        "files": [{"name": file.path.name, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}],
    }
    return (json.dumps(content, indent=2) + "\n").encode()
