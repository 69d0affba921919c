"""Records that the rules refuse: what the ledger holds is a duplicate, whatever the rules say by now."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.calendar import ALL_TIME_DAY, DAY_MS, Day, day_of
from shared.domain.records import Record, Source
from shared.domain.rejections import Reason
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.ingest.committer import Committer
from shared.ingest.outcomes import Candidate, OutcomeKind
from shared.ingest.service import Ingest
from shared.messaging.dead_letters import RejectedRecord
from shared.parallel import read_sequentially
from shared.retries import Backoff
from shared.truth.commits import Commits, PlayerKey
from shared.truth.reads import Reads
from shared.truth.receipts import Receipts
from shared.truth.tables import Tables
from tests.property.memory import Database, Fault
from tests.support import oracle
from tests.support.pseudonyms import NO_PROFILES, NO_PSEUDONYMS

DAY = Day(20_780)
NOON_MS = DAY * DAY_MS + 12 * 3_600_000
HOUR_MS = 3_600_000
CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, shards=2, lateness_ms=DAY_MS, has_events=True)
LATER = {
    "lateness was shortened": (replace(CUP, lateness_ms=0), Reason.TOO_LATE),
    "the day is sealed": (replace(CUP, sealing_through=DAY), Reason.TOO_LATE),
    "the day is closed": (replace(CUP, sealing_through=DAY, sealed_through=DAY), Reason.TOO_LATE),
    "the leaderboard is archived": (replace(CUP, archived=True), Reason.LEADERBOARD_ARCHIVED),
}
NO_WAIT = Backoff(sleep=lambda _: None)


class Scene:
    """Ingest on a DynamoDB in memory; the leaderboard's rules may change."""

    def __init__(self) -> None:
        self.database = Database()
        self.board: Leaderboard | None = CUP
        self.letters: list[RejectedRecord] = []
        self.shown: dict[PlayerKey, dict[Day, Standing]] = {}
        self.requests = 0

    def find(self, _: str) -> Leaderboard | None:
        return self.board

    read = find

    def lock_rules(self, leaderboard: Leaderboard) -> Leaderboard:
        return leaderboard

    def send(self, letters: Sequence[RejectedRecord]) -> None:
        self.letters += letters

    def project(self, _: Any, standings: dict[PlayerKey, dict[Day, Standing]]) -> set[str]:
        self.shown = standings
        return set()

    def advance(self, *_: Any) -> None:
        pass

    def register(self, _letters: Sequence[RejectedRecord]) -> None:
        pass

    def receipts(self) -> Receipts:
        client: Any = self.database.client()
        return Receipts(client, Tables().registry, NO_WAIT)

    def ingest(self, *records: Record, faults: Sequence[Fault | None] = ()) -> list[Candidate]:
        self.letters, self.shown, self.requests = [], {}, 0

        def count() -> None:
            self.requests += 1

        client: Any = self.database.client(faults, count)
        parts: Any = self
        reads = Reads(client, Tables(), read_sequentially, NO_WAIT)
        return Ingest(
            leaderboards=parts,
            committer=Committer(Commits(client, Tables()), reads, lambda calls: [call() for call in calls], NO_WAIT),
            projector=parts,
            dead_letters=parts,
            letters=parts,
            profiles=NO_PROFILES,
            receipts=Receipts(client, Tables().registry, NO_WAIT),
            pseudonyms=NO_PSEUDONYMS,
            progress=parts,
            run_parallel=lambda calls: [call() for call in calls],
            now_ms=lambda: 0,
        ).ingest(records)


def record(
    event_id: str, offset: int = 0, points: int = 1, user: str = "ann", appended_ms: int = NOON_MS + DAY_MS
) -> Record:
    event = {"eventId": event_id, "leaderboardId": "cup", "userId": user, "points": points}
    value = json.dumps(event | {"occurredAt": "2026-11-23T12:00:00Z"}).encode()
    return Record(Source("t", 0, offset, appended_ms), None, value)


def outcomes(candidates: Sequence[Candidate]) -> list[str]:
    return [str(one.rejection.reason if one.rejection else one.kind) for one in candidates]


def test_the_day_of_these_tests_is_that_of_their_events() -> None:
    assert day_of(NOON_MS) == DAY
    assert Scene().ingest(record("e"))[0].event.occurred_at_ms == NOON_MS


@pytest.mark.parametrize("change", LATER)
def test_fifty_records_that_counted_and_come_again_are_fifty_duplicates(change: str) -> None:
    scene = Scene()
    records = [record(f"e-{number}", number, number, f"u-{number % 20}") for number in range(50)]
    assert outcomes(scene.ingest(*records)) == ["applied"] * 50
    items, shown = dict(scene.database.items), scene.shown
    scene.board, _ = LATER[change]

    again = scene.ingest(*records)

    assert outcomes(again) == ["duplicate"] * 50
    assert not scene.letters
    assert scene.database.items == items, "and nothing is written"
    assert scene.shown == ({} if scene.board.archived else shown), "what a crash left out is shown again"
    receipts = change in ("lateness was shortened", "the leaderboard is archived")
    assert scene.requests == (1 if scene.board.archived else 2) + receipts, "ledger, standings, receipts of open days"


@pytest.mark.parametrize("change", LATER)
def test_what_the_ledger_does_not_hold_is_refused_and_other_content_is_a_conflict(change: str) -> None:
    scene = Scene()
    scene.ingest(record("known"))
    scene.board, reason = LATER[change]

    found = scene.ingest(record("new", 1), record("known", 2, points=2), record("known", 3))

    assert outcomes(found) == [reason, "conflicting_duplicate", "duplicate"]
    assert [one.rejection.reason for one in scene.letters] == [reason, Reason.CONFLICTING_DUPLICATE]


def test_a_record_from_the_future_is_a_duplicate_once_its_event_has_counted() -> None:
    scene = Scene()
    early = record("e", 0, appended_ms=NOON_MS - HOUR_MS)
    assert outcomes(scene.ingest(early)) == ["from_the_future"]
    assert outcomes(scene.ingest(record("e", 1))) == ["applied"]

    assert outcomes(scene.ingest(early)) == ["duplicate"]


def test_a_record_with_its_producers_time_is_a_duplicate_once_its_event_has_counted() -> None:
    scene = Scene()
    untrusted = msgspec.structs.replace(record("e"), is_stamped=False)
    assert outcomes(scene.ingest(untrusted)) == ["untrusted_timestamp"]
    scene.ingest(record("e", 1))

    assert outcomes(scene.ingest(untrusted)) == ["duplicate"]


def test_a_late_record_behind_one_in_time_is_a_duplicate_within_a_batch_too() -> None:
    late_ms = NOON_MS + 3 * DAY_MS
    batch = [record("e", 0), record("e", 1, appended_ms=late_ms), record("f", 2, appended_ms=late_ms)]

    assert outcomes(Scene().ingest(*batch)) == ["applied", "duplicate", "too_late"]


def test_a_late_record_waits_for_one_of_its_event_that_has_to_come_again() -> None:
    scene = Scene()
    late_ms = NOON_MS + 3 * DAY_MS
    batch = [record("e", 0), record("e", 1, appended_ms=late_ms), record("f", 2, appended_ms=late_ms)]

    found = scene.ingest(*batch, faults=[None, *[Fault.THROTTLED] * 8])  # receipts answer, and the ledger afterwards

    assert outcomes(found) == ["retry", "retry", "too_late"]
    assert [one.rejection.reason for one in scene.letters] == [Reason.TOO_LATE]
    assert outcomes(scene.ingest(*batch)) == ["applied", "duplicate", "too_late"]


@pytest.mark.parametrize("faults", [[Fault.UNREACHABLE], [None, Fault.THROTTLED]], ids=["ledger", "standings"])
def test_nothing_is_refused_while_the_ledger_is_out_of_reach(faults: list[Fault | None]) -> None:
    scene = Scene()
    scene.ingest(record("e"))
    scene.board, _ = LATER["the day is sealed"]

    assert outcomes(scene.ingest(record("e"), record("new", 1), faults=faults)) == ["retry", "retry"]
    assert not scene.letters


def test_a_leaderboard_that_never_was_has_accepted_nothing_and_nobody_is_asked() -> None:
    scene = Scene()
    scene.board = None

    assert outcomes(scene.ingest(record("e"))) == ["unknown_leaderboard"]
    assert scene.requests == 0


def test_a_batch_whose_records_are_all_admitted_asks_no_more_than_before() -> None:
    scene = Scene()
    scene.ingest(*[record(f"e-{number}", number) for number in range(50)])

    assert scene.requests == 3, "the standings, the note of the day, once, and the transaction"
    assert {day for _, days in scene.shown.items() for day in days} == {DAY, ALL_TIME_DAY}


def test_a_duplicate_of_a_sealed_day_beside_new_events_has_both_days_shown() -> None:
    scene = Scene()
    scene.ingest(record("old"))
    scene.board = replace(CUP, sealing_through=DAY)
    event = {"eventId": "new", "leaderboardId": "cup", "userId": "ann", "points": 1}
    value = json.dumps(event | {"occurredAt": "2026-11-24T12:00:00Z"}).encode()

    found = scene.ingest(record("old"), Record(Source("t", 0, 1, NOON_MS + DAY_MS), None, value))

    assert outcomes(found) == ["duplicate", "applied"]
    shown = scene.shown["cup", "ann"]
    assert shown.keys() == {DAY, Day(DAY + 1), ALL_TIME_DAY}
    assert shown[ALL_TIME_DAY].events == 2
    assert found[0].kind is OutcomeKind.DUPLICATE


LATE_MS = NOON_MS + 3 * DAY_MS
"""Past the cutoff of the day."""


def value_of(one: Record) -> bytes:
    assert one.value is not None
    return one.value


def test_a_late_record_with_a_receipt_counts_as_appended_at_first() -> None:
    scene = Scene()
    late = record("e", appended_ms=LATE_MS)
    scene.receipts().write(value_of(late), CUP.cutoff_ms(DAY))

    assert outcomes(scene.ingest(late, record("other", 1, appended_ms=LATE_MS))) == ["applied", "too_late"]
    assert outcomes(scene.ingest(late, late)) == ["duplicate", "duplicate"]
    assert not scene.letters


@pytest.mark.parametrize(
    "first_ms", [CUP.cutoff_ms(DAY) + 1, NOON_MS - HOUR_MS], ids=["too late at first", "from the future at first"]
)
def test_a_receipt_of_a_time_that_is_refused_changes_nothing(first_ms: int) -> None:
    scene = Scene()
    late = record("e", appended_ms=LATE_MS)
    scene.receipts().write(value_of(late), first_ms)

    assert outcomes(scene.ingest(late)) == ["too_late"]


@pytest.mark.parametrize("name", ["the day is sealed", "the day is closed"])
def test_a_receipt_opens_no_day_that_takes_nothing_more(name: str) -> None:
    scene = Scene()
    late = record("e", appended_ms=LATE_MS)
    scene.receipts().write(value_of(late), NOON_MS)
    scene.board, reason = LATER[name]

    assert outcomes(scene.ingest(late)) == [reason]
    assert scene.requests == 2, "the ledger is asked, no receipt, and the register of dead letters is written"


ARCHIVED = replace(CUP, archived=True, updated_at_ms=NOON_MS + HOUR_MS)


def test_what_came_before_the_leaderboard_was_archived_counts_and_is_shown() -> None:
    scene = Scene()
    scene.board = ARCHIVED
    before, after = record("e", appended_ms=ARCHIVED.updated_at_ms), record("f", 1, appended_ms=NOON_MS + HOUR_MS + 1)

    assert outcomes(scene.ingest(before, after)) == ["applied", "leaderboard_archived"]
    assert scene.shown["cup", "ann"][DAY].events == 1
    assert outcomes(scene.ingest(before)) == ["duplicate"]
    assert scene.shown["cup", "ann"][DAY].events == 1, "what a crash left out is shown again"


def test_a_receipt_of_before_the_leaderboard_was_archived_lets_a_record_count() -> None:
    scene = Scene()
    scene.board = ARCHIVED
    again, too = record("e", appended_ms=LATE_MS), record("f", 1, appended_ms=LATE_MS)
    scene.receipts().write(value_of(again), ARCHIVED.updated_at_ms)
    scene.receipts().write(value_of(too), ARCHIVED.updated_at_ms + 1)

    assert outcomes(scene.ingest(again, too)) == ["applied", "leaderboard_archived"]


def test_a_record_in_time_is_looked_for_among_receipts_by_nobody() -> None:
    scene = Scene()
    scene.ingest(record("e"))

    assert scene.requests == 3


@pytest.mark.parametrize("times", [(NOON_MS, LATE_MS), (LATE_MS, NOON_MS)])
def test_the_earliest_of_several_receipts_stays(times: tuple[int, int]) -> None:
    receipts = Scene().receipts()
    for appended_at_ms in times:
        receipts.write(b"value", appended_at_ms)

    assert receipts.appended_at_ms([b"value", b"other"]) == {b"value": NOON_MS}


def test_more_receipts_than_one_request_takes_are_found() -> None:
    receipts = Scene().receipts()
    values = [b"%d" % number for number in range(230)]
    for number, value in enumerate(values):
        receipts.write(value, number)

    assert receipts.appended_at_ms([*values, *values]) == {value: number for number, value in enumerate(values)}


def test_a_late_record_waits_while_receipts_are_out_of_reach() -> None:
    scene = Scene()

    assert outcomes(scene.ingest(record("e", appended_ms=LATE_MS), faults=[Fault.UNREACHABLE])) == ["retry"]
    assert not scene.letters


def test_a_record_that_carries_its_producers_time_needs_more_than_a_receipt() -> None:
    scene = Scene()
    untrusted = msgspec.structs.replace(record("e", appended_ms=LATE_MS), is_stamped=False)
    scene.receipts().write(value_of(untrusted), NOON_MS)

    assert outcomes(scene.ingest(untrusted)) == ["untrusted_timestamp"]


around = st.sampled_from([NOON_MS, CUP.cutoff_ms(DAY), NOON_MS - 5 * 60_000, LATE_MS]).flatmap(
    lambda at_ms: st.integers(at_ms - 1, at_ms + 1)
)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), around, st.none() | around), min_size=1, max_size=6),
    st.none() | around,
)
def test_records_with_and_without_receipts_become_what_the_oracle_says(
    sent: list[tuple[str, int, int | None]], archived_ms: int | None
) -> None:
    scene = Scene()
    if archived_ms is not None:
        scene.board = replace(CUP, archived=True, updated_at_ms=archived_ms)
    records = [record(event_id, offset, appended_ms=at_ms) for offset, (event_id, at_ms, _) in enumerate(sent)]
    proven: dict[bytes, int] = {}
    for one, (_, _, first_ms) in zip(records, sent, strict=True):
        if first_ms is not None:
            scene.receipts().write(value_of(one), first_ms)
            proven[value_of(one)] = min(first_ms, proven.get(value_of(one), first_ms))
    archived = {} if archived_ms is None else {"cup": archived_ms}
    reference = oracle.Oracle({"cup": {"aggregation": "sum", "lateness": "P1D"}}, archived)
    reference.receipts = proven
    reference.take(
        oracle.Produced(0, offset, at_ms, records[offset].value) for offset, (_, at_ms, _) in enumerate(sent)
    )

    found = [outcome for one in records for outcome in outcomes(scene.ingest(one))]

    assert found == [reference.outcomes[0, offset] for offset in range(len(sent))]
