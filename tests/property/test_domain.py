"""The domain's rules for any events, dates and scores."""

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain, combinations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.calendar import (
    DAY_MAX,
    DAY_MIN,
    DAY_MS,
    Day,
    Window,
    custom,
    daily,
    day_of,
    format_day,
    monthly,
    parse_day,
    parse_id,
    to_date,
    weekly,
)
from shared.domain.calendar import UTC as UTC_DAYS
from shared.domain.events import POINTS_MAX, ScoreEvent, decode, format_instant, parse_instant
from shared.domain.labels import Label, latest_labels
from shared.domain.ranking import order_key, rank
from shared.domain.rejections import Rejection
from shared.domain.rules import Aggregation, Order
from shared.domain.standings import DaySums, Score, Standing, add, combine
from tests.support import oracle

INSTANTS_MAX = 4_133_980_799_999
instants = st.integers(0, INSTANTS_MAX)
days = st.integers(DAY_MIN, DAY_MAX).map(Day)
exact = st.integers(-POINTS_MAX, POINTS_MAX)
small = st.integers(-3, 3)
"""So few values that they tie and cancel out all the time."""
near = st.one_of(small, st.integers(POINTS_MAX - 3, POINTS_MAX), st.integers(-POINTS_MAX, 3 - POINTS_MAX))
times = st.builds(lambda day, ms: day * DAY_MS + ms, st.integers(20_780, 20_800), st.integers(0, 2))
user_ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=3)


@st.composite
def events_of_one_player(draw: st.DrawFn) -> list[ScoreEvent]:
    facts = draw(st.lists(st.tuples(small, times), min_size=1, max_size=20))
    return [ScoreEvent(f"e-{number}", "cup", "ann", points, at) for number, (points, at) in enumerate(facts)]


def fold(aggregation: Aggregation, order: Order, events: Iterable[ScoreEvent], filters: Sequence[str] = ()) -> Standing:
    standing: Standing | None = None
    for event in events:
        standing = add(aggregation, order, standing, event, filters)
    assert standing is not None
    return standing


def fold_by_days(aggregation: Aggregation, order: Order, events: Sequence[ScoreEvent]) -> Score:
    by_day: dict[Day, list[ScoreEvent]] = {}
    for event in events:
        by_day.setdefault(day_of(event.occurred_at_ms), []).append(event)
    standings = [fold(aggregation, order, by_day[day]) for day in sorted(by_day)]
    return combine(aggregation, order, standings)


def expected(aggregation: Aggregation, order: Order, events: Sequence[ScoreEvent]) -> tuple[int, int]:
    facts = [oracle.Fact(event.event_id, event.points, event.occurred_at_ms, ()) for event in events]
    return oracle.score({"aggregation": aggregation, "order": order}, facts)


@given(st.sampled_from(Aggregation), st.sampled_from(Order), events_of_one_player(), st.randoms())
def test_any_order_of_the_same_events_folds_into_the_same_standing(
    aggregation: Aggregation, order: Order, events: list[ScoreEvent], rng: random.Random
) -> None:
    shuffled = list(events)
    rng.shuffle(shuffled)

    standing = fold(aggregation, order, events)

    assert fold(aggregation, order, shuffled) == standing
    assert (standing.points, standing.reached_at_ms) == expected(aggregation, order, events)
    assert standing.events == len(events)


@given(st.sampled_from(Aggregation), st.sampled_from(Order), events_of_one_player())
def test_days_folded_apart_combine_into_what_all_events_fold_into(
    aggregation: Aggregation, order: Order, events: list[ScoreEvent]
) -> None:
    score = fold_by_days(aggregation, order, events)

    assert (score.points, score.reached_at_ms) == expected(aggregation, order, events)


FILTERS = ("country", "platform")
attributes = st.dictionaries(st.sampled_from([*FILTERS, "guild"]), st.sampled_from(["DE", "FR", ""]))


@st.composite
def labelled_events(draw: st.DrawFn) -> list[ScoreEvent]:
    facts = draw(st.lists(st.tuples(small, times, attributes), min_size=1, max_size=20))
    ids = draw(st.permutations([f"e-{number}" for number in range(len(facts))]))
    return [ScoreEvent(one, "cup", "ann", *fact) for one, fact in zip(ids, facts, strict=True)]


def expected_values(events: Sequence[ScoreEvent]) -> dict[str, str]:
    """Of each filter the last value that somebody writes down who reads the events in the order of time."""
    in_time = sorted(events, key=lambda event: (event.occurred_at_ms, event.event_id))
    return {name: value for event in in_time for name, value in event.attributes.items() if name in FILTERS}


def values_of(labels: Iterable[Label]) -> dict[str, str]:
    return {label.filter: label.value for label in labels}


@given(st.sampled_from(Aggregation), labelled_events(), st.randoms())
def test_any_order_of_the_same_events_gives_the_same_labels(
    aggregation: Aggregation, events: list[ScoreEvent], rng: random.Random
) -> None:
    shuffled = list(events)
    rng.shuffle(shuffled)

    standings = [fold(aggregation, Order.DESC, one, FILTERS) for one in (events, shuffled)]

    assert standings[0] == standings[1]
    assert values_of(standings[0].labels) == expected_values(events)
    assert fold(aggregation, Order.DESC, events).labels == (), "without filters there are none"


@given(labelled_events(), st.randoms())
def test_labels_of_days_fold_into_those_of_all_events_however_they_are_grouped(
    events: list[ScoreEvent], rng: random.Random
) -> None:
    by_day: dict[Day, list[ScoreEvent]] = {}
    for event in events:
        by_day.setdefault(day_of(event.occurred_at_ms), []).append(event)
    parts = [fold(Aggregation.SUM, Order.DESC, one, FILTERS).labels for one in by_day.values()]
    parts += rng.sample(parts, len(parts) // 2)
    rng.shuffle(parts)

    while len(parts) > 1:
        at = rng.randrange(len(parts) - 1)
        parts[at : at + 2] = [latest_labels(parts[at], parts[at + 1])]

    assert parts[0] == fold(Aggregation.SUM, Order.DESC, events, FILTERS).labels
    assert values_of(parts[0]) == expected_values(events)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 7), st.one_of(near, small, exact), st.integers(0, 3)), max_size=12),
    st.sampled_from([None, -1, 0, 1]),
)
def test_any_days_sum_up_exactly_or_are_refused_though_days_are_sealed(
    drawn: list[tuple[int, int, int]], ahead: int | None
) -> None:
    """Days come in any order as long as they are open; the sealed ones follow behind."""
    sums, by_day, sealed = DaySums(), dict.fromkeys(range(8), 0), -1
    for day, points, seals in drawn:
        if day <= sealed:
            continue
        by_day[day] += points
        sums = sums.plus(Day(day), points)
        if ahead is not None:
            sealed = max(sealed, min(seals + ahead, 6))
            sums = sums.sealed_through(Day(sealed)) if sealed >= 0 else sums
        chosen = chain.from_iterable(combinations(by_day.values(), count) for count in range(1, 9))
        try:
            sums.check()
        except Rejection:
            accepted = False
        else:
            accepted = True
        assert accepted == all(abs(sum(days)) <= POINTS_MAX for days in chosen)
        assert msgspec.json.decode(msgspec.json.encode(sums), type=DaySums) == sums


@given(st.lists(st.one_of(near, exact), min_size=1, max_size=6))
def test_a_sum_is_exact_or_refused(points: list[int]) -> None:
    standing: Standing | None = None
    total = absolute_sum = 0
    for number, one in enumerate(points):
        try:
            standing = add(Aggregation.SUM, Order.DESC, standing, ScoreEvent(f"e-{number}", "cup", "ann", one, 0))
        except Rejection:
            assert abs(total + one) > POINTS_MAX
        else:
            total, absolute_sum = total + one, absolute_sum + abs(one)
            assert abs(total) <= POINTS_MAX
            assert (standing.points, standing.absolute_sum) == (total, absolute_sum)


@given(st.sampled_from(Order), st.dictionaries(user_ids, st.tuples(small, st.integers(0, 2)), max_size=30))
def test_the_ranking_is_what_comparing_every_two_players_says(order: Order, scores: dict[str, tuple[int, int]]) -> None:
    def beats(one: str, other: str) -> bool:
        (points, at), (other_points, other_at) = scores[one], scores[other]
        if points != other_points:
            return points > other_points if order is Order.DESC else points < other_points
        if at != other_at:
            return at < other_at
        return one.encode() < other.encode()

    entries = list(rank(order, (), [(user, Score(*score)) for user, score in scores.items()]))

    assert len(entries) == len(scores)
    for entry in entries:
        assert entry.rank == 1 + sum(beats(other, entry.user_id) for other in scores)
        assert (entry.score, entry.reached_at_ms) == scores[entry.user_id]


@given(st.sampled_from(Order), exact, exact)
def test_no_two_scores_of_different_points_have_one_place(order: Order, one: int, other: int) -> None:
    keys = [order_key(order, "ann", Score(points, 0)) for points in (one, other)]

    assert (keys[0] == keys[1]) == (one == other)


@given(instants)
def test_an_instant_falls_into_one_day_and_one_week_that_hold_it(at_ms: int) -> None:
    day = day_of(at_ms)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)

    assert to_date(day) == moment.date()
    assert format_day(day) == moment.strftime("%Y-%m-%d")
    year, week, _ = moment.isocalendar()
    assert weekly(day).id == f"{year}-W{week:02d}"
    assert monthly(day).id == f"{moment:%Y-%m}"
    for window in (daily(day), weekly(day), monthly(day)):
        start_ms, end_ms = UTC_DAYS.start_ms(window), UTC_DAYS.end_ms(window)
        assert start_ms is not None
        assert end_ms is not None
        assert start_ms <= at_ms < end_ms
        assert day in window.days
        assert parse_id(window.id) == window


@given(instants, st.integers(0, 10**9), st.integers(-1439, 1439))
def test_an_instant_reads_back_from_any_offset_and_however_fine(at_ms: int, finer: int, offset: int) -> None:
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms, minutes=offset)
    hours, minutes = divmod(abs(offset), 60)
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}{finer}{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"

    assert parse_instant(text) == oracle.instant(text) == at_ms
    assert parse_instant(format_instant(at_ms)) == at_ms


@given(st.integers(-(10**12), 10**14))
def test_an_instant_reads_as_the_calendar_has_it(at_ms: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)

    assert format_instant(at_ms) == f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


@given(days)
def test_days_follow_one_another_without_gap_or_overlap(day: Day) -> None:
    assert UTC_DAYS.end_ms(daily(day)) == UTC_DAYS.start_ms(daily(Day(day + 1)))
    assert parse_day(format_day(day)) == day
    week, following = weekly(day), weekly(Day(day + 7))
    assert UTC_DAYS.end_ms(week) == UTC_DAYS.start_ms(following)
    assert to_date(week.first).isoweekday() == 1
    assert week.last - week.first == 6
    month = monthly(day)
    assert UTC_DAYS.end_ms(month) == UTC_DAYS.start_ms(monthly(Day(month.last + 1)))
    assert {to_date(one).replace(day=1) for one in month.days} == {to_date(month.first)}


@given(days, st.integers(0, 365))
def test_a_range_holds_its_days_and_reads_back(first: Day, more: int) -> None:
    last = Day(min(first + more, DAY_MAX))
    window: Window = custom(first, last)

    assert list(window.days) == list(range(first, last + 1))
    assert parse_id(window.id) == window
    assert to_date(last) - to_date(first) == timedelta(days=len(window.days) - 1)


def test_every_week_from_1970_to_2100_is_the_calendars() -> None:
    seen: dict[str, list[date]] = {}
    for day in range(DAY_MIN, DAY_MAX + 1):
        seen.setdefault(weekly(Day(day)).id, []).append(to_date(Day(day)))

    for week_id, dates in seen.items():
        assert {f"{one.isocalendar().year}-W{one.isocalendar().week:02d}" for one in dates} == {week_id}
    assert [len(dates) for dates in seen.values()].count(7) == len(seen) - 2
    assert sum(week_id.endswith("W53") for week_id in seen) == 24


texts = st.text(st.characters(), max_size=5)
"""Of any characters, also halves of one."""
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
fields = ("eventId", "leaderboardId", "userId", "points", "occurredAt", "attributes", "extra")
damages = st.none() | st.tuples(st.integers(0, 150), st.binary(max_size=2))


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(fields), values, max_size=2), st.booleans(), damages)
def test_an_event_is_read_or_refused_as_the_oracle_does(
    changes: dict[str, object], ascii_only: bool, damage: tuple[int, bytes] | None
) -> None:
    event: dict[str, object] = {
        "eventId": "e-1",
        "leaderboardId": "cup",
        "userId": "ann",
        "points": 1,
        "occurredAt": "2026-11-23T10:15:30Z",
        "attributes": {"country": "DE"},
    }
    value = json.dumps(event | changes, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    if damage is not None:
        at, put = damage
        value = value[:at] + put + value[at + 1 :]

    assert _outcome_of_decode(value) == _outcome_of_oracle(value)


names = st.sampled_from([*fields, "country"])


@settings(max_examples=300)
@given(st.lists(st.tuples(names, values), max_size=2), st.data())
def test_an_event_with_repeated_escaped_or_spaced_names_is_read_as_the_oracle_does(
    more: list[tuple[str, object]], data: st.DataObject
) -> None:
    def name(text: str) -> str:
        at = data.draw(st.integers(0, len(text)))
        escaped = text[:at] + "".join(f"\\u{ord(one):04x}" for one in text[at : at + 1]) + text[at + 1 :]
        return f'"{escaped}"' + data.draw(st.sampled_from(["", "", " ", "\t\n"]))

    def written(pairs: list[tuple[str, str]]) -> str:
        return "{" + ",".join(f"{name(one)}:{value}" for one, value in pairs) + "}"

    attributes = data.draw(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2"])), max_size=3))
    event = {"eventId": "e", "leaderboardId": "cup", "userId": "ann", "points": 1, "occurredAt": "2026-11-23T10:15:30Z"}
    pairs = [(one, json.dumps(value)) for one, value in event.items()]
    if attributes or bool(data.draw(st.booleans())):
        pairs.append(("attributes", written([(one, json.dumps(value)) for one, value in attributes])))
    pairs = data.draw(st.permutations(pairs + [(one, json.dumps(value)) for one, value in more]))
    value = written(pairs).encode(errors="surrogatepass")

    assert _outcome_of_decode(value) == _outcome_of_oracle(value)


def _outcome_of_decode(value: bytes) -> str:
    try:
        return str(decode(value).points)
    except Rejection as rejection:
        return str(rejection.reason)


def _outcome_of_oracle(value: bytes) -> str:
    try:
        return str(oracle.parse(value)["points"])
    except oracle.Rejected as refused:
        return str(refused)
