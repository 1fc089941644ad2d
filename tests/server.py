"""Local stand-in, not committed: a PostgreSQL of its own."""
from __future__ import annotations
import os, secrets, shutil, signal, subprocess, tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from infrastructure.local.postgres import initialise, open_home, server_command, server_environment
from infrastructure.settings import KEYS, PROJECT_ROOT, Settings, is_secret, load_settings
from infrastructure.warehouse import ensure_cluster
from tests.conftest import FAST, _free_port, _wait_until_ready

@contextmanager
def running_server() -> Iterator[Settings]:
    place = Path(tempfile.mkdtemp(prefix="saas-analytics-test-")); place.chmod(0o755)
    s = load_settings(place, {"WAREHOUSE_HOST": "127.0.0.1", "WAREHOUSE_PORT": str(_free_port()), "WAREHOUSE_DB": "analytics", "LANDING_ZONE": str(place/"raw"), "COMPANY_FOUNDED": "2026-01-01", **{k: secrets.token_urlsafe(16) for k in KEYS if is_secret(k)}})
    s = replace(s, root=PROJECT_ROOT)
    home, _ = open_home(place / "postgres", place); initialise(home, s.secret("WAREHOUSE_ADMIN_PASSWORD"))
    log = place / "log"; p = None
    try:
        p = subprocess.Popen(server_command(home, s.port, FAST), stdin=subprocess.DEVNULL, stdout=log.open("wb"), stderr=subprocess.STDOUT, env=server_environment(), start_new_session=True, **home.account.popen_options())
        _wait_until_ready(s, p, log); ensure_cluster(s); yield s
    finally:
        if p is not None: p.send_signal(signal.SIGINT); p.wait(30)
        shutil.rmtree(place, ignore_errors=True)
