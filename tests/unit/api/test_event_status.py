"""Whether an event is in, and how far the topic is committed where it is not."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.events import ScoreEvent, format_instant
from shared.domain.records import Source
from shared.domain.rejections import Reason
from shared.domain.rules import Aggregation, Leaderboard
from shared.reads.event_status import EventLookup
from shared.truth.items import LedgerEntry
from shared.truth.letters import Refusal
from shared.truth.progress import Position
from tests.unit.api.conftest import NOW_MS, Api

CUP = Leaderboard(id="cup", name="Cup", aggregation=Aggregation.SUM)
EVENT = LedgerEntry(ScoreEvent("e-1", "cup", "u-1", 5, NOW_MS, {}), Source("scores", 1, 41, NOW_MS))
REFUSAL = Refusal(
    reason=Reason.TOO_LATE,
    detail="its day is over",
    topic="scores",
    partition=1,
    offset=40,
    appended_at_ms=NOW_MS,
    rejected_at_ms=NOW_MS + 5,
)
POSITIONS = [Position("scores", 0, 7, NOW_MS), Position("scores", 1, 42, NOW_MS + 1)]


class Truth:
    """What the ledger holds at each read, and the order of the reads."""

    def __init__(self, *held: LedgerEntry | None) -> None:
        self.held = list(held)
        self.reads: list[Any] = []
        self.refused: Refusal | None = None

    def entry(self, *place: str) -> LedgerEntry | None:
        self.reads.append(place)
        return self.held.pop(0)

    def positions(self, topic: str) -> Iterable[Position]:
        self.reads.append(topic)
        return POSITIONS

    def refusal(self, *event: Any) -> Refusal | None:
        self.reads.append(event)
        return self.refused


def lookup(truth: Truth) -> EventLookup:
    return EventLookup(truth, truth, truth, "scores", lambda: NOW_MS)  # type: ignore[arg-type]


def asked(api: Api, truth: Truth, path: str = "u-1/events/e-1") -> Any:
    api.registry.boards["cup"] = CUP
    api.parts.event_lookup = lookup(truth)
    return api.get(f"/leaderboards/cup/players/{path}")


PLACE = ("cup", "u-1", "e-1")


def test_an_event_that_the_ledger_holds_takes_one_read(api: Api) -> None:
    truth = Truth(EVENT)
    answer = asked(api, truth)
    assert (answer.status, answer.json["status"], answer.json["committed"]) == (200, "applied", [])
    assert (answer.json["event"]["points"], answer.json["event"]["offset"]) == (5, 41)
    assert answer.json["event"]["voidedByEntry"] is None
    assert truth.reads == [PLACE]
    assert answer.headers["cache-control"] == "no-cache"


def test_a_void_event_is_marked(api: Api) -> None:
    answer = asked(api, Truth(LedgerEntry(EVENT.event, EVENT.source, None, 3)))
    assert (answer.json["status"], answer.json["event"]["voidedByEntry"]) == ("applied", 3)


def test_an_unknown_event_comes_with_what_is_committed(api: Api) -> None:
    answer = asked(api, Truth(None, None))
    assert (answer.status, answer.json["status"], answer.json["event"]) == (200, "unknown", None)
    assert answer.json["rejection"] is None
    assert [(one["partition"], one["nextOffset"]) for one in answer.json["committed"]] == [(0, 7), (1, 42)]


@pytest.mark.parametrize(("appended_ms", "appended_at"), [(NOW_MS, format_instant(NOW_MS)), (-1, None), (2**62, None)])
def test_a_rejected_event_comes_with_the_reason_and_the_record(
    api: Api, appended_ms: int, appended_at: str | None
) -> None:
    truth = Truth(None, None)
    truth.refused = replace(REFUSAL, appended_at_ms=appended_ms)
    answer = asked(api, truth)
    assert (answer.status, answer.json["status"], answer.json["event"]) == (200, "rejected", None)
    assert answer.json["rejection"] == {
        "reason": "too_late",
        "detail": "its day is over",
        "topic": "scores",
        "partition": 1,
        "offset": 40,
        "appendedAt": appended_at,
        "rejectedAt": format_instant(NOW_MS + 5),
    }
    assert [one["nextOffset"] for one in answer.json["committed"]] == [7, 42]
    assert truth.reads == [PLACE, "scores", PLACE, (*PLACE, NOW_MS)], "ingest registers before it records the position"


def test_an_event_that_counts_all_the_same_is_applied(api: Api) -> None:
    truth = Truth(EVENT)
    truth.refused = REFUSAL
    answer = asked(api, truth)
    assert (answer.json["status"], answer.json["rejection"]) == ("applied", None)


def test_an_event_that_is_committed_meanwhile_is_applied() -> None:
    truth = Truth(None, EVENT)
    truth.refused = REFUSAL
    found = lookup(truth).status(CUP, "u-1", "e-1")
    assert (found.entry, list(found.positions), found.refusal) == (EVENT, [], None)
    assert truth.reads == [PLACE, "scores", PLACE], "the ledger is read after the positions"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("u-1/events/a/b", ("cup", "u-1", "a/b")),
        ("x/events/y/events/e-1", ("cup", "x/events/y", "e-1")),
    ],
)
def test_the_last_events_of_a_path_begins_the_event_id(api: Api, path: str, place: tuple[str, ...]) -> None:
    truth = Truth(EVENT)
    assert asked(api, truth, path).status == 200
    assert truth.reads == [place]


def test_ids_that_no_event_can_have_are_refused(api: Api) -> None:
    answer = asked(api, Truth(), f"u-1/events/{'e' * 129}")
    assert (answer.status, list(answer.errors)) == (422, ["eventId"])


def test_an_unknown_leaderboard_has_no_events(api: Api) -> None:
    api.parts.event_lookup = SimpleNamespace()
    assert api.get("/leaderboards/none/players/u-1/events/e-1").status == 404
