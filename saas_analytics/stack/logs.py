"""What the log of a program says."""

from __future__ import annotations

from pathlib import Path


def last_lines(path: Path, count: int = 15) -> str:
    """The last lines of a log, indented, below its path; no lines if the log does not exist."""
    lines = path.read_text(errors="replace").splitlines()[-count:] if path.exists() else []
    return f"The last lines of {path}:\n" + "\n".join(f"  {line}" for line in lines)
