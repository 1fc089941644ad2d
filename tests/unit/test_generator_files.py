"""The files: their formats and names, that they appear whole or not at all, and the command."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from data_gen import generate
from data_gen.company import writers
from data_gen.company.company import Company, exact_scale
from data_gen.company.making import day_tables, write_day
from data_gen.company.rules import DEFAULT_RULES, load_rules
from data_gen.company.schemas import SOURCES
from saas_analytics.sources import files
from tests.generator_rules import changed, without_defects
from tests.waiting import patience

ROOT = Path(__file__).resolve().parents[2]
FOUNDED = date(2026, 1, 1)
DAY = FOUNDED + timedelta(days=70)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(without_defects(load_rules().founded_on(FOUNDED)), 42, exact_scale("0.3"))


@pytest.fixture(scope="module")
def zone(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("zone")
    write_day(company, DAY, out)
    return out


@pytest.fixture(scope="module")
def tables(company: Company) -> dict[str, pa.Table]:
    return day_tables(company.rules, company.seed, "0.3", DAY)


OF_PRODUCTS = ("products", "inventory", "fx_rates", "ad_spend", "defects", "kpis")


def path(zone: Path, source: str, day: date = DAY) -> Path:
    return zone / source / f"dt={day}" / f"{source}.{SOURCES[source].format}"


def plain(value: Any) -> Any:
    """A value as a text file has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "tzinfo"):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return None if value is None else str(value)


@pytest.mark.parametrize("source", SOURCES)
def test_columns_are_those_of_the_contract(source: str) -> None:
    contract = yaml.safe_load(
        (ROOT / "saas_analytics/contracts" / f"{source}.yaml").read_text(encoding="utf-8")
    )
    [schema] = contract["schema"]
    assert SOURCES[source].schema.names == [column["name"] for column in schema["properties"]]
    formats = [p["value"] for p in schema["customProperties"] if p["property"] == "deliveryFormat"]
    assert formats == [SOURCES[source].format]


def test_event_lines_say_the_same_as_the_table(zone: Path, tables: dict[str, pa.Table]) -> None:
    text = path(zone, "events").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) == len(tables["events"]) > 1000
    for row, wanted in zip(rows, tables["events"].to_pylist(), strict=True):
        assert isinstance(row["properties"], dict)
        assert list(row) == SOURCES["events"].schema.names
        row["properties"] = json.dumps(row["properties"], separators=(",", ":"), ensure_ascii=False)
        assert row == {name: plain(value) for name, value in wanted.items()}


@pytest.mark.parametrize(
    "source", ["users", "customers", "products", "shipments", "returns", "inventory", "fx_rates"]
)
def test_csv_says_the_same_as_the_table(
    zone: Path, tables: dict[str, pa.Table], source: str
) -> None:
    with path(zone, source).open(encoding="utf-8", newline="") as file:
        assert file.readline() == ",".join(SOURCES[source].schema.names) + "\n"
        file.seek(0)
        rows = [
            {name: value or None for name, value in row.items()} for row in csv.DictReader(file)
        ]
    assert rows == [
        {name: plain(value) for name, value in row.items()} for row in tables[source].to_pylist()
    ]
    assert rows


def test_json_says_the_same_as_the_table(zone: Path, tables: dict[str, pa.Table]) -> None:
    rows = json.loads(path(zone, "subscriptions").read_text(encoding="utf-8"), parse_float=str)
    assert rows == [
        {name: plain(value) for name, value in row.items()}
        for row in tables["subscriptions"].to_pylist()
    ]
    assert rows


@pytest.mark.parametrize("source", ["orders", "order_items", "payments"])
def test_parquet_says_the_same_as_the_table(
    zone: Path, tables: dict[str, pa.Table], source: str
) -> None:
    assert pq.read_table(path(zone, source)).equals(tables[source].combine_chunks())
    assert len(tables[source]) > 20


def test_before_the_founding_files_are_valid_and_empty(company: Company, tmp_path: Path) -> None:
    day = FOUNDED - timedelta(days=1)
    assert {file.rows for file in write_day(company, day, tmp_path)} == {0}
    assert path(tmp_path, "events", day).read_bytes() == b""
    assert path(tmp_path, "subscriptions", day).read_bytes() == b"[]\n"
    assert path(tmp_path, "users", day).read_text().splitlines() == [
        ",".join(SOURCES["users"].schema.names)
    ]
    assert pq.read_table(path(tmp_path, "orders", day)).num_rows == 0


def test_a_company_without_users(tmp_path: Path) -> None:
    tiny = Company(load_rules().founded_on(FOUNDED), 42, exact_scale("0.000001"))
    assert (
        sum(file.rows for file in write_day(tiny, DAY, tmp_path) if file.source not in OF_PRODUCTS)
        == 0
    )


def test_csv_quotes_what_needs_it() -> None:
    rows = pa.table(
        {
            "a": ['say "hi"', "x,y", "plain", None, "two\nlines"],
            "b": [True, False, None, True, True],
        }
    )
    lines = writers.csv_lines(rows).to_pylist()
    assert lines == [
        '"say ""hi""",true\n',
        '"x,y",false\n',
        "plain,\n",
        ",true\n",
        '"two\nlines",true\n',
    ]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (writers.SourceWriter, "add_lines"),
        (writers.SourceWriter, "_write_group"),
        (files.AtomicFile, "complete"),
    ],
)
def test_a_failure_leaves_the_old_files_and_nothing_else(
    company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: type, name: str
) -> None:
    write_day(company, DAY, tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.*")}
    another = Company(company.rules, 1, company.scale)

    working, calls = getattr(where, name), []

    def full_at_the_third(*arguments: Any) -> Any:
        calls.append(name)
        if len(calls) >= 3:
            raise OSError(28, "No space left on device")
        return working(*arguments)

    monkeypatch.setattr(where, name, full_at_the_third)
    with pytest.raises(OSError, match="No space"):
        write_day(another, DAY, tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*")} == before


def test_a_manifest_says_what_the_file_is(
    company: Company, zone: Path, tables: dict[str, pa.Table]
) -> None:
    for source, table in tables.items():
        file = path(zone, source)
        manifest = json.loads((file.parent / "_manifest.json").read_text())
        content = file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert manifest["files"] == [
            {"name": file.name, "rows": len(table), "bytes": len(content), "sha256": digest},
        ]
        contract = yaml.safe_load(
            (ROOT / "saas_analytics/contracts" / f"{source}.yaml").read_text(encoding="utf-8")
        )
        assert (manifest["source"], manifest["day"]) == (source, DAY.isoformat())
        assert manifest["schema_version"] == contract["version"]
        assert manifest["rules_hash"] == company.made_from["rules_hash"]
        assert (manifest["seed"], manifest["scale"]) == (42, "3/10")
    other = Company(changed(company.rules, funnel={"purchase": Decimal(1)}), 42, company.scale)
    assert other.made_from["rules_hash"] != company.made_from["rules_hash"]


def test_what_a_killed_process_left_behind_goes(company: Company, tmp_path: Path) -> None:
    folder = path(tmp_path, "users").parent
    folder.mkdir(parents=True)
    (folder / ".users.csv.4711.tmp").write_text("half a file")
    being_written = files.AtomicFile(path(tmp_path, "users"))
    write_day(company, DAY, tmp_path)
    assert {p.name for p in folder.iterdir() if p.suffix == ".tmp"} == {
        being_written._temporary.name
    }
    being_written.discard()
    assert {p.name for p in folder.iterdir()} == {"users.csv", "_manifest.json"}


# Removes abandoned temporary files until its input ends.
CLEARING = """
import sys, threading
from pathlib import Path
from saas_analytics.sources.files import remove_abandoned
done = []
threading.Thread(target=lambda: (sys.stdin.read(), done.append(True))).start()
print("ready", flush=True)
while not done:
    remove_abandoned(Path(sys.argv[1]))
"""


def test_a_file_that_is_just_made_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    """A process removes abandoned files while another one creates its own."""
    target = tmp_path / "users.csv"
    with start(["-c", CLEARING, str(target)], stdin=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        for _ in range(8_000):
            file = files.AtomicFile(target)
            assert file._temporary.exists()
            file.discard()
        other.communicate("")
    assert not any(tmp_path.iterdir())


# -- command line ------------------------------------------------------------------------------


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No settings but those that a test gives; the project's root is an empty folder."""
    for name in generate.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(generate, "PROJECT_ROOT", tmp_path)
    return tmp_path


def test_defaults(clean: Path) -> None:
    request = generate.read_request(date(2026, 2, 27), 3)
    assert [str(day) for day in request.days] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert request.out == clean / "raw"
    assert (request.company.seed, float(request.company.scale)) == (42, 1.0)
    assert request.company.rules.company.founded == load_rules().company.founded


def test_command_line_wins_over_environment_over_dotenv(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean / ".env").write_text(
        "COMPANY_SCALE=0.5\nCOMPANY_SEED=5\nCOMPANY_FOUNDED=2025-05-05\nLANDING_ZONE=five\n"
    )
    request = generate.read_request(date(2026, 1, 1))
    assert (request.company.seed, float(request.company.scale), request.out) == (
        5,
        0.5,
        clean / "five",
    )
    assert request.company.rules.company.founded == date(2025, 5, 5)
    monkeypatch.setenv("COMPANY_SEED", "6")
    monkeypatch.setenv("COMPANY_FOUNDED", "2025-06-06")
    monkeypatch.setenv("LANDING_ZONE", "/six")
    request = generate.read_request(date(2026, 1, 1))
    assert (request.company.seed, float(request.company.scale), request.out) == (
        6,
        0.5,
        Path("/six"),
    )
    assert request.company.rules.company.founded == date(2025, 6, 6)
    request = generate.read_request(date(2026, 1, 1), seed=7, scale="0.7", out=Path("seven"))
    assert (request.company.seed, float(request.company.scale), request.out) == (
        7,
        0.7,
        Path("seven"),
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "problem"),
    [
        (["--day", "yesterday"], {}, "'yesterday' is not a day like 2026-01-31"),
        (["--day", "1969-12-31"], {}, "must lie between 1970-01-01"),
        (["--day", "2059-01-01", "--days", "900"], {}, "must lie between 1970-01-01"),
        (["--day", "2026-01-01", "--days", "0"], {}, "0 is not in the range"),
        (["--day", "2026-01-01", "--scale", "0"], {}, "scale must lie above 0"),
        (
            ["--day", "2026-01-01"],
            {"COMPANY_SCALE": "big"},
            "COMPANY_SCALE=big in the environment is not a number",
        ),
        (["--day", "2026-01-01"], {"COMPANY_SEED": "x"}, "COMPANY_SEED"),
        (
            ["--day", "2026-01-01"],
            {"COMPANY_FOUNDED": "2026-13-01"},
            "COMPANY_FOUNDED=2026-13-01 in the environment is not a date",
        ),
        (
            ["--day", "2026-01-01", "--scale", "9999"],
            {"COMPANY_FOUNDED": "2015-01-01"},
            "users, more than",
        ),
        (["--day", "2026-01-01", "--rules", "none.yaml"], {}, "cannot read none.yaml"),
    ],
)
def test_wrong_requests_say_what_is_wrong(
    clean: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    variables: dict[str, str],
    problem: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert generate.main(arguments) == (1 if variables and "--scale" not in arguments else 2)
    assert problem in capsys.readouterr().err
    assert not any(clean.iterdir())


def test_a_broken_dotenv_is_a_clear_error(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clean / ".env").write_text("COMPANY_SCALE 0.5\n")
    assert generate.main(["--day", "2026-01-01"]) == 1
    assert ".env, line 1" in capsys.readouterr().err


def test_a_landing_zone_that_cannot_be_written(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clean / "raw").write_text("a file where the folder should be")
    assert generate.main(["--day", "2026-01-01", "--scale", "0.01"]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["data_gen/generate.py"], ["-m", "data_gen.generate"]], ids=["script", "module"]
)
def test_both_ways_to_run_it(tmp_path: Path, command: list[str]) -> None:
    environment = {
        **os.environ,
        "COMPANY_FOUNDED": "2026-01-02",
        "COMPANY_SCALE": "0.05",
        "COMPANY_SEED": "1",
    }
    run = subprocess.run(
        [sys.executable, *command, "--day", "2026-01-01", "--days", "2", "--out", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=True,
    )
    assert len(run.stdout.splitlines()) == 2 * (len(SOURCES) + 2)
    assert "before the founding on 2026-01-02" in run.stderr
    assert path(tmp_path, "events", date(2026, 1, 2)).stat().st_size > 0


def test_the_rules_file_is_the_default() -> None:
    assert DEFAULT_RULES == ROOT / "data_gen" / "rules.yaml"


# -- processes ---------------------------------------------------------------------------------

# Makes a day and kills itself, as `kill -9` does, at the n-th call of a method of its files.
KILLED = """
import os, signal, sys
from data_gen import generate
from saas_analytics.sources.files import AtomicFile
name, left = sys.argv[1], [int(sys.argv[2])]
working = getattr(AtomicFile, name)
def deadly(*arguments):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return working(*arguments)
setattr(AtomicFile, name, deadly)
generate.main(sys.argv[3:])
"""


def arguments(out: Path, scale: str = "0.3", *more: str) -> list[str]:
    return ["--day", str(DAY), "--scale", scale, "--seed", "42", "--out", str(out), *more]


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in generate.VARIABLES}
    environment["COMPANY_FOUNDED"] = str(FOUNDED)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, text=True, **pipes
    )


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*.*") if not p.is_dir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed")
    write_day(Company(load_rules().founded_on(FOUNDED), 42, exact_scale("0.3")), DAY, out)
    return contents(out)


@pytest.mark.parametrize(
    ("method", "call"), [("write", 40), ("complete", 9), ("publish", 1), ("publish", 20)]
)
def test_killed_in_the_middle_and_run_again(
    undisturbed: dict[str, bytes], tmp_path: Path, method: str, call: int
) -> None:
    with start(["-c", KILLED, method, str(call), *arguments(tmp_path)]) as process:
        assert process.wait(60) == -signal.SIGKILL
    left = contents(tmp_path)
    named = {name: content for name, content in left.items() if not name.endswith(".tmp")}
    assert len(named) == (call - 1 if method == "publish" else 0) and len(left) > len(named)
    assert named.items() <= undisturbed.items()  # what has its name is whole
    for manifest in (name for name in named if name.endswith("_manifest.json")):
        [file] = json.loads(named[manifest])["files"]
        assert str(Path(manifest).with_name(file["name"])) in named
    with start(["data_gen/generate.py", *arguments(tmp_path)]) as process:
        assert process.wait(60) == 0
    assert contents(tmp_path) == undisturbed


def test_two_at_once(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    both = [start(["data_gen/generate.py", *arguments(tmp_path)]) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=patience(60))
        assert (process.returncode, errors) == (0, "")
    assert contents(tmp_path) == undisturbed


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files, which the system reports like a full disk."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with start(["data_gen/generate.py", *arguments(tmp_path)], preexec_fn=small_files) as process:
        _, errors = process.communicate(timeout=patience(60))
    assert process.returncode == 1
    assert errors.startswith("error: cannot write: ") and errors.count("\n") == 1
    assert contents(tmp_path) == {}


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    with start(
        ["data_gen/generate.py", *arguments(tmp_path, "0.01", "--days", "2")], stdout=end
    ) as process:
        os.close(end)
        shown = b""
        with suppress(OSError):  # raised when the process has closed the terminal
            while some := os.read(terminal, 1 << 16):
                shown += some
        assert process.wait(60) == 0
    os.close(terminal)
    assert b"2/2" in shown and f"generate {DAY + timedelta(days=1)}".encode() in shown
    assert b"events.jsonl" not in shown


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--help"]) == 0
    shown = capsys.readouterr().out
    options = (("day", "YYYY-MM-DD"), ("days", "N"), ("scale", "X"), ("seed", "S"), ("out", "DIR"))
    for option, metavar in (*options, ("rules", "FILE")):
        assert re.search(rf"--{option} +{metavar}", shown), option


def test_a_wrong_key_of_the_rules_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        DEFAULT_RULES.read_text(encoding="utf-8").replace("skew_sessions:", "skew_session:")
    )
    assert generate.main(arguments(tmp_path / "raw", "0.01", "--rules", str(rules))) == 2
    assert (
        "defects.skew_session: is not a known key; did you mean 'skew_sessions'?"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "raw").exists()


# Runs the command line and prints what it used. (The peak of getrusage includes the memory of the
# process that started this one.)
OBSERVED = """
import sys
from pathlib import Path
from data_gen import generate
generate.main(sys.argv[1:])
status = Path("/proc/self/status").read_text().splitlines()
[peak] = [line for line in status if line.startswith("VmHWM")]
print("megabytes", int(peak.split()[1]) // 1024)
print("slow", sorted({"pandas", "polars", "faker", "rich"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("days", "scale", "events"), [(1, "95", 1_000_000), (30, "0.01", 1)], ids=["large", "many"]
)
def test_memory_and_what_is_loaded(tmp_path: Path, days: int, scale: str, events: int) -> None:
    """A million events need less than 400 MB. Libraries that are slow to import are not loaded."""
    with start(["-c", OBSERVED, *arguments(tmp_path, scale, "--days", str(days))]) as process:
        printed, errors = process.communicate(timeout=patience(300))
    assert (process.returncode, errors) == (0, "")
    lines = {words[0]: words[1:] for words in map(str.split, printed.splitlines())}
    assert int(lines["events"][1].replace(",", "")) >= events
    assert int(lines["megabytes"][0]) < 400
    assert lines["slow"] == ["[]"]
