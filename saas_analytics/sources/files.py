"""Files that appear whole or not at all: written to a temporary file, synced, then renamed."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import BinaryIO

from pyarrow.lib import Buffer

_NUMBERS = count()  # so that two threads of a process do not share a temporary file


@dataclass(frozen=True)
class Written:
    """A finished file."""

    source: str
    path: Path
    rows: int
    bytes: int
    sha256: str


class AtomicFile:
    """A file that appears under its name only when it is complete and on disk.

    The temporary file is locked while it is written. One that a killed process left behind is not
    locked, and is removed when the file is made again.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path)
        self.path = path
        self.closed = False  # for pyarrow
        self._size = 0
        self._digest = hashlib.sha256()
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_NUMBERS)}.tmp")
        self._stream = _locked(self._temporary)

    def write(self, content: bytes | memoryview | Buffer) -> int:
        self._stream.write(content)
        self._digest.update(content)
        size = len(content) if isinstance(content, bytes) else memoryview(content).nbytes
        self._size += size
        return size

    def flush(self) -> None:
        """For pyarrow. `complete` flushes."""

    def complete(self) -> tuple[int, str]:
        """Sync the content to the disk. Returns its size and its SHA-256 digest."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return self._size, self._digest.hexdigest()

    def publish(self) -> None:
        """Give the complete file its name."""
        self._temporary.replace(self.path)
        self._stream.close()
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself
        finally:
            os.close(folder)

    def discard(self) -> None:
        self._temporary.unlink(missing_ok=True)
        # Closing flushes the buffer, which may fail for the same reason as the write before it.
        with suppress(OSError):
            self._stream.close()


def _locked(path: Path) -> BinaryIO:
    """A new, locked file. Before it is locked, another process may remove it as abandoned.

    Then it is made again.
    """
    while True:
        stream = path.open("wb", buffering=1 << 17)
        fcntl.flock(stream, fcntl.LOCK_EX)  # waits for a process in remove_abandoned
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                return stream
        stream.close()


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` that no process is writing."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(FileNotFoundError), left.open("rb") as stream, suppress(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            left.unlink()
