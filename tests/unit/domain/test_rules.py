"""Which events a leaderboard admits, by when the broker appended their records, and which rules may change when."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.closing.schedule import CLOCK_SKEW_MS, LAST_CALLS_MS
from shared.domain.calendar import (
    ALL_TIME,
    DAY_MS,
    UTC,
    Calendar,
    Day,
    WindowKind,
    custom,
    daily,
    monthly,
    parse_day,
    weekly,
)
from shared.domain.events import FUTURE_TOLERANCE_MS, ScoreEvent
from shared.domain.periods import Period
from shared.domain.rejections import Reason, Rejection
from shared.domain.rules import (
    ARCHIVE_MARGIN_MS,
    CURRENT,
    DEFAULT_WINDOWS,
    FREE_RULES,
    LATENESS_DEFAULT_MS,
    LATENESS_MAX_MS,
    LOCKED_RULES,
    PURGES_MAX,
    SHARDS_MAX,
    WINDOWS,
    Aggregation,
    Leaderboard,
    LockedRule,
    Order,
    TooManyPurges,
    archive,
    purge,
    revise,
)
from shared.domain.tiers import Tier, TierRule
from tests.simulation import boards as simulated
from tests.support import traffic

MONDAY = parse_day("2026-11-23")
START_MS = MONDAY * 86_400_000
END_MS = UTC.day_end_ms(MONDAY)


def board(lateness_ms: int = LATENESS_DEFAULT_MS, *, archived: bool = False) -> Leaderboard:
    return Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, lateness_ms=lateness_ms, archived=archived)


def event(at_ms: int) -> ScoreEvent:
    return ScoreEvent("e-1", "cup", "ann", 1, at_ms)


def refusal(leaderboard: Leaderboard, at_ms: int, appended_at_ms: int) -> Reason | None:
    try:
        leaderboard.admit(event(at_ms), appended_at_ms)
    except Rejection as rejection:
        return rejection.reason
    return None


@pytest.mark.parametrize("lateness_ms", [0, 1, LATENESS_DEFAULT_MS, LATENESS_MAX_MS])
@pytest.mark.parametrize("at_ms", [START_MS, END_MS - 1], ids=["first instant", "last instant"])
def test_a_record_appended_at_the_cutoff_counts_and_one_millisecond_later_does_not(
    lateness_ms: int, at_ms: int
) -> None:
    cutoff_ms = END_MS + lateness_ms

    assert board(lateness_ms).cutoff_ms(MONDAY) == cutoff_ms
    assert refusal(board(lateness_ms), at_ms, cutoff_ms) is None
    assert refusal(board(lateness_ms), at_ms, cutoff_ms + 1) is Reason.TOO_LATE


def test_the_first_instant_of_the_next_day_has_a_day_more() -> None:
    assert refusal(board(0), END_MS, END_MS + 86_400_000) is None
    assert refusal(board(0), END_MS, END_MS + 86_400_001) is Reason.TOO_LATE


@pytest.mark.parametrize("at_ms", [START_MS, END_MS - 1, END_MS])
def test_five_minutes_ahead_of_the_broker_counts_and_one_millisecond_more_does_not(at_ms: int) -> None:
    assert FUTURE_TOLERANCE_MS == 300_000
    assert refusal(board(), at_ms, at_ms - FUTURE_TOLERANCE_MS) is None
    assert refusal(board(), at_ms, at_ms - FUTURE_TOLERANCE_MS - 1) is Reason.FROM_THE_FUTURE


def test_an_archived_leaderboard_takes_nothing_later_whatever_else_is_wrong() -> None:
    assert refusal(board(archived=True), START_MS, START_MS) is Reason.LEADERBOARD_ARCHIVED
    assert refusal(board(archived=True), START_MS, END_MS + LATENESS_MAX_MS) is Reason.LEADERBOARD_ARCHIVED


def test_what_was_appended_before_the_leaderboard_was_archived_is_judged_as_ever() -> None:
    archived = archive(board(0), START_MS + 10)

    assert refusal(archived, START_MS, START_MS + 10) is None
    assert refusal(archived, START_MS, START_MS + 11) is Reason.LEADERBOARD_ARCHIVED
    assert refusal(archived, START_MS - 1, START_MS + 10) is Reason.TOO_LATE
    assert refusal(archived, END_MS, START_MS) is Reason.FROM_THE_FUTURE


def test_no_event_occurs_later_than_the_margin_after_archiving() -> None:
    stale_ms = LAST_CALLS_MS + CLOCK_SKEW_MS
    assert FUTURE_TOLERANCE_MS + stale_ms <= ARCHIVE_MARGIN_MS, "ahead of a record of a call with an old definition"


def test_an_archived_leaderboard_owes_what_begins_before_its_last_events() -> None:
    archived = archive(board(), END_MS - ARCHIVE_MARGIN_MS - 1)

    assert board().last_event_day is None
    assert archived.last_event_day == MONDAY
    assert archive(board(), END_MS - ARCHIVE_MARGIN_MS).last_event_day == MONDAY + 1
    for window, owed in (
        (daily(MONDAY), True),
        (daily(Day(MONDAY + 1)), False),
        (weekly(Day(MONDAY + 6)), True),
        (weekly(Day(MONDAY + 7)), False),
        (custom(MONDAY, Day(MONDAY + 30)), True),
        (custom(Day(MONDAY + 1), Day(MONDAY + 30)), False),
    ):
        assert archived.owes(window) is owed, window.id
        assert archived.begins_after_archiving(window) is not owed, window.id
        assert board().owes(window)
        assert not board().begins_after_archiving(window)


def test_an_archived_leaderboard_is_sealed_through_its_last_window_with_events() -> None:
    def period(first: int, last: int) -> Period:
        return Period(id="p", name="p", first=Day(MONDAY + first), last=Day(MONDAY + last))

    archived = archive(board(), START_MS)

    assert board().owed_through([period(0, 20)]) is None
    assert archived.owed_through([]) == MONDAY + 6
    assert archived.owed_through([period(-3, 2), period(1, 50)]) == MONDAY + 6
    assert archived.owed_through([period(-3, 2), period(0, 20)]) == MONDAY + 20


def test_the_rejection_of_a_late_record_names_when_it_came_and_the_cutoff() -> None:
    with pytest.raises(Rejection) as caught:
        board(0).admit(event(START_MS), END_MS + 1)

    assert "2026-11-24T00:00:00.001Z" in caught.value.detail
    assert "2026-11-24T00:00:00.000Z" in caught.value.detail


def test_a_window_takes_records_as_long_as_its_last_day_and_all_time_always() -> None:
    leaderboard = board(1_000)

    assert leaderboard.window_cutoff_ms(daily(MONDAY)) == leaderboard.cutoff_ms(MONDAY)
    assert leaderboard.window_cutoff_ms(weekly(MONDAY)) == leaderboard.cutoff_ms(Day(MONDAY + 6))
    assert leaderboard.window_cutoff_ms(custom(MONDAY, Day(MONDAY + 2))) == leaderboard.cutoff_ms(Day(MONDAY + 2))
    assert leaderboard.window_cutoff_ms(ALL_TIME) is None


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("lateness_ms", 0, True),
        ("lateness_ms", -1, False),
        ("lateness_ms", LATENESS_MAX_MS, True),
        ("lateness_ms", LATENESS_MAX_MS + 1, False),
        ("shards", 1, True),
        ("shards", 0, False),
        ("shards", SHARDS_MAX, True),
        ("shards", SHARDS_MAX + 1, False),
    ],
)
def test_a_stored_definition_is_read_within_its_limits_only(field: str, value: int, accepted: bool) -> None:
    stored = msgspec.json.encode(msgspec.to_builtins(board()) | {field: value})

    if accepted:
        assert getattr(msgspec.json.decode(stored, type=Leaderboard), field) == value
    else:
        with pytest.raises(msgspec.ValidationError, match=field):
            msgspec.json.decode(stored, type=Leaderboard)


@pytest.mark.parametrize("boards", [traffic.BOARDS, simulated.BOARDS], ids=["end to end", "simulation"])
def test_every_aggregation_is_played(boards: dict[str, dict[str, Any]]) -> None:
    assert {board["aggregation"] for board in boards.values()} == set(Aggregation)


KATHMANDU = Calendar("Asia/Kathmandu", tzdata="2026.6", runs="-8:-20700")

CHANGES: dict[str, Any] = {
    "aggregation": Aggregation.BEST,
    "order": Order.ASC,
    "shards": 4,
    "filters": ("country",),
    "calendar": KATHMANDU,
    "windows": (WindowKind.DAILY, WindowKind.ALL_TIME),
    "name": "Winter Cup",
    "lateness_ms": 0,
    "tiers": (Tier("gold", TierRule.TOP_N, 1),),
    "qualify": 5,
}
NOT_RULES = {
    "id", "version", "effective_from", "has_events", "archived", "nothing_owed", "sealing_through", "seals_at_ms",
    "sealed_through",
    "results_from", "created_at_ms", "updated_at_ms", "starts_ms", "since_ms", "pseudonyms", "moving",
}  # fmt: skip


def test_every_field_of_a_leaderboard_is_a_locked_rule_a_free_one_or_none() -> None:
    assert set(LOCKED_RULES + FREE_RULES) == CHANGES.keys()
    assert CHANGES.keys() | NOT_RULES == set(Leaderboard.__struct_fields__)
    assert set(CURRENT) <= NOT_RULES | {"lateness_ms"}, "whatever else decides ranking and pay is as its version has it"


@pytest.mark.parametrize("rule", CHANGES)
def test_every_rule_may_change_before_the_first_event_and_each_change_is_a_version(rule: str) -> None:
    wanted = replace(board(), **{rule: CHANGES[rule]}, updated_at_ms=5)

    effective_from = None if rule in LOCKED_RULES else Day(0)
    assert revise(board(), wanted) == (replace(wanted, version=2, effective_from=effective_from), rule in LOCKED_RULES)


@pytest.mark.parametrize("rule", LOCKED_RULES)
def test_a_locked_rule_stays_once_there_are_events(rule: str) -> None:
    current = replace(board(), has_events=True)

    with pytest.raises(LockedRule, match=r"^stays .+: cup has events$") as caught:
        revise(current, replace(board(), **{rule: CHANGES[rule]}))
    assert caught.value.field == {"calendar": "timeZone"}.get(rule, rule)


def test_the_start_of_its_days_stays_once_there_are_events() -> None:
    current = replace(board(), has_events=True, calendar=KATHMANDU)

    with pytest.raises(LockedRule, match=r"^stays 00:00: cup has events$") as caught:
        revise(current, replace(board(), calendar=replace(KATHMANDU, starts_at_min=720, runs="-8:22500")))
    assert caught.value.field == "dayStartsAt"


def test_days_stay_as_they_were_computed_when_the_same_zone_is_given_by_other_rules() -> None:
    current = replace(board(), has_events=True, calendar=KATHMANDU)
    wanted = replace(board(), calendar=replace(KATHMANDU, tzdata="2027.1", runs="-8:-20701"), updated_at_ms=5)

    assert revise(current, wanted) == (current, False)
    assert revise(current, replace(wanted, name="Another"))[0].calendar == KATHMANDU


@pytest.mark.parametrize("rule", FREE_RULES)
def test_a_free_rule_changes_though_there_are_events_and_what_closing_wrote_stays(rule: str) -> None:
    current = replace(board(), has_events=True, sealing_through=MONDAY, sealed_through=MONDAY, created_at_ms=3)
    after, without_events_only = revise(current, replace(board(), **{rule: CHANGES[rule]}, updated_at_ms=END_MS + 7))

    following = {"version": 2, "updated_at_ms": END_MS + 7, "effective_from": MONDAY + 1}
    assert after == replace(current, **{rule: CHANGES[rule]}, **following)
    assert not without_events_only


def test_a_put_of_the_same_rules_makes_no_version_unless_it_restores_the_leaderboard() -> None:
    current, wanted = board(), replace(board(), updated_at_ms=5)

    assert revise(current, wanted) == (current, False)
    assert revise(archive(current, 4), wanted) == (replace(wanted, version=3, effective_from=Day(0)), False)
    over = replace(archive(current, 4), nothing_owed=True)
    assert revise(over, wanted) == (replace(wanted, version=3, effective_from=Day(0)), False), (
        "and it owes what comes again"
    )


def test_an_archived_leaderboard_is_a_version_of_its_own() -> None:
    following = {"version": 2, "updated_at_ms": END_MS, "effective_from": MONDAY + 1}
    assert archive(board(), END_MS) == replace(board(), archived=True, **following)


GOLD, MORE = (Tier("gold", TierRule.TOP_N, 1),), (Tier("gold", TierRule.TOP_N, 2),)


def tiered(current: Leaderboard, tiers: tuple[Tier, ...], at_ms: int) -> Leaderboard:
    return revise(current, replace(current, tiers=tiers, updated_at_ms=at_ms))[0]


@pytest.mark.parametrize(
    ("at_ms", "counts"),
    [(END_MS - 1, True), (END_MS, False), (END_MS + 1, False)],
    ids=["in the last millisecond", "at the end", "past it"],
)
def test_a_change_counts_for_a_window_if_it_was_made_before_its_last_day_ended(at_ms: int, *, counts: bool) -> None:
    after = tiered(board(), GOLD, at_ms)

    for window in (daily(MONDAY), custom(Day(MONDAY - 3), MONDAY), weekly(Day(MONDAY - 1)), ALL_TIME, weekly(MONDAY)):
        is_over = not window.is_all_time and window.last <= MONDAY
        assert after.counts_for(window) is (window.last == MONDAY and counts if is_over else True), window.id
    assert after.counts_for(daily(Day(MONDAY - 1))) is False
    assert after.counts_for(daily(Day(MONDAY + 1)))


def test_the_first_version_and_a_change_of_what_is_locked_count_for_all_windows() -> None:
    first = replace(board(), tiers=GOLD, created_at_ms=END_MS, updated_at_ms=END_MS)
    ascending, _ = revise(tiered(first, MORE, END_MS), replace(first, order=Order.ASC, updated_at_ms=END_MS))

    assert first.counts_for(daily(Day(0)))
    assert (ascending.version, ascending.effective_from) == (3, None), "nothing was ever ranked by those before"


def test_no_clock_dates_a_change_before_the_last_one_or_into_a_day_that_is_sealing() -> None:
    ahead = tiered(board(), GOLD, END_MS)
    assert tiered(ahead, MORE, END_MS - 5).updated_at_ms == END_MS
    assert archive(ahead, END_MS - 5).effective_from == MONDAY + 1

    sealing = replace(board(), has_events=True, sealing_through=MONDAY)
    after = tiered(sealing, GOLD, END_MS - 5)
    assert (after.updated_at_ms, after.effective_from) == (END_MS, MONDAY + 1)
    assert tiered(sealing, GOLD, END_MS + DAY_MS).effective_from == MONDAY + 2


def test_a_version_ranks_with_all_of_its_rules_and_the_state_of_now() -> None:
    version = replace(board(), tiers=GOLD, name="Old")
    now = replace(
        board(0, archived=True),
        tiers=MORE,
        version=5,
        effective_from=MONDAY,
        has_events=True,
        sealing_through=MONDAY,
        seals_at_ms=7,
        sealed_through=Day(MONDAY - 1),
        results_from=Day(3),
    )

    state = {name: getattr(now, name) for name in CURRENT}
    assert now.ranked_by(version) == replace(version, **state)
    assert now.ranked_by(version).tiers == GOLD
    assert now.ranked_by(now) == now


def test_a_window_is_ranked_with_the_tiers_that_are_for_its_kind() -> None:
    every, weekly_only = Tier("all", TierRule.TOP_N, 1), Tier("w", TierRule.TOP_N, 9, windows=(WindowKind.WEEKLY,))
    board = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, tiers=(weekly_only, every))

    assert board.for_kind(WindowKind.WEEKLY) is board
    for kind in (WindowKind.DAILY, WindowKind.ALL_TIME, WindowKind.CUSTOM):
        assert board.for_kind(kind).tiers == (every,)
        assert board.for_kind(kind).for_kind(kind) == board.for_kind(kind)


def test_an_archived_leaderboard_owes_its_last_week_and_a_month_that_it_names() -> None:
    ends = [weekly(MONDAY).last, monthly(MONDAY).last]
    for kinds, last in ((DEFAULT_WINDOWS, ends[0]), (WINDOWS, max(ends))):
        over = replace(board(), windows=kinds, archived=True, updated_at_ms=MONDAY * DAY_MS)
        assert over.owed_through([]) == last
        assert over.owes(monthly(MONDAY)) is (kinds is WINDOWS)
        ending = {window.kind for window in over.windows_ending(monthly(MONDAY).last)}
        assert (WindowKind.MONTHLY in ending) is (kinds is WINDOWS)


PURGED = purge(purge(board(), START_MS + 1_000), START_MS + 5_000)


def at(occurred_ms: int, appended_ms: int) -> str:
    return PURGED.for_event(event(START_MS + occurred_ms), START_MS + appended_ms).scores_id


def test_a_purge_is_a_version_that_begins_anew_and_keeps_the_rules() -> None:
    assert (PURGED.version, PURGED.starts_ms) == (3, (START_MS + 1_000, START_MS + 5_000))
    assert replace(PURGED, version=1, starts_ms=()) == board()
    assert revise(PURGED, replace(board(), name="Other"))[0].starts_ms == PURGED.starts_ms
    with pytest.raises(TooManyPurges):
        purge(replace(board(), starts_ms=tuple(range(1, PURGES_MAX + 1))), START_MS)


@pytest.mark.parametrize(
    ("occurred_ms", "appended_ms", "since_ms"),
    [
        (999, 999, 0),
        (999, 9_000, 0),
        (1_000, 1_000, 1_000),
        (5_000, 4_999, 1_000),
        (4_999, 5_000, 1_000),
        (5_000, 5_000, 5_000),
        (9_000, 5_000, 5_000),
    ],
)
def test_an_event_counts_since_a_start_if_it_occurred_and_came_by_then(
    occurred_ms: int, appended_ms: int, since_ms: int
) -> None:
    expected = f"cup.{START_MS + since_ms}" if since_ms else "cup"
    assert at(occurred_ms, appended_ms) == expected


def test_a_leaderboard_that_was_never_purged_is_handed_on_as_it_is() -> None:
    one = board()
    assert one.for_event(event(START_MS), START_MS) is one
    assert one.scores_id == "cup"
    assert not one.is_purging
    assert one.is_shown(START_MS)


def test_scores_are_shown_until_a_purge_takes_effect_after_them() -> None:
    before, between = PURGED.at(START_MS), PURGED.at(START_MS + 1_000)
    assert (before.since_ms, between.since_ms) == (0, START_MS + 1_000)
    assert [one.is_shown(START_MS + 999) for one in (before, between)] == [True, True]
    assert [one.is_shown(START_MS + 1_000) for one in (before, between)] == [False, True]
    assert between.is_purging
    assert not PURGED.at(START_MS + 5_000).is_purging


def test_no_window_that_is_over_when_a_purge_takes_effect_is_owed_a_result() -> None:
    purged = replace(purge(board(), END_MS), sealed_through=MONDAY, results_from=MONDAY)
    assert not purged.owes(daily(MONDAY))
    assert not purged.counts_in(daily(MONDAY))
    assert replace(purged, starts_ms=(END_MS - 1,)).owes(daily(MONDAY))
    assert purged.owes(weekly(MONDAY))
    assert purged.counts_in(ALL_TIME)
