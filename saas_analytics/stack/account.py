"""The user that PostgreSQL runs as.

This is the current user. PostgreSQL refuses root, so for root it is an unprivileged user.
"""

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
        """Keyword arguments for subprocess that start a program as this user.

        Its working directory is one that every user may enter.
        """
        return (
            {"cwd": "/"}
            if self.is_us
            else {"user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}
        )

    def can(self, command: Sequence[str | Path]) -> bool:
        """Whether `command` succeeds as this user."""
        try:
            done = subprocess.run(
                list(map(str, command)), capture_output=True, **self.popen_options()
            )
        except OSError:
            return False
        return done.returncode == 0

    def own(self, path: Path, mode: int) -> None:
        """Give `path` to this user alone, with the permissions `mode`."""
        path.chmod(mode)
        if not self.is_us:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """The user to run PostgreSQL as. StackError if this machine has none."""
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
        "PostgreSQL refuses to run as root, and this machine has no user "
        f"{' or '.join(CANDIDATES)} to run it as. "
        "Create one (`useradd --system postgres`) or work as an ordinary user."
    )
