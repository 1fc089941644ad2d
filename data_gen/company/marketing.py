"""Visits and their channels: touches before the signup, sessions of users, and ad spend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_gen.company import text
from data_gen.company.activity import Sessions
from data_gen.company.columns import constant, days, flags, moments, money, pick, small, words
from data_gen.company.company import Company
from data_gen.company.events import session_ids
from data_gen.company.hashing import I64, U64, Mask, below, happens, splitmix64
from data_gen.company.lives import DAY_MS, customer_of
from data_gen.company.quantiles import Choice
from data_gen.company.rows import Rows
from data_gen.company.rules import BASE_CURRENCY
from data_gen.company.schemas import table


@dataclass(frozen=True, eq=False)
class Campaigns:
    """All campaigns of all channels, one after another."""

    channels: tuple[str, ...]
    channel: I64  # of each campaign
    first: I64  # campaign of each channel
    count: I64
    cost: I64  # cents a click, by channel
    choice: Choice  # of a channel


@dataclass(frozen=True, eq=False)
class Touches:
    """Visits of people who will sign up."""

    user: I64  # the later user
    bits: U64
    at: I64  # milliseconds of the day
    campaign: I64

    def __len__(self) -> int:
        return len(self.user)


@lru_cache(maxsize=4)
def campaigns(company: Company) -> Campaigns:
    channels = company.rules.marketing.channels
    count = np.array([len(c.campaigns) for c in channels.values()], dtype=np.int64)
    return Campaigns(
        channels=tuple(channels),
        channel=np.repeat(np.arange(len(count)), count),
        first=np.cumsum(count) - count,
        count=count,
        cost=np.array([c.cost_per_click for c in channels.values()], dtype=np.int64),
        choice=Choice.of([c.weight for c in channels.values()]),
    )


def touches_on(company: Company, day: int, count: int) -> Iterator[Touches]:
    """The touches of a day, in parts of about `count` people."""
    rules = company.rules.marketing
    first, last = company.growth.users_by(day), company.growth.users_by(day + rules.touch_days)
    for start in range(first, last, count):
        people = np.arange(start, min(start + count, last), dtype=np.int64)
        how_many = _touches_of(company, people)
        user = np.repeat(people, how_many)
        number = np.arange(len(user)) - np.repeat(np.cumsum(how_many) - how_many, how_many)
        bits = company.draw("touch", user, number)
        back = 1 + below(bits, rules.touch_days)
        today = np.flatnonzero(company.growth.signup_day(user) - back == day)
        user, bits = user[today], bits[today]
        yield Touches(user, bits, company.hours.at(splitmix64(bits)), _campaign(company, bits))


def _touches_of(company: Company, user: I64) -> I64:
    return company.rules.marketing.touches.at(company.draw("touches", user))


def _campaign(company: Company, bits: U64) -> I64:
    known = campaigns(company)
    more = splitmix64(~bits)
    channel = known.choice.at(more)
    return known.first[channel] + below(splitmix64(more), known.count[channel])


def session_campaigns(company: Company, sessions: Sessions) -> tuple[Mask, I64]:
    """The sessions that come through a campaign, and their campaigns.

    A user with touches signs up through the campaign of the last one.
    """
    rules = company.rules.marketing
    bits = company.draw("session.campaign", sessions.counter.view(np.int64))
    tagged = np.where(
        sessions.depth > 0,
        happens(bits, rules.tagged_buyer_share),
        happens(bits, rules.tagged_share),
    )
    campaign = _campaign(company, bits)
    new = np.flatnonzero(sessions.signs_up)
    how_many = _touches_of(company, sessions.user[new])
    tagged[new] = how_many > 0
    last = company.draw("touch", sessions.user[new], np.maximum(how_many - 1, 0))
    campaign[new] = _campaign(company, last)
    return tagged, campaign


def session_rows(company: Company, sessions: Sessions, tagged: Mask, campaign: I64) -> Rows:
    """A row for each session of a user."""
    bits = company.draw("session.row", sessions.counter.view(np.int64))
    return _rows(
        company,
        ids=session_ids(company, sessions),
        started=sessions.day * DAY_MS + sessions.start,
        known=True,
        user=sessions.user,
        tagged=tagged,
        campaign=campaign,
        bits=bits,
    )


def touch_rows(company: Company, touches: Touches, day: int) -> Rows:
    """A row for each touch. Its user is not yet known."""
    return _rows(
        company,
        ids=company.draw("touch.session", touches.bits.view(np.int64)),
        started=day * DAY_MS + touches.at,
        known=False,
        user=touches.user,
        tagged=np.ones(len(touches), dtype=np.bool_),
        campaign=touches.campaign,
        bits=company.draw("touch.row", touches.bits.view(np.int64)),
    )


def _rows(
    company: Company,
    ids: U64,
    started: I64,
    known: bool,
    user: I64,
    tagged: Mask,
    campaign: I64,
    bits: U64,
) -> Rows:
    names = campaigns(company)
    rules = company.rules.marketing
    channels = list(rules.channels.values())
    channel = names.channel[campaign]
    through = flags(tagged)
    nobody = pa.nulls(len(user), pa.string())
    every_campaign = [f"{n}_{c}" for n, ch in rules.channels.items() for c in ch.campaigns]
    referrers = [c.referrer or "" for c in channels]
    links = flags(tagged & np.array([bool(r) for r in referrers])[channel])
    pages = words(rules.landing_pages)
    rows = table(
        "sessions",
        {
            "session_id": text.hex_ids("s", ids),
            "started_at": moments(started),
            "user_id": text.numbered("u", user, 6) if known else nobody,
            "customer_id": text.numbered("c", customer_of(company, user), 6) if known else nobody,
            "anonymous_id": text.hex_ids("a", company.draw("anonymous", user)),
            "utm_source": _if(through, pick([c.source for c in channels], channel)),
            "utm_medium": _if(through, pick([c.medium for c in channels], channel)),
            "utm_campaign": _if(through, pick(every_campaign, campaign)),
            "referrer": _if(links, pick(referrers, channel)),
            "landing_page": pick(pages, below(bits, len(pages))),
        },
    )
    return Rows(rows, bits, started // DAY_MS)


def spend_rows(company: Company, day: int, touches: I64) -> Rows:
    """The cost of the paid channels by campaign. `touches`: the visits through each campaign."""
    rules, names = company.rules.marketing, campaigns(company)
    campaign = (
        np.flatnonzero(names.cost[names.channel] > 0)
        if day >= company.founded
        else np.zeros(0, dtype=np.int64)
    )
    bits = company.draw("spend", campaign, day)
    clicks = touches[campaign] * rules.clicks_per_touch.at(bits) + below(splitmix64(bits), 4)
    impressions = clicks * rules.impressions_per_click.at(splitmix64(~bits))
    price = names.cost[names.channel[campaign]]
    spend = clicks * price * (90 + below(splitmix64(bits + np.uint64(1)), 21)) // 100
    every_campaign = [f"{n}_{c}" for n, ch in rules.channels.items() for c in ch.campaigns]
    rows = table(
        "ad_spend",
        {
            "spend_date": days(np.full(len(campaign), day)),
            "channel": pick(names.channels, names.channel[campaign]),
            "spend": money(spend),
            "campaign": pick(every_campaign, campaign),
            "currency": pick([BASE_CURRENCY], campaign * 0),
            "clicks": small(clicks),
            "impressions": small(impressions),
        },
    )
    return Rows(rows, bits, np.full(len(campaign), day))


def _if(known: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(known, values, constant(None))
