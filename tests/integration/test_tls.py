"""A database elsewhere, as ./deploy.sh prod asks for it: reached by TLS, known by its certificate, or not reached.

The server of the tests speaks no TLS, so a front with a certificate stands before it, as PostgreSQL's own would be.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from infrastructure.settings import Settings
from infrastructure.transform import run_dbt
from infrastructure.warehouse import WarehouseError, connect
from tests.certificates import certificate

TLS_REQUEST = struct.pack("!ii", 8, 80877103)


async def serve(pem: Path, port: int) -> asyncio.Server:
    """A TLS front for the PostgreSQL on `port`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65536):
                target.write(piece)
                await target.drain()
        except (ConnectionError, ssl.SSLError):
            pass  # the other end has gone
        finally:
            target.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(8) != TLS_REQUEST:
            writer.close()
            return
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except (ConnectionError, ssl.SSLError):
            return  # the client did not like what it saw
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    return await asyncio.start_server(handle, "127.0.0.1", 0)


@pytest.fixture
def elsewhere(warehouse: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The warehouse of the test as a server on `localhost` that is known by its certificate."""
    pem = certificate(tmp_path, "localhost")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(pem, warehouse.port), loop).result(timeout=10)
    port = server.sockets[0].getsockname()[1]
    yield replace(warehouse, host="localhost", port=port, sslmode="verify-full", sslrootcert=str(pem))
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)


def test_a_server_with_its_certificate_is_reached_by_tls(elsewhere: Settings) -> None:
    with connect(elsewhere, "reporter") as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select current_user").fetchone() == ("reporter",)
    assert run_dbt(elsewhere, ["--quiet", "debug"]).success


def test_a_server_with_another_certificate_is_not_reached(elsewhere: Settings, tmp_path: Path) -> None:
    other = replace(elsewhere, sslrootcert=str(certificate(tmp_path, "localhost")))
    with pytest.raises(WarehouseError, match="certificate verify failed"):
        connect(other, "reporter")


def test_a_server_of_another_name_is_not_reached(elsewhere: Settings) -> None:
    with pytest.raises(WarehouseError, match="does not match host name"):
        connect(replace(elsewhere, host="127.0.0.1"), "reporter")


def test_a_server_without_tls_is_not_reached(warehouse: Settings, tmp_path: Path) -> None:
    strict = replace(warehouse, sslmode="verify-full", sslrootcert=str(certificate(tmp_path, "localhost")))
    with pytest.raises(WarehouseError, match="server does not support SSL"):
        connect(strict, "reporter")
    with psycopg.connect(warehouse.dsn("reporter")) as connection:
        assert not connection.pgconn.ssl_in_use
