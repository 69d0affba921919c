"""Purges: who is told when they take effect, and what rules them out."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from infra.prove import scores_id
from shared.admin.purges import HasResult, Purges
from shared.closing.schedule import CLOCK_SKEW_MS, LAST_CALLS_MS
from shared.domain.audit import AuditAction, AuditEntry
from shared.domain.calendar import Window, daily, parse_day
from shared.domain.rules import Aggregation, Leaderboard
from shared.files.manifest import counts_from
from shared.settings import PSEUDONYM_FENCE_S_MIN, PURGE_DELAY_S_MIN, InvalidSettings, load
from shared.truth.registry import Conflict
from tests.unit.test_settings import COMPLETE

NOW_MS = 1_800_000_000_000
DELAY_MS = 150_000
CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM, has_events=True)


class Parts:
    """Registry, results and audit log in memory."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.board = CUP
        self.results: list[Window] = []
        self.entries: list[AuditEntry] = []
        self.before_save: Callable[[], None] = lambda: None
        self.kept: list[Leaderboard] = []

    def leaderboard(self, _id: str) -> Leaderboard:
        return self.board.at(self.now_ms)

    def windows(self, _id: str) -> list[Window]:
        return self.results

    def record(self, _id: str, kind: AuditAction, actor: str, *, reason: str, subject: str) -> AuditEntry:
        number = len(self.entries) + 1
        entry = AuditEntry(
            number=number, kind=kind, actor=actor, reason=reason, at_ms=self.now_ms, user_id=None, subject=subject
        )
        self.entries.append(entry)
        return entry

    def read(self, _id: str) -> list[AuditEntry]:
        return self.entries

    def save_purge(self, leaderboard: Leaderboard) -> None:
        self.before_save()
        if leaderboard.version != self.board.version + 1 or self.results:
            raise Conflict
        self.board = leaderboard

    def keep(self, leaderboard: Leaderboard) -> None:
        self.kept.append(leaderboard)


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def purges(parts: Parts) -> Purges:
    one: Any = parts
    return Purges(
        registry=one,
        leaderboards=one,
        final_results=one,
        disqualifications=one,
        audit_log=one,
        delay_ms=DELAY_MS,
        now_ms=lambda: parts.now_ms,
    )


def test_a_purge_takes_effect_ahead_of_now_and_is_in_the_audit_log_first(parts: Parts, purges: Purges) -> None:
    entry, purged = purges.purge(CUP, "admin", "rehearsal")

    assert purged.starts_ms == (NOW_MS + DELAY_MS,)
    assert parts.board == purged
    assert parts.kept == [purged]
    assert entry == parts.entries[0]
    assert (entry.kind, entry.actor, entry.reason) == (AuditAction.PURGE, "admin", "rehearsal")
    assert entry.subject == "from 2027-01-15T08:02:30.000Z"


def test_a_purge_that_was_asked_for_again_is_the_same_one_until_it_takes_effect(parts: Parts, purges: Purges) -> None:
    first = purges.purge(CUP, "admin", "rehearsal")
    parts.now_ms += DELAY_MS - 1
    assert purges.purge(CUP, "another", "again") == first
    assert len(parts.entries) == 1

    parts.now_ms += 1
    _, later = purges.purge(CUP, "another", "again")
    assert later.starts_ms == (NOW_MS + DELAY_MS, NOW_MS + 2 * DELAY_MS)
    assert len(parts.entries) == 2


def test_no_leaderboard_with_a_result_is_purged(parts: Parts, purges: Purges) -> None:
    parts.results = [daily(parse_day("2027-01-14"))]
    with pytest.raises(HasResult):
        purges.purge(CUP, "admin", "rehearsal")
    assert parts.board == CUP
    assert parts.entries == []


def test_a_result_that_is_written_meanwhile_rules_a_purge_out(parts: Parts, purges: Purges) -> None:
    parts.before_save = lambda: parts.results.append(daily(parse_day("2027-01-14")))
    with pytest.raises(HasResult):
        purges.purge(CUP, "admin", "rehearsal")
    assert parts.board == CUP


def test_a_change_that_comes_between_is_kept(parts: Parts, purges: Purges) -> None:
    def change() -> None:
        parts.before_save = lambda: None
        parts.board = replace(CUP, name="Other", version=2)

    parts.before_save = change
    _, purged = purges.purge(CUP, "admin", "rehearsal")
    assert (purged.name, purged.version, len(purged.starts_ms)) == ("Other", 3, 1)


def test_who_is_always_beaten_to_it_is_told_so(parts: Parts, purges: Purges) -> None:
    def change() -> None:
        parts.board = replace(parts.board, version=parts.board.version + 1)

    parts.before_save = change
    with pytest.raises(Conflict):
        purges.purge(CUP, "admin", "rehearsal")


def test_by_the_start_no_call_is_left_that_does_not_know_of_it() -> None:
    assert LAST_CALLS_MS + CLOCK_SKEW_MS < PURGE_DELAY_S_MIN * 1000
    assert load(COMPLETE).purge_delay_s == PURGE_DELAY_S_MIN
    assert load(COMPLETE | {"PURGE_DELAY_S": "3"}).purge_delay_s == 3
    environment = COMPLETE | {"STAGE": "prod", "AUTHORIZATION": "jwt", "PURGE_DELAY_S": "149"}
    with pytest.raises(InvalidSettings, match="PURGE_DELAY_S must be 150 or more"):
        load(environment)


def test_an_id_is_fenced_off_for_long_enough_outside_the_local_stage() -> None:
    assert load(COMPLETE).pseudonym_fence_s == PSEUDONYM_FENCE_S_MIN
    assert load(COMPLETE | {"PSEUDONYM_FENCE_S": "3"}).pseudonym_fence_s == 3
    environment = COMPLETE | {"STAGE": "prod", "AUTHORIZATION": "jwt", "PSEUDONYM_FENCE_S": "999"}
    with pytest.raises(InvalidSettings, match="PSEUDONYM_FENCE_S must be 1000 or more"):
        load(environment)


def test_a_proof_reads_the_ledger_that_its_manifest_is_about() -> None:
    purged = replace(CUP, starts_ms=(NOW_MS + 7,)).at(NOW_MS + 7)
    for board in (CUP, purged):
        assert scores_id({"leaderboardId": "cup", "countsFrom": counts_from(board)}) == board.scores_id
    assert scores_id({"leaderboardId": "cup"}) == "cup", "of manifests of before"
