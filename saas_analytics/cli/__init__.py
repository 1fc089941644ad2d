"""The command `analytics`: every make target, task of Airflow and tool of the project, by its name.

Exit codes: 0 succeeded; 1 failed, and the message says what to do; 2 the command line is
invalid; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from saas_analytics.cli.application import Invocation, app

# Importing them registers their commands, in the order of the help.
from saas_analytics.cli import stack, data, pipeline, quality, development  # isort: skip

__all__ = ["app", "data", "development", "main", "pipeline", "quality", "stack"]


def main(argv: Sequence[str] | None = None, *, here: bool = False) -> int:
    """Run one command and return its exit code.

    `here`: in this process, even if the stack runs in containers.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        app(arguments, prog_name="analytics", obj=Invocation(here))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0
