"""Settings: their precedence, and the message for each mistake."""

from __future__ import annotations

import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from saas_analytics.settings import PROJECT_ROOT, SettingsError, load_settings, read_dotenv
from saas_analytics.settings_table import (
    DEFAULTS,
    GENERATED_SECRETS,
    KEYS,
    SETTINGS,
    template,
)
from saas_analytics.stack.dotenv import ensure_dotenv, set_value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ensure_dotenv(tmp_path)
    return tmp_path


def edit(root: Path, old: str, new: str) -> None:
    path = root / ".env"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_new_dotenv_has_every_key_and_is_private(tmp_path: Path) -> None:
    (note,) = ensure_dotenv(tmp_path)

    path = tmp_path / ".env"
    assert str(path) in note
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(read_dotenv(path)) == set(KEYS)
    settings = load_settings(tmp_path, env={})
    assert settings.company_founded == datetime.now(UTC).date() - timedelta(days=60)
    assert settings.landing_zone == tmp_path / "raw"
    assert settings.database == "analytics"


def test_the_template_is_that_of_the_table_and_holds_no_secret() -> None:
    path = PROJECT_ROOT / ".env.template"
    assert path.read_text() == template(), "analytics settings --template > .env.template"
    written = read_dotenv(path)
    assert set(written) == set(DEFAULTS)
    assert not [key for key in written if key in GENERATED_SECRETS]
    named_like_secrets = [key for key in KEYS if key.endswith(("_PASSWORD", "_KEY", "_SECRET"))]
    assert list(GENERATED_SECRETS) == named_like_secrets


def test_defaults_are_of_their_kind() -> None:
    for setting in SETTINGS.values():
        if setting.default:
            value = setting.kind.parse(setting.default)
            assert setting.kind.show(value) == setting.default


def test_containers_get_the_settings_that_the_table_says() -> None:
    """Compose gives its containers each setting that Airflow's programs or tasks need."""
    services = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text("utf-8"))
    given = services["x-airflow"]["environment"]
    reaching = {key for key, setting in SETTINGS.items() if setting.reach != "commands"}
    # A container has these through a mount, or under libpq's own name.
    otherwise = {"LANDING_ZONE", "WAREHOUSE_SSLMODE", "WAREHOUSE_SSLROOTCERT"}
    assert set(given) == reaching - otherwise | {"PGSSLMODE"}
    for key, text in given.items():
        variable, _, default = text.removeprefix("${").removesuffix("}").partition(":")
        if variable == key and key in DEFAULTS and key != "WAREHOUSE_PORT":
            assert default == f"-{DEFAULTS[key]}", key


def test_tasks_get_only_their_own_secrets(root: Path) -> None:
    given = load_settings(root, env={}).task_environment()
    roles = ("OWNER", "LOADER", "TRANSFORMER", "REPORTER")
    theirs = {f"WAREHOUSE_{role}_PASSWORD" for role in roles}
    assert {key for key in given if key in GENERATED_SECRETS} == theirs


def test_two_stacks_have_different_secrets(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        ensure_dotenv(tmp_path / name)
    one, two = (read_dotenv(tmp_path / name / ".env") for name in ("one", "two"))
    assert all(
        one[key] != two[key] for key in KEYS if key.endswith(("_PASSWORD", "_KEY", "_SECRET"))
    )


def test_completing_it_again_changes_nothing(root: Path) -> None:
    before = (root / ".env").read_bytes()
    assert ensure_dotenv(root) == []
    assert (root / ".env").read_bytes() == before


def test_an_old_dotenv_is_completed_and_keeps_what_it_has(root: Path) -> None:
    before = read_dotenv(root / ".env")
    path = root / ".env"
    kept = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("AIRFLOW_JWT", "COMPANY_SEED"))
    ]
    path.write_text("\n".join([*kept, "MY_OWN=kept"]))
    path.chmod(0o644)

    notes = " ".join(ensure_dotenv(root))

    after = read_dotenv(path)
    assert "AIRFLOW_JWT_SECRET, COMPANY_SEED" in notes
    assert "600" in notes
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(after) == {*KEYS, "MY_OWN"}
    assert {key: after[key] for key in before if key != "AIRFLOW_JWT_SECRET"} == {
        key: before[key] for key in before if key != "AIRFLOW_JWT_SECRET"
    }


def test_an_empty_value_counts_as_missing(root: Path) -> None:
    port = read_dotenv(root / ".env")["WAREHOUSE_PORT"]
    edit(root, f"WAREHOUSE_PORT={port}", "WAREHOUSE_PORT=")
    ensure_dotenv(root)
    assert int(read_dotenv(root / ".env")["WAREHOUSE_PORT"]) > 0


def test_the_environment_wins_unless_it_is_empty(root: Path) -> None:
    assert load_settings(root, env={"WAREHOUSE_DB": "online_retail"}).database == "online_retail"
    assert load_settings(root, env={"WAREHOUSE_DB": ""}).database == "analytics"


def test_a_child_process_gets_every_setting(root: Path) -> None:
    settings = load_settings(
        root, env={"WAREHOUSE_DB": "other", "COMPANY_SCALE": "0.5", "SYNTHETIC_COMPANY": "off"}
    )
    assert load_settings(root, env=settings.environment()) == settings


def test_without_a_dotenv_the_environment_is_enough(tmp_path: Path) -> None:
    settings = load_settings(
        tmp_path, env={"WAREHOUSE_PORT": "5432", "WAREHOUSE_LOADER_PASSWORD": "it's secret"}
    )
    dsn = conninfo_to_dict(settings.dsn("loader", application_name="a test"))
    assert (dsn["user"], dsn["password"], dsn["dbname"]) == ("loader", "it's secret", "analytics")
    assert (dsn["application_name"], dsn["options"]) == ("a test", "-c timezone=UTC")
    assert conninfo_to_dict(settings.dsn("loader", "other"))["dbname"] == "other"
    with pytest.raises(
        SettingsError, match=r"WAREHOUSE_REPORTER_PASSWORD is set neither .* `make up`"
    ):
        settings.dsn("reporter")


def test_secrets_are_not_shown(root: Path) -> None:
    settings = load_settings(root, env={})
    assert settings.secret("WAREHOUSE_OWNER_PASSWORD") not in repr(settings)


def test_no_dotenv_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.env does not exist: run `make up`"):
        load_settings(tmp_path, env={})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hunter2", "line 1: neither KEY=value, with quotes that match, nor a # comment"),
        ('A="open', "line 1: neither KEY=value, with quotes that match, nor a # comment"),
        ("A=1\n\n\nhunter2", "line 4: neither KEY=value"),
        ("A=1\nB=2\nA=3", "line 3: A is already set on line 1"),
        ("A=\udcff", "line 1: not UTF-8"),
    ],
)
def test_a_malformed_line_is_named_and_not_shown(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(line.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError) as error:
        load_settings(tmp_path, env={})
    assert f"{path}, {message}" in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("WAREHOUSE_PORT", "http"),
        ("WAREHOUSE_PORT", "70000"),
        ("WAREHOUSE_DB", "Analytics"),
        ("WAREHOUSE_DB", "x; drop"),
        ("WAREHOUSE_DB", "postgres"),
        ("SYNTHETIC_COMPANY", "yes"),
        ("COMPANY_SCALE", "0"),
        ("COMPANY_SCALE", "nan"),
        ("COMPANY_SEED", "-1"),
        ("COMPANY_FOUNDED", "01.02.2026"),
        ("SMTP_SECURITY", "tls"),
        ("PIPELINE_DEADLINE_MINUTES", "two hours"),
    ],
)
def test_a_wrong_value_is_named_with_its_origin(root: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}={value} in the environment is not"):
        load_settings(root, env={key: value})
    set_value(root, key, value)
    with pytest.raises(SettingsError, match=f"{key}={value} in {root / '.env'} is not"):
        load_settings(root, env={})


def test_the_login_of_the_mail_server_is_split_and_not_shown(root: Path) -> None:
    settings = load_settings(root, env={"SMTP_LOGIN": "ann:hunter2:3"})
    assert settings.smtp_login == ("ann", "hunter2:3")
    assert "hunter2" not in repr(settings)
    assert load_settings(root, env=settings.environment()) == settings
    with pytest.raises(
        SettingsError, match="SMTP_LOGIN in the environment is not user:password, or off"
    ) as error:
        load_settings(root, env={"SMTP_LOGIN": "hunter2"})
    assert "hunter2" not in str(error.value)


def test_forms_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# a comment\n\nexport A = 1 # why\nB='x # y' # z\nC=\"two words\"\nD=a#b\nE=x=y\n"
        "F= # not a value\nG=#x\nH=a$B\n"
    )
    assert read_dotenv(path) == {
        "A": "1",
        "B": "x # y",
        "C": "two words",
        "D": "a#b",
        "E": "x=y",
        "G": "#x",
        "H": "a$B",
    }


def test_one_value_is_replaced_in_its_place(root: Path) -> None:
    set_value(root, "COMPANY_SEED", "7")
    assert load_settings(root, env={}).company_seed == 7
    assert load_settings(root, env={}).company_founded != date.min
    with pytest.raises(SettingsError, match="no line NOTHING="):
        set_value(root, "NOTHING", "1")
