"""The words and the line length of the project, in every text file that git tracks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from saas_analytics.settings import PROJECT_ROOT

MOST_CHARACTERS = 100
# Files that hold no prose of ours: lock files, data. This file names the words.
SKIPPED = ("LICENSE", "tests/data", "tests/unit/test_words.py")
SKIPPED_SUFFIXES = (".lock", ".csv", ".gz", ".png", ".svg", ".parquet", ".json")
LIMITED_SUFFIXES = (".md", ".py", ".sql")

# A pattern, and what to say instead. Case is ignored. A name with an underscore is one word, so
# `quality.told_marts` and `raw.touched_days`, which existing warehouses have, are none of these.
# Neither is the former key 'dirt' of the generator's rules, in quotes or as `dirt=`.
WORDS = {
    r"mend(s|ed|ing)?": "fix, remedy",
    r"(?<!\.)tell(s|ing)?|told": "report, notify, say, print",
    r"well again": "resolved",
    r"(the|its|of) books": "load log",
    r"touched": "affected, invalidated",
    r"(affected|changed|few|new|own|smallest) units?|units? of rebuild\w*": "rebuild key",
    r"looks_at": "compares_to",
    r"looks_up": "index_lookup",
    r"beside": "against, next to",
    r"(which|what|that|it|these|they) (is|are|was|were) (?-i:none)": "is not a(n) ..., invalid",
    r"(?<!there )(is|are|was|were) no (?!longer|more|less|fewer|later)": "is not a(n) ..., invalid",
    r"foreign files?": "external file",
    r"(left|leaves?|leaving) out": "filtered, skipped",
    r"(?<![\"'])dirt(?!=)|dirty|soil(s|ed|ing)?": "defects, corruption",
    r"answer keys?": "ground truth",
    r"put(s|ting)? away": "archive",
    r"change feeds?|(a|an|the|its|their|own|this|upstream's) feeds?": "change log",
    r"retire(s|d)?|retiring": "expire",
    r"unlike (its|the|their) history|unlike others": "anomalous",
    r"g[ai]ve(s)? up": "fail, stop",
    r"strays?|left-?overs?": "orphan, failed",
    r"anew": "again",
    r"(came|comes|become|becomes|became) of (it|them|that|this)": "the result, the state",
    r"to be had": "available",
    r"where(in|of|upon|by)|there(in|of|upon)|hither(to)?|thither": "a plain word",
}
_FOUND = re.compile(
    r"\b(?:" + "|".join(f"(?P<w{at}>{pattern})" for at, pattern in enumerate(WORDS)) + r")\b",
    re.IGNORECASE,
)
_INSTEAD = list(WORDS.values())
_CODE = re.compile(r"`[^`]+`")
_LONG_ADDRESS = re.compile(r"\S*(://|\]\()\S+")


def tracked() -> list[Path]:
    """The files that git knows, relative to the project, without those that hold no prose."""
    if not (PROJECT_ROOT / ".git").exists():
        pytest.skip("this is not a checkout of git")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, check=True).stdout
    paths = [Path(name) for name in listed.decode().split("\0") if name]
    kept = [path for path in paths if path.suffix not in SKIPPED_SUFFIXES]
    return [path for path in kept if not is_below(path, SKIPPED) and exists(path)]


def exists(path: Path) -> bool:
    """False for a file that is deleted, and not yet in git."""
    return (PROJECT_ROOT / path).is_file()


def is_below(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def prose(path: Path, text: str) -> str:
    """A line as it is read for words: names in code of Markdown are an interface, so not read."""
    return _CODE.sub("``", text) if path.suffix == ".md" else text


def words_in(path: Path, text: str) -> Iterator[str]:
    """A message for each word to avoid. A phrase is found across a line break too."""
    lines = [prose(path, line) for line in text.splitlines()]
    for match in _FOUND.finditer("\n".join(lines).replace("\n", " ")):
        before = 0
        for number, line in enumerate(lines, start=1):
            if match.start() <= before + len(line):
                instead = _INSTEAD[int((match.lastgroup or "w0")[1:])]
                yield f"{path}:{number}: '{match[0]}'. Say instead: {instead}."
                break
            before += len(line) + 1


def may_be_longer(path: Path, line: str) -> bool:
    """Whether a line cannot be broken: a row of a table, a long address, one word."""
    if path.suffix == ".md" and line.lstrip().startswith("|"):
        return True
    addresses = [match[0] for match in _LONG_ADDRESS.finditer(line)]
    return len(line.split()) == 1 or any(len(address) > 60 for address in addresses)


def long_lines(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > MOST_CHARACTERS and not may_be_longer(path, line):
            yield f"{path}:{number}: {len(line)} characters, at most {MOST_CHARACTERS} are allowed."


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        yield path, (PROJECT_ROOT / path).read_text(encoding="utf-8")


def test_the_words_are_those_of_the_field() -> None:
    found = [message for path, text in texts() for message in words_in(path, text)]
    assert not found, "\n".join(found)


def test_lines_are_not_too_long() -> None:
    limited = [(path, text) for path, text in texts() if path.suffix in LIMITED_SUFFIXES]
    found = [message for path, text in limited for message in long_lines(path, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("It leaves out the rest", "leaves out"),
        ("It tells nobody", "tells"),
        ("A foreign\nfile lands", "foreign file"),
        ("What is none of these", "is none"),
        ("It is no number", "is no"),
        ("It Retires a partition", "Retires"),
        ("the rows of touched days", "touched"),
        ("compared beside pandas", "beside"),
        ("reads the feed of", "the feed"),
        ("each gave up", "gave up"),
    ],
)
def test_a_word_to_avoid_is_found_with_its_line(text: str, word: str) -> None:
    messages = list(words_in(Path("a.md"), f"First.\n{text}\n"))
    assert len(messages) == 1
    assert messages[0].startswith("a.md:2: '") and word in messages[0]


@pytest.mark.parametrize(
    "text",
    [
        "There is no Redis, and it is no longer needed.",
        "A recommendation amends nothing.",
        "`quality.told_marts` and raw.touched_days keep their names.",
        "A synthetic company feeds it. A unit test has a unit of measure.",
        "`dirt.redelivered` is a key of the rules.",
        "Rules(dirt=None) once had the key 'dirt'.",
        '_STREAM = "dirt"',
        "Attribution shares a conversion among touches.",
        "if it is None: position = file.tell()",
    ],
)
def test_other_words_are_left_alone(text: str) -> None:
    assert not list(words_in(Path("a.md"), text))


def test_a_long_line_is_found_unless_it_cannot_be_broken() -> None:
    long = "word " * 30
    (message,) = long_lines(Path("a.md"), f"short\n{long}")
    assert message.startswith("a.md:2: 150 characters")
    assert list(long_lines(Path("a.sql"), f"| {long}"))
    address = f"https://example.com/{'page/' * 20}"
    for unbreakable in (f"| {long}", f"See [the page]({address})", address, "x" * 150):
        assert not list(long_lines(Path("a.md"), unbreakable))
    assert list(long_lines(Path("a.md"), f"See https://example.com {long}"))
