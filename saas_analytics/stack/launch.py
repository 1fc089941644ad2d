"""Starts one of Airflow's programs for supervisord, after ending the orphans of its predecessor.

    python -m saas_analytics.stack.launch PROGRAM COMMAND...

A killed scheduler leaves its workers and the commands of their tasks running. They would go on
working next to the following try of the same task, so they are ended first. The process then
becomes the command itself.
"""

from __future__ import annotations

import os
import sys

from saas_analytics.layout import MARK_ROOT
from saas_analytics.stack.processes import end, marked


def main(argv: list[str]) -> None:
    program, *command = argv
    orphans = [
        process for process in marked(os.environ[MARK_ROOT], program) if process.pid != os.getpid()
    ]
    if orphans:
        pids = ", ".join(str(process.pid) for process in orphans)
        print(f"Ending orphans of the former {program}: pid {pids}", flush=True)
        end(orphans, patience=0)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
