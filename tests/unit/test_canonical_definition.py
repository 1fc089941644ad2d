"""The canonical form of a model's query. A rename or a comment does not change it.

The macro is rendered by Jinja itself, without dbt. tests/warehouse/test_exact_package.py builds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import jinja2
import pytest

from saas_analytics.settings import PROJECT_ROOT

MACROS = PROJECT_ROOT / "dbt" / "packages" / "exact" / "macros" / "definition.sql"
Canonical = Callable[[str], str]


@pytest.fixture(scope="module")
def canonical() -> Canonical:
    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    environment.globals |= {"modules": SimpleNamespace(re=re), "return": lambda value: value}
    macros = environment.from_string(MACROS.read_text()).module
    return lambda sql: str(macros.canonical(sql, "warehouse"))  # type: ignore[attr-defined]


FROM_X = "/*affected_when select a from changes_of(x)*/"
SAME = {
    "comments": (
        "select a -- why\nfrom t /* one; 'two' */",
        "select /* /* nested */ -- 'x */ a\nfrom t\n--end",
    ),
    "white space": ("select\n    count( * ),\n\tb\nfrom t", "select count(*), b from t"),
    "a comment in place of a space": ("select a from/**/t", "select a from t"),
    "the order of affected_when": (
        f"{FROM_X} /*affected_when select b from changes_of(y)*/ select 1",
        f"/*affected_when select b from  changes_of(y)*/ select 1 {FROM_X}",
    ),
    "an affected_when that is there twice": (f"{FROM_X} {FROM_X} select 1", f"{FROM_X} select 1"),
    "a comment in a marker": (
        "/*affected_when select a -- for the index\nfrom changes_of(x)*/ select 1",
        "/*affected_when select a from changes_of(x)*/ select 1",
    ),
    "white space in a condition": (
        "select 1 where (true /*when_affected a in (\n  1)*/)",
        "select 1 where (true /*when_affected a in (1)*/)",
    ),
    "another database": ('select * from "warehouse"."core"."t"', 'select * from "core"."t"'),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_says_the_same_is_the_same(canonical: Canonical, one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


DIFFERENT = {
    "a string with a comment": ("select 'a -- b'", "select 'a -- c'"),
    "a string with spaces": ("select 'a  b'", "select 'a b'"),
    "a string with a quote": ("select 'it''s -- a'", "select 'it''s -- b'"),
    "a string with a block comment": ("select '/* a */'", "select '/* b */'"),
    "an escaped quote": (r"select e'it\'s -- a'", r"select e'it\'s -- b'"),
    "a backslash that escapes nothing": (r"select '\' -- a", r"select '\', 'b' -- a"),
    "an escape string and a name": ("select e'a'", "select e 'a'"),
    "a quoted name": ('select "a -- b" from t', 'select "a -- c" from t'),
    "a dollar quote": ("select $$a -- b$$", "select $$a -- c$$"),
    "a dollar quote with a tag": ("select $q$it's -- $$ a$q$", "select $q$it's -- $$ b$q$"),
    "names with dollars": ("select a$b$c, 1 -- $b$", "select a$b$c, 2 -- $b$"),
    "two operators": ("select a < -1", "select a <- 1"),
    "a minus and a comment": ("select 1 - -1", "select 1 --1"),
    "numbers": ("select 1.5", "select 1 .5"),
    "what is between comments": ("select 1 /* a */ + 1 /* b */", "select 1 /* a */ + 2 /* b */"),
    "what follows nested comments": ("select 1 /* /* */ */ + 1", "select 1 /* /* */ */ + 2"),
    "what deeply nested comments hide": (
        "select /* /* /* */ */ it's */ 'a -- b'",
        "select /* /* /* */ */ it's */ 'a -- c'",
    ),
    "the columns of affected": (
        "select 1 where (true /*affected a|b*/)",
        "select 1 where (true /*affected a|c*/)",
    ),
    "where affected is": (
        "select (true /*affected a*/) from t where b",
        "select b from t where (true /*affected a*/)",
    ),
    "a condition of when_affected": (
        "select 1 where (true /*when_affected a = 1*/)",
        "select 1 where (true /*when_affected a = 2*/)",
    ),
    "what follows a comment in a condition": (
        "select 1 where (true /*when_affected a -- b*/) and x = 1",
        "select 1 where (true /*when_affected a -- b*/) and x = 2",
    ),
    "a query of affected_when": (
        "/*affected_when select a from changes_of(x)*/ select 1",
        "/*affected_when select a + 1 from changes_of(x)*/ select 1",
    ),
    "an upstream": (
        "/*affected_when select a from changes_of(x)*/ select 1",
        "/*affected_when select a from changes_of(y)*/ select 1",
    ),
    "the case of a string in affected_when": (
        "/*affected_when select 'a'*/ /*affected_when select 'A'*/ select 1",
        "/*affected_when select 'a'*/ select 1",
    ),
    "a marker that is gone": ("select 1 where (true /*newly_landed*/)", "select 1 where (true)"),
    "another schema": (
        'select * from "warehouse"."core"."t"',
        'select * from "warehouse"."marts"."t"',
    ),
    "the database in a string": ("""select '"warehouse"."t"'""", """select '"t"'"""),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_says_something_else_is_not(canonical: Canonical, one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


def test_the_tokens_of_markers_stay(canonical: Canonical) -> None:
    """Warehouses hold hashes of these tokens: a changed token would recompute every model."""
    markers = "(true /*affected a|b*/) and (true /*when_affected c*/) or (true /*newly_landed*/)"
    tokens = "( true { keys a | b } ) and ( true { where c } ) or ( true { new } )"
    clause = "select a from { changes } ( x )"
    assert canonical(f"select {markers}{FROM_X}") == f"select {tokens} {{or}} {clause}"
