"""The first rows of failed tests: kept for the run, with personal data masked."""

from __future__ import annotations

import psycopg
import pytest

from saas_analytics.pipeline.dbt_process import NodeEnd
from saas_analytics.pipeline.failing_rows import keep_failing_rows
from saas_analytics.pipeline.masking import masked_row, masked_text
from saas_analytics.settings import Settings


def result(name: str, status: str, query: str, test: str = "unique") -> NodeEnd:
    return NodeEnd(f"test.shop.{name}", status, query=query, test=test)


def test_the_first_rows_are_kept_and_what_is_personal_is_not(
    warehouse: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = result(
        "unique_email",
        "fail",
        "select 'a@b.example' as email, n as user_number, 1.50 as amount, "
        "date '2026-01-05' as day, "
        "jsonb_build_object('note', 'call +49 170 1234567') as properties "
        "from generate_series(1, 100) as n",
    )
    others = [
        result("passes", "pass", "select 1"),
        result("broken", "fail", "select no_such_column"),
    ]
    with psycopg.connect(warehouse.dsn("transformer"), autocommit=True) as session:
        keep_failing_rows(session, "run", [failed, *others])
        keep_failing_rows(session, "run", [failed])  # another try overwrites it
        kept = session.execute("select node_id, rows from quality.failing_rows").fetchall()
        assert [node_id for node_id, _ in kept] == ["test.shop.unique_email"]
        rows = kept[0][1]
        assert [row["user_number"] for row in rows] == [1, 2, 3, 4, 5]
        first = {"email": "***", "user_number": 1, "amount": "1.50", "day": "2026-01-05"}
        assert rows[0] == {**first, "properties": '{"note": "call ***"}'}
        # Fixed: its rows are gone.
        keep_failing_rows(session, "run", [result("unique_email", "pass", "select 1")])
        assert session.execute("select count(*) from quality.failing_rows").fetchone() == (0,)
    assert "no_such_column" in capsys.readouterr().err


@pytest.mark.parametrize(("broken", "kept"), [(1, 5), (2, 5), (7, 7)])
def test_of_a_test_with_several_rules_each_that_is_broken_keeps_a_row(
    warehouse: Settings, broken: int, kept: int
) -> None:
    query = (
        "select 'rule ' || r as _rule, n "
        f"from generate_series(1, {broken}) as r, generate_series(1, 100) as n"
    )
    with psycopg.connect(warehouse.dsn("transformer"), autocommit=True) as session:
        keep_failing_rows(
            session, "run", [result("every_row_of_orders", "fail", query, test="every_row")]
        )
        ((rows,),) = session.execute("select rows from quality.failing_rows").fetchall()
    assert len({row["_rule"] for row in rows}) == broken
    assert len(rows) == kept and rows[0].keys() == {"_rule", "n"}


def test_a_test_of_a_personal_column_shows_none_of_its_values() -> None:
    row = {"unique_field": "Ann Lee", "n_records": 2}
    assert masked_row(row, "full_name") == {"unique_field": "***", "n_records": 2}
    assert masked_row(row, "plan_id") == row


def test_a_row_as_it_was_delivered_is_personal() -> None:
    delivered = '{"full_name": "Ann Lee"}'
    row = dict.fromkeys(("_original", "original", "_doc", "_extra"), delivered)
    assert masked_row({**row, "rule": "no_email"}) == {
        **dict.fromkeys(row, "***"),
        "rule": "no_email",
    }


def test_a_long_value_is_masked_before_it_is_cut() -> None:
    text = "x" * 190 + " ann.lee@mail.example.com"
    assert masked_row({"note": text}) == {"note": "x" * 190 + " ***"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail to ann.lee+x@mail.example.com failed", "mail to *** failed"),
        ("Key (full_name)=(Ann (A.) Lee) already exists.", "Key (full_name)=(***) already exists."),
        (
            "Failing row contains (1, c1, Ann Lee\n2, null).\n  more",
            "Failing row contains (***).\n  more",
        ),
        ("Failing row contains (1, Ann Lee, ...", "Failing row contains (***)"),
        (
            'invalid input syntax for type integer: "Ann Lee"\n  more',
            "invalid input syntax for type integer: ***\n  more",
        ),
        ("card 4111 1111 1111 1111 refused", "card *** refused"),
        ("tel. (030) 901820 12", "tel. (***"),
        (
            "order 12345 on 2026-01-05 10:11:12 is 99.90 short",
            "order 12345 on 2026-01-05 10:11:12 is 99.90 short",
        ),
        ("2026-01-05 4111 1111 1111 1111", "***"),
        (
            "Got 12 results, configured to fail if != 0",
            "Got 12 results, configured to fail if != 0",
        ),
    ],
)
def test_personal_data_in_messages_is_masked(text: str, masked: str) -> None:
    assert masked_text(text) == masked
