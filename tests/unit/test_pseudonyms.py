"""Pseudonyms: what they are made of, and who is known by one."""

from hashlib import sha256
from hmac import new

from msgspec.structs import replace

from shared.closing.result_files import award_changes, issued_or_new
from shared.domain.awards import award_id
from shared.domain.pseudonyms import pseudonym_of
from shared.domain.ranking import Entry
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.standings import Standing
from shared.lookups.pseudonyms import Pseudonyms
from shared.truth.items import standing_item, to_standing
from tests.support.pseudonyms import KEY

BOARD = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
BOB = pseudonym_of(KEY, "cup", "bob")
ANN = pseudonym_of(KEY, "cup", "ann")


class Known:
    """The registry's pseudonyms, and how often they were read."""

    def __init__(self, *names: str) -> None:
        self.names = dict(zip(names, range(1, len(names) + 1), strict=True))
        self.reads = 0
        self.keys = 0

    def read(self, _: str) -> dict[str, int]:
        self.reads += 1
        return dict(self.names)

    def key(self) -> bytes:
        self.keys += 1
        return KEY


def test_a_pseudonym_is_the_hmac_of_both_ids() -> None:
    assert "p-" + new(KEY, b"cup#bob", sha256).hexdigest()[:32] == BOB
    assert len({BOB, ANN, pseudonym_of(KEY, "other", "bob"), pseudonym_of(b"x" * 32, "cup", "bob")}) == 4


def test_a_leaderboard_without_pseudonyms_costs_nothing() -> None:
    known = Known(BOB)
    assert Pseudonyms(known.read, known.key).of_all(BOARD, ["bob", "ann"]) == {}
    assert (known.reads, known.keys) == (0, 0)


def test_who_has_one_is_known_by_it_and_read_once() -> None:
    known = Known(BOB)
    pseudonyms, board = Pseudonyms(known.read, known.key), replace(BOARD, pseudonyms=1)
    for _ in range(2):
        assert pseudonyms.of_all(board, ["bob", "ann", "bob"]) == {"bob": BOB}
    assert pseudonyms.of(board, "ann") is None
    assert pseudonyms.is_one(board, BOB)
    assert not pseudonyms.is_one(board, "bob")
    assert known.reads == 1


def test_a_definition_leads_to_no_pseudonym_that_came_after_it() -> None:
    known = Known(BOB, ANN)
    pseudonyms, board = Pseudonyms(known.read, known.key), replace(BOARD, pseudonyms=1)
    assert pseudonyms.of_all(board, ["bob", "ann"]) == {"bob": BOB}, "who is on the way would count twice"
    assert pseudonyms.of_all(replace(board, pseudonyms=2), ["ann"]) == {"ann": ANN}
    assert known.reads == 1


def test_pseudonyms_that_came_since_are_read() -> None:
    known = Known(BOB)
    pseudonyms, board = Pseudonyms(known.read, known.key), replace(BOARD, pseudonyms=1)
    assert pseudonyms.of(board, "ann") is None
    known.names[ANN] = 2
    assert pseudonyms.of(replace(board, pseudonyms=2), "ann") == ANN
    assert known.reads == 2


def test_what_is_left_under_an_id_says_so() -> None:
    fence = Standing(0, 0, 0, version=4, moved=True)
    assert to_standing(standing_item(BOARD, "bob", 7, fence)) == fence  # type: ignore[arg-type]
    assert fence.is_empty


def test_every_scores_are_those_between_purges() -> None:
    purged = replace(BOARD, starts_ms=(5, 9), since_ms=5)
    assert [one.scores_id for one in purged.every_scores] == ["cup", "cup.5", "cup.9"]


def test_an_award_of_before_keeps_its_id_and_others_get_their_own() -> None:
    issued = {BOB: {"gold": "a" * 32}}
    assert issued_or_new(issued, "cup", "w", BOB, "gold") == "a" * 32
    assert issued_or_new(issued, "cup", "w", BOB, "silver") == award_id("cup", "w", BOB, "silver")
    assert issued_or_new(issued, "cup", "w", "ann", "gold") == award_id("cup", "w", "ann", "gold")

    def entry(tier: str | None) -> Entry:
        return Entry(1, BOB, 5, 0, 0, tier, 1)

    changes = [(entry("gold"), entry("silver"))]
    revoke, grant = award_changes("cup", "w", changes, ids_stay=True, issued=issued)
    assert revoke == ("revoke", BOB, "gold", "a" * 32)
    assert grant == ("grant", BOB, "silver", award_id("cup", "w", BOB, "silver"))
