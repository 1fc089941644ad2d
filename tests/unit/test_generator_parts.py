"""The base of everything else: hashing, integer tables, growth, and rows that are put off."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from data_gen.company import columns, text
from data_gen.company.calendar import weekday
from data_gen.company.company import Company, exact_scale
from data_gen.company.delivery import PutOff
from data_gen.company.growth import TooManyUsers, day_number
from data_gen.company.hashing import below, draw, happens, identity, splitmix64
from data_gen.company.lives import ActorDays, customer_of, founder_of, is_solo, signup_ms
from data_gen.company.quantiles import STEPS, Choice, Curve
from data_gen.company.rules import load_rules

FOUNDED = date(2026, 1, 1)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(load_rules().founded_on(FOUNDED), 42, exact_scale("0.5"))


def test_splitmix64_gives_the_published_numbers() -> None:
    """The first outputs of the reference implementation with seed 1234567."""
    step = np.uint64(0x9E3779B97F4A7C15)
    counters = np.uint64(1234567) + step * np.arange(3, dtype=np.uint64)
    assert splitmix64(counters).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_draws_are_uniform_and_independent() -> None:
    users = np.arange(100_000, dtype=np.int64)
    first, second = draw(42, "one", users), draw(42, "two", users)
    for bits in (first, second, draw(42, "one", users, 5), draw(43, "one", users)):
        counts = np.bincount(below(bits, 10), minlength=10)
        assert abs(counts - 10_000).max() < 5 * (10_000 * 0.9) ** 0.5
    both = happens(first, Decimal("0.5")) & happens(second, Decimal("0.5"))
    assert abs(int(both.sum()) - 25_000) < 5 * (100_000 * 0.25 * 0.75) ** 0.5
    assert not happens(first, Decimal(0)).any() and happens(first, Decimal(1)).all()


def test_identities_are_unique() -> None:
    day, actor, number = (
        a.ravel() for a in np.meshgrid([0, 1, 20_000], [0, 1, 2**28 - 1], [0, 1, 2**21 - 1])
    )
    assert len(np.unique(splitmix64(identity(day, actor, number)))) == 27


def test_curve_goes_through_its_points() -> None:
    curve = Curve.through(
        [(Decimal(0), 10), (Decimal(50), 20), (Decimal(99), 1000), (Decimal(100), 5000)]
    )
    drawn = np.sort(curve.at(draw(1, "curve", np.arange(200_000, dtype=np.int64))))
    assert drawn[0] >= 10 and drawn[-1] <= 5000
    assert drawn[100_000] == pytest.approx(20, abs=1)
    assert drawn[198_000] == pytest.approx(1000, rel=0.1)
    assert len(curve.edges) == STEPS + 1 and curve.edges.dtype == np.int64


def test_choice_keeps_to_its_weights() -> None:
    counts = np.bincount(
        Choice.of([1, 0, 3]).at(draw(1, "choice", np.arange(40_000, dtype=np.int64))), minlength=3
    )
    assert counts[1] == 0
    assert abs(counts[0] - 10_000) < 500


def test_hours_of_weight_zero_stay_empty() -> None:
    curve = Curve.of_hours([0] * 9 + [1, 2] + [0] * 12 + [1])
    hours = curve.at(draw(1, "hours", np.arange(40_000, dtype=np.int64))) // 3_600_000
    assert set(hours.tolist()) == {9, 10, 23}
    assert np.count_nonzero(hours == 10) == pytest.approx(20_000, rel=0.05)


def test_signups_rise_to_the_plateau_and_scale(company: Company) -> None:
    rules = company.rules.growth
    totals = company.growth.totals(company.founded + 700)
    daily = np.diff(totals[:701]) / 0.5
    weekly = daily[:700].reshape(-1, 7).sum(axis=1)
    assert daily[0] > 100 > rules.signups_at_plateau
    launches = {day // 7 for day in company.rules.rhythm.launch_days}
    usual = [w for n, w in enumerate(weekly[3:].tolist(), start=3) if n not in launches]
    assert np.all(np.diff(usual) >= -2)  # no fall after the launch, but for rounding
    assert weekly[-1] == pytest.approx(
        rules.signups_at_plateau * sum(company.rules.rhythm.weekdays) / 100, rel=0.03
    )
    double = Company(company.rules, 42, Fraction(1)).growth.totals(company.founded + 700)[:701]
    assert np.all(abs(double - 2 * totals[:701]) <= 1)


def test_growth_before_the_founding_and_beyond_all_bounds(company: Company) -> None:
    assert company.growth.users_by(company.founded - 1) == 0
    assert (
        company.growth.users_by_each(np.array([company.founded - 5, company.founded])).tolist()[0]
        == 0
    )
    with pytest.raises(TooManyUsers):
        Company(company.rules, 42, Fraction(10_000)).growth.users_by(company.founded + 3000)


def test_weekdays() -> None:
    days = [FOUNDED + timedelta(days=n) for n in range(20)]
    assert weekday(np.array([day_number(d) for d in days])).tolist() == [d.weekday() for d in days]


def test_users_join_customers_that_exist(company: Company) -> None:
    user = np.arange(company.growth.users_by(company.founded + 300), dtype=np.int64)
    customer = customer_of(company, user)
    signup = signup_ms(company, user)
    assert np.all(np.diff(signup) >= 0)
    assert np.all(signup[founder_of(company, customer)] <= signup)
    assert np.all(founder_of(company, customer) <= user)
    assert np.bincount(customer)[is_solo(company, np.arange(customer.max() + 1))].max() == 1


@pytest.mark.parametrize("of_customers", [False, True])
def test_putting_off_is_the_same_seen_from_both_sides(company: Company, of_customers: bool) -> None:
    """Delays by actor and day agree with the lists of actors by landing day."""
    rule = PutOff(company, "test", Decimal("0.03"), company.rules.delivery.late_days, of_customers)
    last = company.founded + 60
    users = {d: company.growth.users_by(d) for d in range(company.founded, last)}
    asked = set()
    total = drawn = 0
    for day, count in users.items():
        who = ActorDays.on(
            day, np.arange(-(-count // 6) if of_customers else count, dtype=np.int64)
        )
        delay = rule.delay(who)
        total, drawn = total + len(who), drawn + int(np.count_nonzero(delay))
        asked |= {
            (a, day, day + d) for a, d in zip(who.actor.tolist(), delay.tolist(), strict=True) if d
        }
    listed = {
        (actor, day, landing)
        for landing in range(company.founded, last + 10)
        for who in rule.due(landing)
        for actor, day in zip(who.actor.tolist(), who.day.tolist(), strict=True)
        if day < last
    }
    assert asked == listed and len(asked) > 100
    assert {landing - day for _, day, landing in asked} == set(range(1, 8))
    assert abs(drawn - 0.03 * total) < 3 * (0.03 * 0.97 * total) ** 0.5


def test_nobody_is_put_off_at_rate_zero_and_all_at_one(company: Company) -> None:
    who = ActorDays.on(company.founded + 30, np.arange(300, dtype=np.int64))
    for share, wanted in ((0, 0), (1, 300)):
        rule = PutOff(company, "test", Decimal(share), company.rules.delivery.late_days)
        assert np.count_nonzero(rule.delay(who)) == wanted


def test_columns_hold_what_they_were_given() -> None:
    cents = np.array([0, 1, -1, 12_345, -9_999_999_999], dtype=np.int64)
    assert [str(v) for v in columns.money(cents).to_pylist()] == [
        "0.00",
        "0.01",
        "-0.01",
        "123.45",
        "-99999999.99",
    ]
    known = np.array([True, False, True])
    assert columns.days(np.array([0, 1, 20_000]), known).to_pylist() == [
        date(1970, 1, 1),
        None,
        date(2024, 10, 4),
    ]
    assert columns.flags(known).to_pylist() == [True, False, True]
    assert columns.words(["é", "", "x"]).to_pylist() == ["é", "", "x"]
    assert columns.pick(["a", "b"], np.array([1, 0, 1])).to_pylist() == ["b", "a", "b"]
    assert columns.small(np.array([1, -2])).to_pylist() == [1, -2]


def test_text_of_numbers() -> None:
    ms = np.array([0, 951_782_399_999, 1_767_225_600_000], dtype=np.int64)
    assert text.instants(ms).to_pylist() == [
        "1970-01-01T00:00:00.000Z",
        "2000-02-28T23:59:59.999Z",
        "2026-01-01T00:00:00.000Z",
    ]
    assert text.hex_ids("o", np.array([0, 2**64 - 1], dtype=np.uint64)).to_pylist() == [
        "o" + "0" * 16,
        "o" + "f" * 16,
    ]
    assert text.numbered("u", np.array([7, 1_234_567]), 6).to_pylist() == ["u000007", "u1234567"]
    rows = text.join(["<", columns.words(["a", "bc", "d"]), ">"])
    assert bytes(text.contents(rows)) == b"<a><bc><d>"
    assert bytes(text.contents(rows.slice(1, 1))) == b"<bc>"
    assert bytes(text.contents(pa.array([], pa.string()))) == b""


@pytest.mark.parametrize("scale", ["0", "-1", "1e9", "nan", "a", "inf", ""])
def test_a_wrong_scale(scale: str) -> None:
    with pytest.raises(ValueError, match="the scale must"):
        exact_scale(scale)
