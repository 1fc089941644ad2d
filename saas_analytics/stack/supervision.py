"""supervisord for one project: its configuration, its start, and calls to it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from saas_analytics.layout import (
    AIRFLOW_PROGRAMS,
    DOCS,
    MARK_PROGRAM,
    MARK_ROOT,
    POSTGRES,
    PROGRAMS,
    SUPERSET,
    Layout,
    StackError,
    bin_directory,
)
from saas_analytics.waiting import wait_until

AIRFLOW_COMMANDS = {
    # It trusts the headers of a proxy on this machine, and of no other.
    "airflow-api-server": ["api-server", "--proxy-headers"],
    # The api-server reads task logs from the disk. A log server would only compete for its port.
    "airflow-scheduler": ["scheduler", "--skip-serve-logs"],
    "airflow-dag-processor": ["dag-processor"],
    "airflow-triggerer": ["triggerer", "--skip-serve-logs"],
}
RUNNING, STARTING, STOPPED, BACKOFF = "RUNNING", "STARTING", "STOPPED", "BACKOFF"


@dataclass(frozen=True, slots=True)
class Program:
    """What supervisord reports about one program."""

    name: str
    state: str
    pid: int
    uptime: timedelta | None
    remark: str


def write_configuration(layout: Layout, postgres: list[str], postgres_user: str | None) -> None:
    """Write supervisord.conf, which starts PostgreSQL by the command `postgres`.

    It holds no secrets: programs inherit those from the environment of supervisord.
    """
    sections: dict[str, dict[str, str]] = {
        "unix_http_server": {"file": str(layout.socket), "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "logfile": str(layout.log("supervisord")),
            "logfile_maxbytes": "5MB",
            "logfile_backups": "2",
            "pidfile": str(layout.run / "supervisord.pid"),
            "childlogdir": str(layout.logs),
            "umask": "022",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        },
        f"program:{POSTGRES}": {
            # An empty environment: the server does not need the passwords of others.
            "command": _command_line(
                ["/usr/bin/env", "-i", "LC_ALL=C", f"PATH={os.defpath}", *postgres]
            ),
            "directory": "/",
            "stopsignal": "INT",  # "fast": ends sessions, writes a checkpoint
            "stopwaitsecs": "60",
            "killasgroup": "true",
            **({"user": postgres_user} if postgres_user else {}),
        },
    }
    commands = {
        name: [str(bin_directory() / "airflow"), *words] for name, words in AIRFLOW_COMMANDS.items()
    }
    commands[SUPERSET] = [sys.executable, "-m", "saas_analytics.stack.superset"]
    commands[DOCS] = [sys.executable, "-m", "saas_analytics", "serve-docs"]
    for program, command in commands.items():
        launcher = [sys.executable, "-m", "saas_analytics.stack.launch", program]
        sections[f"program:{program}"] = {
            "command": _command_line([*launcher, *command]),
            "directory": str(layout.root),
            "environment": f'{MARK_PROGRAM}="{program}"',
            "stopwaitsecs": "15",
            "stopasgroup": "true",
            "killasgroup": "true",
        }
    lines = ["; Written by `make up`. Change saas_analytics/stack/supervision.py instead.", ""]
    for name, options in sections.items():
        if name.startswith("program:"):
            options |= {
                "autostart": "false",  # `make up` and `make dashboards` start them in order
                "autorestart": "true",
                "startsecs": "1",
                "startretries": "20",
                "redirect_stderr": "true",
                "stdout_logfile": str(layout.log(name.removeprefix("program:"))),
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "3",
            }
        lines += [
            f"[{name}]",
            *(f"{key} = {_escaped(value)}" for key, value in options.items()),
            "",
        ]
    path = layout.run / "supervisord.conf"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines))


def start_supervisord(layout: Layout, environment: Mapping[str, str]) -> None:
    """Start supervisord in its own session, which Ctrl-C in the terminal does not reach.

    StackError if it does not answer within 15 seconds.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "supervisor.supervisord",
            "-c",
            str(layout.run / "supervisord.conf"),
        ],
        cwd=layout.root,
        env={**environment, MARK_ROOT: str(layout.root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    if done.returncode:
        raise StackError(f"supervisord did not start: {(done.stderr or done.stdout).strip()}")
    if not wait_until(lambda: is_up(layout), seconds=15, interval=0.05):
        log = layout.log("supervisord")
        raise StackError(f"supervisord does not answer on {layout.socket}. Its log: {log}")


def is_up(layout: Layout) -> bool:
    """Whether supervisord runs and answers."""
    try:
        with _server(layout) as server:
            return bool(server.supervisor.getState()["statename"] == "RUNNING")
    except StackError:
        return False


def programs(layout: Layout) -> list[Program]:
    """The state of each program; empty if supervisord does not run.

    Superset is in the list only if it was started.
    """
    try:
        with _server(layout) as server:
            answer: Any = server.supervisor.getAllProcessInfo()
    except StackError:
        return []
    known = {entry["name"]: entry for entry in answer}
    return [
        Program(
            name=name,
            state=known[name]["statename"],
            pid=known[name]["pid"],
            uptime=(
                timedelta(seconds=max(known[name]["now"] - known[name]["start"], 0))
                if known[name]["statename"] == RUNNING
                else None
            ),
            remark=known[name]["spawnerr"]
            or (known[name]["description"] if known[name]["pid"] == 0 else ""),
        )
        for name in PROGRAMS
        if name in known and (name != SUPERSET or known[name]["statename"] != STOPPED)
    ]


def has_failed(layout: Layout, names: tuple[str, ...]) -> bool:
    """Whether supervisord no longer tries to start one of these programs."""
    return any(program.state == "FATAL" for program in programs(layout) if program.name in names)


def start(layout: Layout, names: tuple[str, ...]) -> None:
    """Start those of the programs that do not run. Returns at once, before they are healthy."""
    states = {program.name: program.state for program in programs(layout)}
    with _server(layout) as server:
        for name in names:
            if states.get(name) not in (RUNNING, STARTING, BACKOFF):
                server.supervisor.startProcess(name, False)


def stop(layout: Layout, names: tuple[str, ...]) -> None:
    """Stop programs and wait for their end. StackError if one does not end within 90 seconds."""
    states = {program.name: program.state for program in programs(layout)}
    with _server(layout) as server:
        for name in names:
            if states.get(name) in (RUNNING, STARTING, BACKOFF):
                server.supervisor.stopProcess(name, False)
    active = (RUNNING, STARTING, BACKOFF, "STOPPING")

    def has_stopped() -> bool:
        states = {program.name: program.state for program in programs(layout)}
        return not any(states.get(name) in active for name in names)

    if not wait_until(has_stopped, seconds=90, interval=0.1):
        log = layout.log("supervisord")
        raise StackError(f"{', '.join(names)} did not stop. The log: {log}")


def shut_down(layout: Layout) -> None:
    """Stop the programs that use the database, then PostgreSQL, then supervisord."""
    stop(layout, (*AIRFLOW_PROGRAMS, SUPERSET, DOCS))
    stop(layout, (POSTGRES,))
    process = supervisord_process(layout)
    with _server(layout) as server:
        server.supervisor.shutdown()
    if process:
        psutil.wait_procs([process], timeout=15)


def supervisord_process(layout: Layout) -> psutil.Process | None:
    """The process of this stack's supervisord, if it runs."""
    try:
        process = psutil.Process(int((layout.run / "supervisord.pid").read_text()))
        return process if "supervisor.supervisord" in process.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


@contextmanager
def _server(layout: Layout) -> Iterator[Any]:
    transport = SupervisorTransport(None, None, f"unix://{layout.socket}")
    try:
        yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport)
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"supervisord does not answer on {layout.socket}: {error}") from error
    except xmlrpc.client.Fault as error:
        raise StackError(
            f"supervisord refused: {error.faultString}. Its log: {layout.log('supervisord')}"
        ) from error
    finally:
        transport.close()


def _command_line(words: list[str]) -> str:
    """The words as one line, quoted for supervisord, which splits it with shlex."""
    return " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)


def _escaped(value: str) -> str:
    """`value` for supervisord.conf, where %(...)s is expanded."""
    return value.replace("%", "%%")
