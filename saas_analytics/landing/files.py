"""Input files: their format, and their bytes as a stream, decompressed and hashed on the way."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saas_analytics.landing.errors import FileRefused

Format = Literal["csv", "jsonl", "json", "parquet"]
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
BLOCK = 256 * 1024
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file on disk. `name` is the value of _file in the raw table; `size` is in bytes, stored."""

    path: Path
    name: str
    format: Format
    compressed: bool
    size: int


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of a file, as raw.loads keeps it."""

    name: str
    sha256: str
    size: int


def describe(path: Path, as_format: Format | None = None) -> InputFile:
    """The kind of the file `path`, by its name. `as_format` overrides all but the .gz.

    FileRefused if the name has no known ending, or is not UTF-8.
    """
    if (shown := printable(path.name)) != path.name:
        raise FileRefused(
            f"{printable(str(path.parent))}: the name of the file {shown} is not UTF-8. Rename it."
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    endings = suffixes[:-1] if compressed else suffixes
    kind = as_format or FORMATS.get(endings[-1] if endings else "")
    if kind is None:
        known = " ".join(FORMATS)
        raise FileRefused(
            f"{path}: the name does not end in a known format. Known: {known}, each also with .gz."
        )
    return InputFile(path, path.name, kind, compressed, path.stat().st_size)


def printable(name: str) -> str:
    """The name of a file, with bytes that are not UTF-8 as \\xNN: PostgreSQL cannot store those."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def fingerprint(file: InputFile) -> Fingerprint:
    """The digest of the file's bytes as they are stored."""
    with file.path.open("rb") as stream:
        return Fingerprint(file.name, hashlib.file_digest(stream, "sha256").hexdigest(), file.size)


class ByteStream:
    """The decompressed bytes of a file in blocks, and after the last block their digest.

    `on_read` is called with the number of stored bytes of each read, for progress.
    """

    def __init__(
        self,
        file: InputFile,
        on_read: Callable[[int], None] = lambda size: None,
        encoding: str = "utf-8",
    ) -> None:
        self.file = file
        self._encoding = encoding
        self._raw = _HashingReader(file.path, on_read)
        self._stream: io.RawIOBase | gzip.GzipFile = self._raw
        if file.compressed:
            self._stream = gzip.GzipFile(fileobj=io.BufferedReader(self._raw, BLOCK), mode="rb")

    def blocks(self) -> Iterator[bytes]:
        """The file's bytes as UTF-8 without a byte order mark, block by block."""
        return self._stored_blocks() if self._encoding == "utf-8" else self._recoded_blocks()

    def _recoded_blocks(self) -> Iterator[bytes]:
        """Bytes without a character stay as they are; their records are rejected as bad UTF-8."""
        decoder = codecs.getincrementaldecoder(self._encoding)("surrogateescape")
        try:
            for block in self._stored_blocks():
                yield decoder.decode(block).encode("utf-8", "surrogateescape")
            yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")
        except UnicodeError as error:
            raise FileRefused(
                f"{self.file.path} is not {self._encoding} text ({error})."
            ) from error

    def _stored_blocks(self) -> Iterator[bytes]:
        first = True
        while True:
            try:
                block = self._stream.read(BLOCK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise FileRefused(
                    f"{self.file.path}: the gzip stream is damaged ({error}). Deliver it again."
                ) from error
            if not block:
                return
            if first:
                first = False
                # A read returns all that there is, so a shorter block is not a byte order mark.
                block = block.removeprefix(BOM)
                if not block:
                    continue
            yield block

    def fingerprint(self) -> Fingerprint:
        """Name, digest and size of the stored bytes. Call it after the end of blocks()."""
        while self._raw.read(BLOCK):
            continue  # the bytes that the decompressor did not need
        return Fingerprint(self.file.name, self._raw.digest.hexdigest(), self._raw.size)

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._raw.close()


class _HashingReader(io.RawIOBase):
    """A file opened for reading that hashes the bytes that pass through it."""

    def __init__(self, path: Path, on_read: Callable[[int], None]) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._on_read = on_read
        self.digest = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer) or 0
        self.digest.update(buffer[:count])
        self.size += count
        self._on_read(count)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
