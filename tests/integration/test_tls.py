"""A remote database, as for ./deploy.sh prod: reached by TLS, and only with its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from saas_analytics.pipeline.transform import run_dbt
from saas_analytics.settings import Settings
from saas_analytics.warehouse import WarehouseError, connect
from tests.tls import certificate, tls_front


@pytest.fixture
def elsewhere(warehouse: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The warehouse of the test as a server on `localhost` that is known by its certificate."""
    pem = certificate(tmp_path, "localhost")
    with tls_front(pem, warehouse.port) as port:
        yield replace(
            warehouse, host="localhost", port=port, sslmode="verify-full", sslrootcert=str(pem)
        )


def test_a_server_with_its_certificate_is_reached_by_tls(elsewhere: Settings) -> None:
    with connect(elsewhere, "reporter") as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select current_user").fetchone() == ("reporter",)
    assert run_dbt(elsewhere, ["--quiet", "debug"]).success


def test_a_server_with_another_certificate_is_not_reached(
    elsewhere: Settings, tmp_path: Path
) -> None:
    other = replace(elsewhere, sslrootcert=str(certificate(tmp_path, "localhost")))
    with pytest.raises(WarehouseError, match="certificate verify failed"):
        connect(other, "reporter")


def test_a_server_of_another_name_is_not_reached(elsewhere: Settings) -> None:
    with pytest.raises(WarehouseError, match="does not match host name"):
        connect(replace(elsewhere, host="127.0.0.1"), "reporter")


def test_a_server_without_tls_is_not_reached(warehouse: Settings, tmp_path: Path) -> None:
    strict = replace(
        warehouse, sslmode="verify-full", sslrootcert=str(certificate(tmp_path, "localhost"))
    )
    with pytest.raises(WarehouseError, match="server does not support SSL"):
        connect(strict, "reporter")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        assert not connection.pgconn.ssl_in_use
