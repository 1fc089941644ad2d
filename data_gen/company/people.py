"""Rows of users: one for each signup, change of a profile, and deletion."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_gen.company import text
from data_gen.company.columns import constant, flags, moments, pick, whole
from data_gen.company.company import Company
from data_gen.company.hashing import below, field, identity
from data_gen.company.lives import (
    DAY_MS,
    ActorDays,
    asks_deletion,
    customer_of,
    end_day,
    profile,
    signup_ms,
    user_changes,
    window_on,
)
from data_gen.company.rows import Rows
from data_gen.company.schemas import table


def changed_users(company: Company, who: ActorDays) -> ActorDays:
    """The users with a row on their day, at most one each."""
    born = company.growth.signup_day(who.actor)
    window = window_on(who.day, born, company.rules.users.change_window_days)
    change = user_changes(company, who.actor, born, window)
    changed = who.day == born
    changed[change.at] |= change.day == who.day[change.at]
    leaves = who.day == end_day(company, who.actor)
    leaves[leaves] = asks_deletion(company, who.actor[leaves])
    return who.where(changed | leaves)


def user_rows(company: Company, who: ActorDays) -> Rows:
    """The rows of `changed_users`, with the new state of each user."""
    user, day = who.actor, who.day
    bits = company.draw("user.row", identity(day, user, user * 0).view(np.int64))
    signup = signup_ms(company, user)
    updated = np.where(signup // DAY_MS == day, signup, day * DAY_MS + company.hours.at(bits))
    deleted = (day == end_day(company, user)) & asks_deletion(company, user)
    now = profile(company, who)
    customer = text.numbered("c", customer_of(company, user), 6)
    first = pick(
        company.first_names, below(company.draw("user.first_name", user), len(company.first_names))
    )
    last = pick(
        company.last_names, below(company.draw("user.last_name", user), len(company.last_names))
    )
    # The row of a deleted user keeps its id but has no name and no addresses.
    gone = flags(deleted)
    email = text.join(["user", whole(user).cast(pa.string()), "@", customer, ".example.com"])
    digits = pc.utf8_lpad(whole(field(now.phone, 0, 20) % 1_000_000).cast(pa.string()), 6, "0")
    rows = table(
        "users",
        {
            "user_id": text.numbered("u", user, 6),
            "updated_at": moments(updated),
            "customer_id": customer,
            "email": pc.if_else(gone, constant(None), email),
            "full_name": pc.if_else(gone, constant(None), text.join([first, last], " ")),
            "phone": pc.if_else(gone, constant(None), text.join(["+1555", digits])),
            "country": pick(company.countries, now.country),
            "role": pick(list(company.rules.users.roles), now.role),
            "signed_up_at": moments(signup),
            "marketing_opt_in": flags(now.opt_in & ~deleted),
            "is_deleted": gone,
        },
    )
    return Rows(rows, bits, day)
