"""Starts one of Airflow's programs for supervisord, after ending what a killed predecessor left behind.

    python -m saas_analytics.stack.launch PROGRAM COMMAND...

A scheduler that is killed leaves its workers and the commands of their tasks running. They would work on beside the
next try of the same task, so they are ended first. The process then becomes the command itself.
"""

from __future__ import annotations

import os
import sys

from saas_analytics.layout import MARK_ROOT
from saas_analytics.stack.processes import end, marked


def main(argv: list[str]) -> None:
    program, *command = argv
    left = [
        process for process in marked(os.environ[MARK_ROOT], program) if process.pid != os.getpid()
    ]
    if left:
        print(
            f"Ending what the former {program} left: {', '.join(str(process.pid) for process in left)}",
            flush=True,
        )
        end(left, patience=0)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
