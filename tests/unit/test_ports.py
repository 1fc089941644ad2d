"""How a stack chooses its ports when other programs have taken them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from saas_analytics.layout import Layout, StackError
from saas_analytics.settings import load_settings, read_dotenv
from saas_analytics.stack.dotenv import FIRST_PORTS, ensure_dotenv, set_value
from saas_analytics.stack.ports import choose_ports


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    ensure_dotenv(tmp_path)
    return Layout(tmp_path)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


@pytest.mark.parametrize("key", FIRST_PORTS)
def test_a_stack_moves_from_a_taken_port_to_a_free_one(
    layout: Layout, taken: int, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_value(layout.root, key, str(taken))
    before = read_dotenv(layout.dotenv)

    settings = choose_ports(layout, load_settings(layout.root, env={}), [key])

    after = read_dotenv(layout.dotenv)
    moved = {name for name in FIRST_PORTS if before[name] != after[name]}
    assert moved == {key}
    assert len({after[name] for name in FIRST_PORTS}) == len(FIRST_PORTS)
    assert settings == load_settings(layout.root)
    assert f"moves to port {after[key]}" in capsys.readouterr().out


def test_only_the_named_ports_are_chosen(layout: Layout, taken: int) -> None:
    set_value(layout.root, "AIRFLOW_PORT", str(taken))
    choose_ports(layout, load_settings(layout.root, env={}), ["SUPERSET_PORT"])
    assert read_dotenv(layout.dotenv)["AIRFLOW_PORT"] == str(taken)


def test_a_port_of_the_environment_is_not_replaced(
    layout: Layout, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCS_PORT", str(taken))
    with pytest.raises(StackError, match=f"the environment asks for it: DOCS_PORT={taken}"):
        choose_ports(layout, load_settings(layout.root))


def test_the_port_of_an_external_database_is_not_replaced(layout: Layout, taken: int) -> None:
    set_value(layout.root, "WAREHOUSE_HOST", "db.example.com")
    set_value(layout.root, "WAREHOUSE_PORT", str(taken))
    choose_ports(layout, load_settings(layout.root, env={}))
    assert read_dotenv(layout.dotenv)["WAREHOUSE_PORT"] == str(taken)
