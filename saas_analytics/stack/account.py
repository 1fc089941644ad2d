"""The user that PostgreSQL runs as: ourselves, or an unprivileged one where we are root (which PostgreSQL refuses)."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saas_analytics.layout import StackError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    def popen_options(self) -> dict[str, Any]:
        """Keyword arguments that make subprocess start something as this user, in a directory it may be in."""
        return (
            {"cwd": "/"}
            if self.is_us
            else {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}
        )

    def can(self, command: Sequence[str | Path]) -> bool:
        """True if `command` succeeds as this user."""
        try:
            done = subprocess.run(
                list(map(str, command)), capture_output=True, **self.popen_options()
            )
        except OSError:
            return False
        return done.returncode == 0

    def own(self, path: Path, mode: int) -> None:
        """Give `path` to this user, and to nobody else."""
        path.chmod(mode)
        if not self.is_us:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """The user to run PostgreSQL as."""
    if os.geteuid() != 0:
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:  # a user without an entry, as in some containers
            name = str(os.geteuid())
        return Account(name, os.geteuid(), os.getegid())
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise StackError(
        f"PostgreSQL refuses to run as root, and this machine has no user {' or '.join(CANDIDATES)} to run it as. "
        "Make one (`useradd --system postgres`) or work as an ordinary user."
    )
