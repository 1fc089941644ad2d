"""The script that makes lists of names, and a generator that uses such lists."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from data_gen.company import company as company_module
from data_gen.company.company import SEEDS, Company, exact_scale
from data_gen.company.making import day_tables
from data_gen.company.rules import load_rules
from tests.waiting import patience

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "data_gen/seeds/make_name_lists.py"
LISTS = ("first_names.txt", "last_names.txt")


def make(out: Path, *options: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, "--out", str(out), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=patience(60),
    )


def contents(out: Path) -> dict[str, str]:
    return {name: (out / name).read_text(encoding="utf-8") for name in LISTS}


def test_lists_have_each_name_once_and_are_always_the_same(tmp_path: Path) -> None:
    options = ("--locale", "de_DE", "--locale", "fr_FR", "--names", "120")
    for folder, hash_seed in (("one", "1"), ("two", "2")):
        made = make(tmp_path / folder, *options, hash_seed=hash_seed)
        assert (made.returncode, made.stderr) == (0, "")
        assert len(made.stdout.splitlines()) == len(LISTS)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    for text in contents(tmp_path / "one").values():
        names = text.removesuffix("\n").split("\n")
        assert len(names) == len(set(names)) == 120
        assert names == sorted(names)
        assert all(name and name == name.strip() for name in names)
    make(tmp_path / "other", *options, "--seed", "2")
    assert contents(tmp_path / "other") != contents(tmp_path / "one")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--locale", "xx_XX"), "invalid choice: 'xx_XX'"),
        (("--names", "0"), "must be at least 1"),
        (("--locale", "en_IN", "--names", "600"), "have only about"),
    ],
)
def test_wrong_options_say_what_is_wrong(
    tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    made = make(tmp_path / "out", *options)
    assert made.returncode == 2
    assert problem in made.stderr
    assert not (tmp_path / "out").exists()


def test_the_generator_uses_made_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = tmp_path / "seeds"
    shutil.copytree(SEEDS, seeds)
    assert make(seeds, "--locale", "nl_NL", "--names", "60").returncode == 0
    monkeypatch.setattr(company_module, "SEEDS", seeds)
    rules = load_rules().founded_on(date(2026, 1, 1))
    company = Company(rules, 42, exact_scale("0.2"))
    assert (len(company.first_names), len(company.last_names)) == (60, 60)
    tables = day_tables(rules, 42, "0.2", date(2026, 1, 1))
    people = set(tables["users"]["full_name"].to_pylist())
    assert len(people) > 10
    assert people <= {f"{a} {b}" for a in company.first_names for b in company.last_names}


def test_neither_the_generator_nor_landing_imports_faker() -> None:
    modules = (
        "data_gen.company.making, data_gen.faults, data_gen.generate, "
        "data_gen.land, saas_analytics.landing.execution"
    )
    code = f"import sys, {modules}; print('faker' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
