"""Players whose ids are replaced by pseudonyms, on real DynamoDB, Redis and S3: what moves, and what counts once."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from shared.admin.disqualifications import DisqualifiedPlayers
from shared.admin.pseudonyms import HasPseudonym, IsPseudonym, Pseudonymised, TooMuchToMove
from shared.cache import keys
from shared.cache.errors import CacheUnavailable
from shared.domain.audit import AuditAction
from shared.domain.awards import award_id
from shared.domain.calendar import ALL_TIME, ALL_TIME_DAY, DAY_MS, Day, daily, expires_ms, weekly
from shared.domain.events import ScoreEvent, format_instant
from shared.domain.profiles import FENCE, KeptProfile
from shared.domain.pseudonyms import pseudonym_of
from shared.domain.records import Record, Source
from shared.domain.rules import Leaderboard, purge
from shared.domain.tiers import Tier, TierRule
from shared.ingest.outcomes import Candidate, OutcomeKind
from shared.ingest.service import Ingest
from shared.lookups.leaderboards import Leaderboards
from shared.parallel import ThreadPool
from shared.rebuild.builder import RebuildOutcome
from shared.retries import Backoff
from shared.truth.failures import Unavailable
from shared.truth.final_results import AlreadyDone
from shared.truth.keys import profile_partition
from shared.truth.pseudonyms import Overtaken
from shared.truth.receipts import Receipts
from shared.truth.tables import Tables
from tests.support.closing import BUCKET, FENCE_MS, HOUR_MS, MONDAY, Scene, to_lines
from tests.support.pseudonyms import KEY, NO_PROFILES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOON_MS = MONDAY * DAY_MS + 12 * HOUR_MS
GOLD = Tier("gold", TierRule.TOP_N, 1)
STEPS = ("move_days", "move_events", "rename", "issue", "finish")


def forget(scene: Scene, user: str = "bob", steps: int = 10_000) -> Pseudonymised:
    """Ask for a pseudonym, with time for some steps."""
    left = iter(range(steps))
    return scene.pseudonymisation.pseudonymise(
        scene.leaderboard, user, "admin", "asked to be forgotten", lambda: next(left, None) is not None
    )


def lines(scene: Scene, key: str) -> list[dict[str, str]]:
    return to_lines(scene.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def named(scene: Scene, user: str = "bob") -> str:
    return pseudonym_of(KEY, scene.id, user)


def shown(scene: Scene, window: Any = ALL_TIME) -> list[tuple[str, int]]:
    page = scene.cache.page(scene.leaderboard, window, 0, 100, scene.now_ms)
    assert page.complete
    return [(user, score.points) for user, score in page.lines]


def ingest(
    scene: Scene, dynamodb: "DynamoDBClient", event: ScoreEvent, appended_ms: int | None = None, known: Any = None
) -> Candidate:
    """What an ingest call makes of an event, which may know an older definition."""
    leaderboards: Any = known or Leaderboards(scene.registry, scene.clock)
    value = msgspec.json.encode(
        {
            "eventId": event.event_id,
            "leaderboardId": event.leaderboard_id,
            "userId": event.user_id,
            "points": event.points,
            "occurredAt": format_instant(event.occurred_at_ms),
        }
    )
    none: Any = SimpleNamespace(send=lambda _: None, register=lambda _: None, advance=lambda *_: None)
    source = Source(scene.broker.name, 0, next(scene.offsets), appended_ms or event.occurred_at_ms)
    (candidate,) = Ingest(
        leaderboards=leaderboards,
        committer=scene.committer,
        projector=scene.projector,
        dead_letters=none,
        letters=none,
        profiles=NO_PROFILES,
        receipts=Receipts(dynamodb, Tables().registry, Backoff(base_ms=1)),
        pseudonyms=scene.pseudonyms,
        progress=none,
        run_parallel=ThreadPool(1),
        now_ms=scene.clock,
    ).ingest([Record(source, None, value)])
    return candidate


def before_it(leaderboard: Leaderboard) -> Any:
    """The definitions of a call that began before."""
    return SimpleNamespace(find=lambda _: leaderboard, read=lambda _: leaderboard, lock_rules=lambda one: one)


def named_anywhere(dynamodb: "DynamoDBClient", scene: Scene, user: str) -> list[tuple[str, str]]:
    """Keys of all items of the board that have an id in them."""
    found = []
    tables = Tables()
    for table in (tables.ledger, tables.standings, tables.registry):
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                key = item["pk"]["S"], item["sk"]["S"]
                of_board = any(part.removeprefix("leaderboard#").startswith(scene.id) for part in key)
                body = item.get("body", {}).get("S", "")
                if of_board and (user in (key[0].partition("#")[2], key[1]) or f'"{user}"' in body):
                    found.append(key)
    return found


def fail_once(scene: Scene, step: str) -> None:
    """Let one step of a move end in a timeout that did nothing."""
    writes: Any = scene.pseudonym_writes
    work = getattr(writes, step)

    def fail(*_: Any) -> None:
        setattr(writes, step, work)
        raise Unavailable("away")

    setattr(writes, step, fail)


@pytest.fixture
def noon(scene: Scene) -> Scene:
    scene.now_ms = NOON_MS
    return scene


def test_a_pseudonym_takes_the_place_of_the_id_everywhere(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    noon.play("bob", 3, Day(MONDAY + 1))
    complete, snapshot = noon.cache.snapshot(noon.leaderboard, ALL_TIME, noon.now_ms)
    assert complete
    noon.snapshots.write(noon.id, ALL_TIME.id, snapshot, expires_ms(ALL_TIME, 0))
    ledger = {one.event.event_id: one for one in noon.reads.ledger(noon.id, "bob")}

    done = forget(noon)

    assert (done.pseudonym, done.known, done.is_done) == (named(noon), True, True)
    assert (done.entry.kind, done.entry.user_id) == (AuditAction.PSEUDONYMISE, named(noon))
    assert shown(noon) == [(named(noon), 10), ("cat", 7), ("ann", 5)]
    assert sorted(shown(noon, daily(MONDAY))) == sorted([(named(noon), 7), ("cat", 7), ("ann", 5)])
    moved = {one.event.event_id: one for one in noon.reads.ledger(noon.id, named(noon))}
    assert moved == {name: replace(one, event=replace(one.event, user_id=named(noon))) for name, one in ledger.items()}
    assert list(noon.reads.ledger(noon.id, "bob")) == []
    stored = noon.snapshots.read(noon.id, ALL_TIME.id)
    assert stored is not None
    assert [user for user, _ in stored.top] == [named(noon), "cat", "ann"]

    parts = keys.parts(noon.id, ALL_TIME)
    noon.run()
    assert named_anywhere(dynamodb, noon, "bob") != [], "it is fenced off while a call may not know of the pseudonym"
    assert noon.redis.hget(parts, "bob") is not None
    noon.now_ms += FENCE_MS
    noon.run()

    assert named_anywhere(dynamodb, noon, "bob") == []
    assert noon.redis.hget(parts, "bob") is None
    assert noon.redis.hget(parts, named(noon)) is not None
    assert noon.builder.reapply(noon.leaderboard, everything=True) == 0, "cache and truth agree"


def test_events_are_duplicates_before_during_and_after(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    event = noon.play("bob", 3, event_id="e-1").event
    assert ingest(noon, dynamodb, event).kind is OutcomeKind.DUPLICATE
    assert not forget(noon, steps=1).is_done
    assert ingest(noon, dynamodb, event).kind is OutcomeKind.RETRY, "it comes again until the player is moved"
    assert ingest(noon, dynamodb, replace(event, user_id="dan")).kind is OutcomeKind.APPLIED, "nobody else waits"
    assert forget(noon).is_done
    assert ingest(noon, dynamodb, event).kind is OutcomeKind.DUPLICATE
    other = ingest(noon, dynamodb, replace(event, points=4))
    assert other.rejection is not None
    assert other.rejection.reason == "conflicting_duplicate"
    late = ingest(noon, dynamodb, event, appended_ms=event.occurred_at_ms + 9 * DAY_MS)
    assert late.kind is OutcomeKind.DUPLICATE, "be it as late as it may"
    assert shown(noon)[0] == (named(noon), 10)


def test_later_events_of_the_id_count_for_the_pseudonym(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    forget(noon)
    later = ScoreEvent("e-2", noon.id, "bob", 4, NOON_MS, {})
    assert ingest(noon, dynamodb, later).kind is OutcomeKind.APPLIED
    assert shown(noon)[0] == (named(noon), 11)
    assert list(noon.reads.ledger(noon.id, "bob")) == []


def test_a_call_that_does_not_know_of_it_writes_nothing(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    known = before_it(noon.leaderboard)
    event = noon.play("bob", 3, event_id="e-1").event
    for steps in (0, 10_000):
        forget(noon, steps=steps)
        assert ingest(noon, dynamodb, event, known=known).kind is OutcomeKind.RETRY
        new = ScoreEvent("e-2", noon.id, "bob", 4, NOON_MS, {})
        assert ingest(noon, dynamodb, new, known=known).kind is OutcomeKind.RETRY
    late = ingest(noon, dynamodb, event, appended_ms=event.occurred_at_ms + 9 * DAY_MS, known=known)
    assert late.kind is OutcomeKind.RETRY, "what the pseudonym holds is no dead letter"
    assert shown(noon)[0] == (named(noon), 10)


def test_a_player_without_events_is_fenced_off_too(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    known = before_it(noon.leaderboard)
    assert not noon.pseudonymisation.is_known(noon.leaderboard, "dan")
    done = forget(noon, "dan")
    assert (done.known, done.is_done) == (False, True)
    event = ScoreEvent("e-1", noon.id, "dan", 4, NOON_MS, {})
    assert ingest(noon, dynamodb, event, known=known).kind is OutcomeKind.RETRY
    assert ingest(noon, dynamodb, event).kind is OutcomeKind.APPLIED
    assert noon.pseudonymisation.is_known(noon.leaderboard, "dan")
    assert (named(noon, "dan"), 4) in shown(noon)


@pytest.mark.parametrize("step", STEPS)
def test_whatever_a_move_dies_of_closing_ends_it(scene: Scene, dynamodb: "DynamoDBClient", step: str) -> None:
    scene.registry.save(replace(scene.leaderboard, version=2, tiers=(GOLD,)))
    gift = scene.play("bob", 200).event
    scene.amendments.void(scene.leaderboard, "bob", gift.event_id, "referee", "a foul")
    scene.run()
    event = next(iter(scene.reads.ledger(scene.id, "bob"))).event
    fail_once(scene, step)
    with pytest.raises(Unavailable):
        forget(scene)
    assert scene.leaderboard.moving == named(scene)
    assert ingest(scene, dynamodb, event).kind is OutcomeKind.RETRY

    run = scene.run()

    assert run.blocked == []
    assert not scene.leaderboard.moving
    assert ingest(scene, dynamodb, event).kind is OutcomeKind.DUPLICATE
    assert sorted(shown(scene)) == sorted([(named(scene), 7), ("cat", 7), ("ann", 5)])
    scene.now_ms += FENCE_MS
    scene.run()
    assert named_anywhere(dynamodb, scene, "bob") == []


def test_an_id_is_fenced_off_from_the_end_of_its_move(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    """However long that took: what a call has read before the end may still be on its way to the cache."""
    days = noon.reads.standings((noon.leaderboard, "bob", day) for day in (ALL_TIME_DAY, MONDAY))
    read = {"bob": {day: standing for (_, _, day), standing in days.items()}}
    fail_once(noon, "move_events")
    with pytest.raises(Unavailable):
        forget(noon)
    noon.now_ms += FENCE_MS
    noon.run()
    assert not noon.leaderboard.moving
    (move,) = noon.work.of(noon.id).moves
    noon.now_ms = move.at_ms + FENCE_MS - 1
    noon.run()

    noon.cache.apply(noon.leaderboard, read, noon.now_ms)

    assert named_anywhere(dynamodb, noon, "bob") != []
    assert {user for user, _ in shown(noon)} == {named(noon), "cat", "ann"}
    noon.now_ms += 1
    noon.run()
    assert named_anywhere(dynamodb, noon, "bob") == []
    assert {user for user, _ in shown(noon)} == {named(noon), "cat", "ann"}


class Conflicting:
    """A client for which another transaction is under way when a move wants to say that it is done, once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.conflicts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_item(self, **request: Any) -> Any:
        if "REMOVE moving" in request["UpdateExpression"] and not self.conflicts:
            self.conflicts += 1
            error: Any = {"Error": {"Code": "TransactionConflictException", "Message": "Transaction is ongoing"}}
            raise ClientError(error, "UpdateItem")
        return self._client.update_item(**request)

    def transact_write_items(self, TransactItems: list[Any]) -> Any:
        if "REMOVE moving" in str(TransactItems) and not self.conflicts:
            self.conflicts += 1
            error: Any = {"Error": {"Code": "TransactionCanceledException", "Message": "cancelled"}}
            error["CancellationReasons"] = [{"Code": "TransactionConflict"}]
            raise ClientError(error, "TransactWriteItems")
        return self._client.transact_write_items(TransactItems=TransactItems)


def test_a_conflict_at_the_end_of_a_move_does_not_leave_it_for_ever(noon: Scene) -> None:
    """Were it taken for done, nothing of the leaderboard would be ranked any more, and nobody would end it."""
    writes: Any = noon.pseudonym_writes
    writes._client = client = Conflicting(writes._client)
    with pytest.raises(Unavailable):
        forget(noon)
    assert client.conflicts == 1
    assert noon.leaderboard.moving == named(noon)
    noon.now_ms += FENCE_MS
    noon.run()
    assert not noon.leaderboard.moving
    assert (named(noon), 7) in shown(noon)


def test_nobody_stands_in_a_window_under_both_names(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    writes: Any = noon.pseudonym_writes
    finish = writes.finish

    def go_on(move: Any) -> None:
        finish(move)
        later = ScoreEvent("e-2", noon.id, "bob", 4, NOON_MS, {})  # comes before the move shows what it has moved
        assert ingest(noon, dynamodb, later).kind is OutcomeKind.APPLIED
        for window in (ALL_TIME, daily(MONDAY)):
            assert {named(noon), "bob"} & {user for user, _ in shown(noon, window)} == {named(noon)}

    writes.finish = go_on
    assert forget(noon).is_done
    assert shown(noon)[0] == (named(noon), 11)


def test_a_move_is_done_without_a_cache(noon: Scene) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noon.cache, "show_disqualified", _cache_is_away)
        assert forget(noon).is_done, "the player's next events don't wait"
    noon.run()
    assert (named(noon), 7) in shown(noon)
    assert "bob" not in dict(shown(noon))


def _cache_is_away(*_: Any) -> None:
    raise CacheUnavailable("away")


def test_a_snapshot_under_both_names_keeps_one(noon: Scene) -> None:
    _, snapshot = noon.cache.snapshot(noon.leaderboard, ALL_TIME, noon.now_ms)
    (first, score), *others = snapshot.top
    both = replace(snapshot, top=[(first, score), (named(noon), score), *others], total=snapshot.total + 1)
    noon.snapshots.write(noon.id, ALL_TIME.id, both, expires_ms(ALL_TIME, 0))
    noon.snapshots.rename(noon.id, first, named(noon))
    stored = noon.snapshots.read(noon.id, ALL_TIME.id)
    assert stored is not None
    assert stored.top == [(named(noon), score), *others]
    assert stored.total == snapshot.total


def test_nothing_is_final_or_complete_while_a_player_is_half_moved(scene: Scene) -> None:
    for day in range(MONDAY - 1, MONDAY + 2):
        scene.play("bob", 1, Day(day), leaderboard=scene.leaderboard)
    forget(scene, steps=0)
    closing = scene.closing()
    closing._work._pseudonymisation = SimpleNamespace(go_on=_away)  # type: ignore[assignment]
    run = closing.run()
    scene.now_ms = max(scene.now_ms, scene.leaderboard.seals_at_ms or 0)
    run = closing.run()

    assert scene.leaderboard.sealed_through == MONDAY
    assert [(one.what, one.cause) for one in run.blocked] == [("audit entry 1", "truth")]
    with pytest.raises(AlreadyDone):  # of who asked for the work before
        closing._work._finalizer.finalize(scene.leaderboard, daily(MONDAY))
    assert scene.final_results.windows(scene.id) == []
    scene.cache.mark_incomplete(scene.id)
    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.LOST
    assert not scene.cache.is_complete(scene.leaderboard)

    forget(scene)
    assert scene.builder.rebuild_leaderboard(scene.leaderboard) is RebuildOutcome.DONE
    scene.run()
    assert daily(MONDAY) in scene.final_results.windows(scene.id)


def _away(*_: Any) -> None:
    raise Unavailable("away")


def test_a_result_is_not_written_by_who_read_before(scene: Scene) -> None:
    scene.run()
    scene.final_results.mark_due(scene.id, [daily(MONDAY)])
    reads: Any = scene.reads
    players: Callable[..., Any] = reads.players

    def move_first(*what: Any) -> Iterable[Any]:
        reads.players = players
        forget(scene)
        found: Iterable[Any] = players(*what)
        return found

    reads.players = move_first
    scene.closing().run()
    final = scene.final_results.final(scene.id, daily(MONDAY).id)
    assert final is not None
    assert final.version == 1


def test_who_is_disqualified_or_amended_stays_so(noon: Scene) -> None:
    gift = noon.play("bob", 200, event_id="gift").event
    noon.amendments.void(noon.leaderboard, "bob", gift.event_id, "referee", "a foul")
    noon.amendments.correct(
        noon.leaderboard, ScoreEvent("c1", noon.id, "bob", 20, NOON_MS - 1, {}), "referee", "a goal"
    )
    noon.disqualifications.disqualify(noon.leaderboard, "bob", "admin", "why", run=(Day(MONDAY + 1), Day(MONDAY + 1)))
    noon.play("bob", 9, Day(MONDAY + 1))
    noon.disqualifications.disqualify(noon.leaderboard, "ann", "admin", "why")
    assert shown(noon) == [("bob", 27), ("cat", 7)]
    kept = noon.disqualifications
    assert {one.user_id for one in noon.audit_log.read(noon.id)} == {"bob", "ann"}

    for user in ("bob", "ann"):
        forget(noon, user)

    assert shown(noon) == [(named(noon), 27), ("cat", 7)]
    assert {one.user_id for one in noon.audit_log.read(noon.id)} == {named(noon), named(noon, "ann")}
    held = {one.event.event_id: one for one in noon.reads.ledger(noon.id, named(noon))}
    assert (held["gift"].voided_by, held["c1"].added_by) == (1, 2)
    noon.now_ms += FENCE_MS
    noon.run()
    assert noon.builder.reapply(noon.leaderboard, everything=True) == 0
    assert shown(noon) == [(named(noon), 27), ("cat", 7)]
    kept.reinstate(noon.leaderboard, named(noon, "ann"), "admin", "why")
    noon.amendments.void(noon.leaderboard, named(noon), "c1", "referee", "no goal")
    assert sorted(shown(noon)) == sorted([("cat", 7), (named(noon), 7), (named(noon, "ann"), 5)])


def test_who_is_half_moved_stands_in_no_window_and_is_not_amended(noon: Scene) -> None:
    tuesday = Day(MONDAY + 1)
    noon.play("bob", 9, tuesday)
    noon.disqualifications.disqualify(noon.leaderboard, "bob", "admin", "why", run=(tuesday, tuesday))
    noon.disqualifications.disqualify(noon.leaderboard, "ann", "admin", "why")
    players = DisqualifiedPlayers(noon.audit_log, noon.work)
    for user in ("ann", "bob"):
        assert not forget(noon, user, steps=0).is_done

        out, hidden = players.now(noon.id), players.hidden(noon.id)
        assert hidden.user_ids == out.user_ids | ({"ann", "bob"} if user == "bob" else {"ann"})
        assert named(noon, "ann") in out.user_ids
        noon.builder.reapply(noon.leaderboard, everything=True)
        assert not {user, named(noon, user)} & {name for name, _ in shown(noon)}
        goal = ScoreEvent("c1", noon.id, named(noon, user), 20, NOON_MS - 1, {})
        with pytest.raises(Unavailable):
            noon.amendments.correct(noon.leaderboard, goal, "referee", "a goal")
        if user == "bob":
            assert hidden.days["bob"] == out.days[named(noon)] == ((tuesday, tuesday),)
        forget(noon, user)

    assert sorted(shown(noon)) == sorted([(named(noon), 7), ("cat", 7)])
    forget(noon, "cat", steps=0)
    noon.builder.reapply(noon.leaderboard, everything=True)
    assert shown(noon) == [(named(noon), 7)], "all time of the pseudonym is there, its days are not"
    forget(noon, "cat")
    assert sorted(shown(noon)) == sorted([(named(noon), 7), (named(noon, "cat"), 7)])
    noon.now_ms += FENCE_MS
    noon.run()
    assert players.hidden(noon.id) == players.now(noon.id)


def test_a_move_that_is_overtaken_again_and_again_says_so(noon: Scene) -> None:
    def overtake(*_: Any) -> None:
        raise Overtaken("by somebody")

    writes: Any = noon.pseudonym_writes
    move_days, writes.move_days = writes.move_days, overtake
    with pytest.raises(Unavailable, match="by others at each of 8 tries"):
        forget(noon)
    assert [one.cause for one in noon.run().blocked] == ["truth"]
    writes.move_days = move_days
    assert noon.run().blocked == []
    assert forget(noon).is_done


def test_an_award_that_was_issued_keeps_its_id(scene: Scene) -> None:
    scene.registry.save(replace(scene.leaderboard, version=2, tiers=(GOLD,)))
    scene.run()
    window = daily(MONDAY)
    forget(scene)
    scene.now_ms += FENCE_MS
    scene.run()
    (first,) = scene.final_results.versions(scene.id, window.id)
    (paid,) = lines(scene, first.awards_key)
    assert (paid["user_id"], paid["award_id"]) == ("bob", award_id(scene.id, window.id, "bob", "gold"))

    scene.disqualifications.disqualify(scene.leaderboard, named(scene), "admin", "why")
    scene.run()
    scene.disqualifications.reinstate(scene.leaderboard, named(scene), "admin", "why")
    scene.run()

    _, second, third = scene.final_results.versions(scene.id, window.id)
    assert second.award_changes_key is not None
    changes = {one["action"]: one for one in lines(scene, second.award_changes_key)}
    revoked, granted = changes["revoke"], changes["grant"]
    assert (revoked["user_id"], revoked["award_id"]) == (named(scene), paid["award_id"])
    assert granted["user_id"] == "cat"
    (again,) = lines(scene, third.awards_key)
    assert (again["user_id"], again["award_id"]) == (named(scene), paid["award_id"]), "booked by its id, it is one"
    assert third.difference_key is not None
    assert {one["award_id_after"] for one in lines(scene, third.difference_key)} == {paid["award_id"], ""}
    assert b"bob" not in scene.s3.get_object(Bucket=BUCKET, Key=third.difference_key)["Body"].read()


def test_the_move_alone_makes_no_other_version(scene: Scene) -> None:
    scene.run()
    done = forget(scene)
    run = scene.run()
    assert (run.final_results, run.blocked) == ([], [])
    assert [one.version for one in scene.final_results.versions(scene.id, weekly(MONDAY).id)] in ([], [1])
    stays = scene.pseudonymisation.files(scene.leaderboard, done.entry.number)
    assert stays, "the files of the first version name the id"
    assert all(key.startswith(f"finals/{scene.id}/") for key in stays)


def test_asking_twice_answers_alike_and_tells_nobody_else(noon: Scene) -> None:
    first, second = forget(noon), forget(noon)
    assert first == second
    assert noon.leaderboard.pseudonyms == 1
    with pytest.raises(HasPseudonym) as told:
        noon.pseudonymisation.check(noon.leaderboard, "bob")
    assert named(noon) not in str(told.value)
    noon.pseudonymisation.check(noon.leaderboard, named(noon))
    with pytest.raises(IsPseudonym):
        forget(noon, named(noon))


def test_a_second_player_first_has_the_first_one_moved(noon: Scene) -> None:
    assert not forget(noon, "bob", steps=0).is_done
    assert forget(noon, "ann").is_done
    assert sorted(shown(noon)) == sorted([(named(noon), 7), ("cat", 7), (named(noon, "ann"), 5)])
    assert noon.leaderboard.pseudonyms == 2
    forget(noon, "cat", steps=0)
    with pytest.raises(Unavailable):
        forget(noon, "dan", steps=0)


def test_scores_of_before_a_purge_move_too(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    before = noon.play("bob", 3, event_id="e-1").event
    _, snapshot = noon.cache.snapshot(noon.leaderboard, ALL_TIME, noon.now_ms)
    noon.snapshots.write(noon.id, ALL_TIME.id, snapshot, expires_ms(ALL_TIME, 0))
    noon.registry.save_purge(purge(noon.leaderboard, NOON_MS + 1_000))
    noon.now_ms = NOON_MS + HOUR_MS
    noon.builder.rebuild_leaderboard(noon.leaderboard)
    since = ScoreEvent("e-2", noon.id, "bob", 4, NOON_MS + 2_000, {})
    assert ingest(noon, dynamodb, since).kind is OutcomeKind.APPLIED

    forget(noon)

    assert shown(noon) == [(named(noon), 4)]
    stored = noon.snapshots.read(noon.id, ALL_TIME.id)
    assert stored is not None
    assert [user for user, _ in stored.top] == [named(noon), "cat", "ann"]
    assert ingest(noon, dynamodb, before).kind is OutcomeKind.DUPLICATE
    assert ingest(noon, dynamodb, since).kind is OutcomeKind.DUPLICATE
    noon.now_ms += FENCE_MS
    noon.run()
    assert named_anywhere(dynamodb, noon, "bob") == []


def test_too_many_disqualifications_can_t_be_renamed_at_once(noon: Scene) -> None:
    log: Any = noon.audit_log
    read = log.read
    noon.disqualifications.disqualify(noon.leaderboard, "bob", "admin", "why")
    (entry,) = read(noon.id)
    log.read = lambda leaderboard_id, *more: (
        [*read(leaderboard_id, *more), *[entry] * 90] if not more else read(leaderboard_id, *more)
    )
    with pytest.raises(TooMuchToMove, match="at most 90 items"):
        forget(noon)


def test_a_profile_is_forgotten_and_a_late_one_finds_a_fence(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    noon.registry.save_purge(purge(noon.leaderboard, noon.now_ms - HOUR_MS))
    every = [one.scores_id for one in noon.leaderboard.every_scores]
    for scores_id in every:
        noon.profiles.write(scores_id, "bob", KeptProfile(noon.now_ms, "{}"))
    done = forget(noon)
    assert done.is_done
    for scores_id in every:
        assert noon.profiles.write(scores_id, "bob", KeptProfile(noon.now_ms + DAY_MS, "{}")) == FENCE
        assert noon.profiles.read(scores_id, [done.pseudonym]) == {}
    noon.now_ms += FENCE_MS
    for move in noon.work.of(noon.id).moves:
        noon.pseudonymisation.go_on(noon.registry.leaderboard(noon.id) or noon.leaderboard, move)
    pages = dynamodb.get_paginator("scan").paginate(TableName=Tables().registry)
    kept = [item["pk"]["S"] for page in pages for item in page["Items"] if item["pk"]["S"].startswith("profile#")]
    assert not [pk for pk in kept if noon.id in pk]
    with pytest.raises(HasPseudonym):
        noon.pseudonymisation.check_named(noon.leaderboard, "bob")
    with pytest.raises(IsPseudonym):
        noon.pseudonymisation.check_named(noon.registry.leaderboard(noon.id) or noon.leaderboard, done.pseudonym)


def test_an_id_goes_from_the_scores_of_a_purge_that_closing_had_not_read(
    noon: Scene, dynamodb: "DynamoDBClient"
) -> None:
    read = noon.leaderboard
    noon.registry.save_purge(purge(read, noon.now_ms + FENCE_MS))
    forget(noon)
    (move,) = noon.pseudonymisation._work_list.of(noon.id).moves
    noon.now_ms += FENCE_MS

    noon.pseudonymisation.go_on(read, move)

    assert named_anywhere(dynamodb, noon, "bob") == []
    table = Tables().registry
    items = [one for page in dynamodb.get_paginator("scan").paginate(TableName=table) for one in page["Items"]]
    every_scores = [one.scores_id for one in noon.leaderboard.every_scores]
    assert len(every_scores) == 2
    assert {profile_partition(one, "bob") for one in every_scores}.isdisjoint(item["pk"]["S"] for item in items)


def test_a_mover_that_was_held_up_past_the_end_brings_no_id_back(noon: Scene, dynamodb: "DynamoDBClient") -> None:
    done = forget(noon)
    (move,) = noon.pseudonymisation._work_list.of(noon.id).moves
    moving = replace(noon.registry.leaderboard(noon.id) or noon.leaderboard, moving=done.pseudonym)
    noon.now_ms += FENCE_MS
    noon.run()
    assert noon.pseudonymisation._work_list.of(noon.id).moves == []

    noon.pseudonymisation._move(moving, move, lambda: True)

    assert named_anywhere(dynamodb, noon, "bob") == []
    assert noon.profiles.read(noon.leaderboard.scores_id, ["bob"]) == {}
