"""The directories of a stack below the project's root, and the names of its programs."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from saas_analytics.errors import AnalyticsError
from saas_analytics.settings import ROOT_VARIABLE

POSTGRES = "postgres"
AIRFLOW_PROGRAMS = (
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
)
SUPERSET = "superset"
DOCS = "docs"
ALWAYS_ON = (POSTGRES, *AIRFLOW_PROGRAMS, DOCS)  # what `make up` starts
PROGRAMS = (*ALWAYS_ON, SUPERSET)
PIPELINE = "saas_analytics_pipeline"
# Every process of a stack has these in its environment. They identify orphans of a killed stack.
MARK_ROOT = ROOT_VARIABLE
MARK_PROGRAM = "ANALYTICS_STACK_PROGRAM"
# A unix socket's path may have 107 characters on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 100


class StackError(AnalyticsError):
    """The stack cannot do this. The message says what happened, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one project's stack."""

    root: Path

    @property
    def local(self) -> Path:
        return self.root / ".local"

    @property
    def run(self) -> Path:
        return self.local / "run"

    @property
    def logs(self) -> Path:
        return self.local / "logs"

    @property
    def lineage(self) -> Path:
        return self.logs / "lineage"

    @property
    def postgres(self) -> Path:
        return self.local / "postgres"

    @property
    def airflow(self) -> Path:
        return self.local / "airflow"

    @property
    def superset(self) -> Path:
        return self.local / "superset"

    @property
    def dotenv(self) -> Path:
        return self.root / ".env"

    @property
    def socket(self) -> Path:
        """The control socket of supervisord: in `run`, or below /tmp if that path is too long."""
        near = self.run / "supervisor.sock"
        if len(str(near)) <= LONGEST_SOCKET_PATH:
            return near
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return Path(f"/tmp/saas-analytics-{os.geteuid()}-{digest}/supervisor.sock")

    def log(self, program: str) -> Path:
        """The log of a program."""
        return self.logs / f"{program}.log"

    def make_directories(self) -> None:
        """Create the directories. StackError if another user owns the one of the socket."""
        self.local.mkdir(mode=0o755, exist_ok=True)
        for directory in (self.run, self.logs, self.lineage, self.airflow, self.superset):
            directory.mkdir(mode=0o700, exist_ok=True)
        place = self.socket.parent
        if place != self.run:
            place.mkdir(mode=0o700, exist_ok=True)
            if place.is_symlink() or place.stat().st_uid != os.geteuid():
                raise StackError(
                    f"{place} belongs to another user. This stack needs it for its control socket: "
                    "remove it."
                )
            place.chmod(0o700)


def bin_directory() -> Path:
    """The directory of the commands of the project's environment: airflow, dbt, python."""
    return Path(sys.executable).parent
