"""Events: what happens within sessions, as lines of JSON (the hot path) or as columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from data_gen.company import text
from data_gen.company.activity import Sessions
from data_gen.company.columns import moments, pick, whole, words
from data_gen.company.company import Company
from data_gen.company.hashing import I64, U64, draw, field, splitmix64, stream_key
from data_gen.company.lives import DAY_MS
from data_gen.company.quantiles import Choice
from data_gen.company.schemas import table

VARIANTS = 256  # texts of properties prepared for each event type
_MINOR_RELEASES = 10


@dataclass(frozen=True, eq=False)
class Timeline:
    """One entry per event of some sessions, in order."""

    session: I64  # index of the event's session
    bits: U64  # random, unique: the event's id
    position: I64  # within the session
    at: I64  # milliseconds of the day


@dataclass(frozen=True, eq=False)
class Events:
    """A batch of events that arrive on one day."""

    sessions: Sessions
    timeline: Timeline
    code: I64  # event type
    landed: int

    def __len__(self) -> int:
        return len(self.code)

    @property
    def bits(self) -> U64:
        return self.timeline.bits

    @property
    def day(self) -> I64:
        """The day to which each event belongs."""
        return self.sessions.day[self.timeline.session]

    def take(self, rows: I64) -> Events:
        """The rows at these positions, which may repeat."""
        line = Timeline(**{name: values[rows] for name, values in vars(self.timeline).items()})
        return Events(self.sessions, line, self.code[rows], self.landed)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The event types of the rules as codes, with the prepared texts of most lines."""

    names: tuple[str, ...]
    drawn: Choice
    signup: int
    login: int
    funnel: I64
    purchase: int
    features: tuple[tuple[int, int], ...]  # code and days from the founding to the release
    always: int  # the other codes, as bits
    otherwise: int  # the event instead of a feature that a user has not adopted
    properties: pa.Array  # VARIANTS for each code


def timeline(company: Company, sessions: Sessions) -> Timeline:
    """When each event of the sessions happens.

    A session that would last beyond the day, or into an outage, is compressed.
    """
    last = np.cumsum(sessions.events)
    first = last - sessions.events
    session = np.repeat(np.arange(len(sessions)), sessions.events)
    position = np.arange(len(session)) - first[session]
    counter = sessions.counter[session] + position.view(np.uint64)
    bits = event_bits(company, counter)
    passed = np.cumsum(
        np.where(position > 0, company.rules.sessions.gap_ms.at_step(field(bits, 40, 12)), 0)
    )
    offset = passed - passed[first][session]
    length, room = passed[last - 1] - passed[first], sessions.room
    if np.any(length > room):
        cut = (length > room)[session]
        offset[cut] = offset[cut] * room[session[cut]] // length[session[cut]]
    return Timeline(session, bits, position, sessions.start[session] + offset)


def event_bits(company: Company, counter: U64) -> U64:
    """The random bits of events, which are also their ids.

    `counter`: the identity of the session plus the position in it.
    """
    return splitmix64(counter ^ stream_key(company.seed, "event"))


def events_of(company: Company, sessions: Sessions, landed: int) -> Events:
    """The events of the sessions, which arrive on day `landed`."""
    line = timeline(company, sessions)
    return Events(sessions, line, event_codes(company, sessions, line), landed)


def event_codes(company: Company, sessions: Sessions, line: Timeline) -> I64:
    """The type of each event, as a code."""
    known = vocabulary(company)
    code = known.drawn.at_step(field(line.bits, 52, 12))
    code = np.where((_taken_up(company, sessions)[line.session] >> code) & 1, code, known.otherwise)
    signs_up = sessions.signs_up[line.session].view(np.int8)
    code[line.position == signs_up] = known.login  # after the signup, if there is one
    code[(line.position == 0) & (signs_up == 1)] = known.signup
    step = line.position - (sessions.events - sessions.depth)[line.session]
    in_funnel = np.flatnonzero(step >= 0)
    code[in_funnel] = known.funnel[step[in_funnel]]
    return code


def _taken_up(company: Company, sessions: Sessions) -> I64:
    """The event types that the user of each session knows, as bits.

    A user adopts a feature some time after its release.
    """
    known = vocabulary(company)
    bits = company.draw("user.adoption", sessions.user)
    age = sessions.day - company.growth.signup_day(sessions.user)
    open_to = np.full(len(sessions), known.always, dtype=np.int64)
    for number, (code, released) in enumerate(known.features):
        # Twelve of the user's random bits, different ones for each feature.
        lag = company.rules.users.adoption_days.at_step(
            field(splitmix64(bits + np.uint64(number)), 52, 12)
        )
        since = np.minimum(age, sessions.day - company.founded - released)
        open_to |= (since >= lag).astype(np.int64) << code
    return open_to


def in_chunks(sessions: Sessions, rows: int) -> Iterator[Sessions]:
    """The sessions in order, in parts of about `rows` events."""
    ends = np.cumsum(sessions.events)
    start = 0
    while start < len(sessions):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + rows, side="right")), start + 1)
        yield sessions.where(slice(start, stop))
        start = stop


def order_ids(company: Company, counter: U64) -> pa.Array:
    """The ids of the orders with which sessions end."""
    return text.hex_ids("o", splitmix64(counter ^ stream_key(company.seed, "order")))


# -- as text -----------------------------------------------------------------------------------

_ID = b'{"event_id":"0000000000000000'
_TIMES = b'","event_timestamp":"' + text.INSTANT + b'","received_at":"' + text.INSTANT + b'"'
_HAPPENED, _ARRIVED = _TIMES.index(text.INSTANT), _TIMES.rindex(text.INSTANT)


def lines(company: Company, events: Events) -> pa.Array:
    """One JSON document per event, with its line end.

    The text that the events of a session share is made once per session.
    """
    known, sessions, line = vocabulary(company), events.sessions, events.timeline
    owner = whole(line.session)
    ids = text.template(_ID, len(events))
    ids[:, -16:] = text.hexadecimal(line.bits)
    times = text.template(_TIMES, len(events))
    one_day = len(sessions) > 0 and sessions.day[0] == sessions.day[-1]
    text.put_instant(
        times, _HAPPENED, int(sessions.day[0]) if one_day else sessions.day[line.session], line.at
    )
    text.put_instant(times, _ARRIVED, events.landed, _received(events))
    who = text.join(['","user_id":"', text.numbered("u", sessions.user, 6), '","event_type":"'])
    where = text.join(
        [
            ',"session_id":"',
            text.hex_ids("s", session_ids(company, sessions)),
            pick(
                [f'","device":"{d}","platform":"{p}' for d, p in _devices(company)],
                _device(company, sessions),
            ),
            '","app_version":"',
            _versions(company, sessions),
            pick(
                [f'","country":"{name}","properties":' for name in company.countries],
                sessions.country,
            ),
        ]
    )
    return text.join(
        [
            text.column(ids),
            who.take(owner),
            pick(known.names, events.code),
            text.column(times),
            where.take(owner),
            _properties(company, events),
            "}\n",
        ]
    )


def as_table(company: Company, events: Events) -> pa.Table:
    """The same events as columns."""
    sessions, line = events.sessions, events.timeline
    owner = whole(line.session)
    devices = _devices(company)
    device = _device(company, sessions)
    return table(
        "events",
        {
            "event_id": text.hex_ids("", line.bits),
            "user_id": text.numbered("u", sessions.user, 6).take(owner),
            "event_type": pick(vocabulary(company).names, events.code),
            "event_timestamp": moments(sessions.day[line.session] * DAY_MS + line.at),
            "received_at": moments(events.landed * DAY_MS + _received(events)),
            "session_id": text.hex_ids("s", session_ids(company, sessions)).take(owner),
            "device": pick([d for d, _ in devices], device).take(owner),
            "platform": pick([p for _, p in devices], device).take(owner),
            "app_version": _versions(company, sessions).take(owner),
            "country": pick(company.countries, sessions.country).take(owner),
            "properties": _properties(company, events),
        },
    )


def _received(events: Events) -> I64:
    """Milliseconds of the landing day: up to four seconds after the event's time of day."""
    received: I64 = np.minimum(events.timeline.at + field(events.timeline.bits, 20, 12), DAY_MS - 1)
    return received


def session_ids(company: Company, sessions: Sessions) -> U64:
    return splitmix64(sessions.counter ^ stream_key(company.seed, "session.id"))


def _properties(company: Company, events: Events) -> pa.Array:
    """Prepared texts, except for purchases, each of which names its order."""
    known = vocabulary(company)
    prepared = known.properties
    chosen = events.code * VARIANTS + field(events.timeline.bits, 32, 8)
    bought = np.flatnonzero(events.code == known.purchase)
    if len(bought):
        orders = order_ids(company, events.sessions.counter[events.timeline.session[bought]])
        chosen[bought] = len(prepared) + np.arange(len(bought))
        prepared = pa.concat_arrays([prepared, text.join(['{"order_id":"', orders, '"}'])])
    return pick(prepared, chosen)


def _devices(company: Company) -> list[tuple[str, str]]:
    return [(device.device, device.platform) for device in company.rules.sessions.devices]


def _device(company: Company, sessions: Sessions) -> I64:
    """The user's usual device, or sometimes another one."""
    choice = Choice.of([device.weight for device in company.rules.sessions.devices])
    bits = company.draw("session.device", sessions.counter.view(np.int64))
    other = field(bits, 32, 32) < int(company.rules.sessions.second_device_share * (1 << 32))
    return np.where(
        other,
        choice.at_step(field(bits, 0, 12)),
        choice.at(company.draw("user.device", sessions.user)),
    )


def _versions(company: Company, sessions: Sessions) -> pa.Array:
    """The app version of each session.

    Releases come at fixed intervals. Each user installs them some days later.
    """
    rules = company.rules.sessions
    lag = (
        field(company.draw("user.rollout", sessions.user), 32, 32) * (rules.rollout_days + 1) >> 32
    )
    release = np.maximum(sessions.day - company.founded - lag, 0) // rules.release_every_days
    newest = int(release.max()) if len(release) else 0
    return pick(
        [f"{1 + n // _MINOR_RELEASES}.{n % _MINOR_RELEASES}.0" for n in range(newest + 1)], release
    )


# -- vocabulary --------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def vocabulary(company: Company) -> Vocabulary:
    names = tuple(company.rules.events)
    events = list(company.rules.events.values())
    kinds = [event.kind for event in events]
    features = tuple(
        (n, event.released or 0) for n, event in enumerate(events) if event.kind == "feature"
    )
    plain = [(event.weight or 0, n) for n, event in enumerate(events) if event.kind == "engagement"]
    funnel = np.array([names.index(step) for step in company.rules.funnel], dtype=np.int64)
    return Vocabulary(
        names=names,
        drawn=Choice.of([event.weight or 0 for event in events]),
        signup=kinds.index("signup"),
        login=kinds.index("login"),
        funnel=funnel,
        purchase=int(funnel[-1]),
        features=features,
        always=sum(1 << n for n, event in enumerate(events) if event.kind != "feature"),
        otherwise=max(plain, key=lambda weight_and_code: weight_and_code[0])[1],
        properties=words(
            [variant for code in range(len(names)) for variant in _variants(company, code)]
        ),
    )


def _variants(company: Company, code: int) -> list[str]:
    name, event = list(company.rules.events.items())[code]
    always = int(company.rules.products.always_share * company.rules.products.count)
    if event.kind == "commerce":
        return [
            f'{{"product_id":"p{1 + (variant * always) // VARIANTS:04d}"}}'
            for variant in range(VARIANTS)
        ]
    columns = []
    for key, values in (event.properties or {}).items():
        bits = field(
            draw(company.seed, f"event.property/{name}/{key}", np.arange(VARIANTS)), 32, 32
        )
        numbers = [value for value in values if isinstance(value, int)]
        if numbers:
            low, high = numbers
            columns.append(
                [
                    f'"{key}":{number}'
                    for number in (low + ((bits * (high - low + 1)) >> 32)).tolist()
                ]
            )
        else:
            quoted = [json.dumps(value, ensure_ascii=False) for value in values]
            columns.append([f'"{key}":{quoted[n]}' for n in ((bits * len(values)) >> 32).tolist()])
    return (
        [f"{{{','.join(parts)}}}" for parts in zip(*columns, strict=True)]
        if columns
        else ["{}"] * VARIANTS
    )
