"""The naive oracle: what must become of every record, and what every ranking must be.

Written plainly and apart from the product's code, of which it imports nothing. Leaderboards are given as the plain
objects that the API takes, records as the bytes that were produced and the times at which the broker appended them.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

from tests.support.oracle_days import UTC_CLOCKS, Clocks, clocks_of, day_of, end_ms

LARGEST = 2**53 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
INSTANT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(\.(?P<fraction>[0-9]+))?"
    r"([Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2}))"
)
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")

APPLIED = "applied"
DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Produced:
    """A record as it stands in the topic."""

    partition: int
    offset: int
    appended_at_ms: int
    value: bytes | None
    stamped: bool = True
    """Whether `appended_at_ms` is the broker's time, and not the producer's."""


@dataclass(frozen=True)
class Entry:
    """One line of a ranking."""

    rank: int
    user_id: str
    score: int
    reached_at_ms: int
    percentile: Decimal
    tier: str | None
    competition_rank: int


@dataclass(frozen=True)
class Fact:
    """An accepted event."""

    event_id: str
    points: int
    at_ms: int
    attributes: tuple[tuple[str, str], ...]
    clocks: Clocks = field(default=UTC_CLOCKS, compare=False)
    """Whose days its leaderboard goes by."""

    @property
    def day(self) -> int:
        """The day it belongs to, since 1970."""
        return day_of(self.clocks, self.at_ms)


class Rejected(Exception):
    """The reason why a record is not applied."""


class Oracle:
    """Takes records in the order of their partitions and answers for every window."""

    def __init__(
        self, leaderboards: Mapping[str, Mapping[str, Any]], archived: Mapping[str, int] | Iterable[str] = ()
    ) -> None:
        self.leaderboards = leaderboards
        self.archived = dict(archived) if isinstance(archived, Mapping) else dict.fromkeys(archived, -1)
        """Leaderboard id → when it was deleted, in ms; -1: before every record."""
        self.audit_log: Mapping[str, Sequence[tuple[Any, ...]]] = {}
        """Leaderboard id → `disqualify` or `reinstate` and whom, in their order; after that, if it is for some days,
        the first and the last of these since 1970."""
        self.voids: Mapping[str, Sequence[tuple[int, str, str]]] = {}
        """Leaderboard id → number of the audit entry, user id and event id of each event that was taken back; since a
        start those under `<leaderboard id>.<start>`."""
        self.corrections: Mapping[str, Sequence[tuple[int, str, Fact]]] = {}
        """Likewise → number of the audit entry, user id and event of each that was added without a record."""
        self.receipts: Mapping[bytes, int] = {}
        """Value of a record that was sent again → when the broker appended it at first, as it has been proven."""
        self.starts_ms: Mapping[str, Sequence[int]] = {}
        """Leaderboard id → when it started over, ascending: all of these times are over."""
        self.pseudonyms: Mapping[str, Mapping[str, tuple[int, str]]] = {}
        """Leaderboard id → pseudonym → number of the audit entry by which it replaced an id, and that id."""
        self.facts: dict[tuple[str, str], list[Fact]] = {}
        """(leaderboard id, user id) → his accepted events; since a start those under `<leaderboard id>.<start>`."""
        self.outcomes: dict[tuple[int, int], str] = {}
        """(partition, offset) → applied, duplicate, or the reason why not."""

    def take(self, records: Iterable[Produced]) -> None:
        """Decide what becomes of records; all of one player's are in one partition."""
        for record in sorted(records, key=lambda one: (one.partition, one.offset)):
            try:
                outcome = self._outcome_of(record)
            except Rejected as rejected:
                outcome = str(rejected)
            self.outcomes[record.partition, record.offset] = outcome

    def counted_for(self, leaderboard_id: str, at_ms: int, appended_at_ms: int) -> str:
        """Since which start an event counts: the last one by which it has occurred and come."""
        starts_ms = [one for one in self.starts_ms.get(leaderboard_id, ()) if one <= at_ms and one <= appended_at_ms]
        return f"{leaderboard_id}.{max(starts_ms)}" if starts_ms else leaderboard_id

    def shown(self, leaderboard_id: str) -> str:
        """The id of what counts now."""
        starts_ms = self.starts_ms.get(leaderboard_id, ())
        return f"{leaderboard_id}.{max(starts_ms)}" if starts_ms else leaderboard_id

    def ranking(
        self,
        leaderboard_id: str,
        first: date | None = None,
        last: date | None = None,
        audit_sequence: int | None = None,
        kind: str | None = None,
        named_as_of: int | None = None,
    ) -> list[Entry]:
        """The ranking of the days from `first` to `last`, both inclusive; of all time without them.

        `kind` is that of the window; without it, every tier counts. Players are called what they were called after as
        many entries as `named_as_of`, if that is given, and ties go by that.

        Those who are disqualified are not in it; with `audit_sequence` those who were after as many entries of the log.
        """
        board = for_kind(self.leaderboards[leaderboard_id], kind)
        first_day = None if first is None else (first - EPOCH.date()).days
        last_day = None if last is None else (last - EPOCH.date()).days
        lines = []
        shown = self.shown(leaderboard_id)
        for user_id in self._players(shown):
            counting = [
                fact
                for fact in self.counting(shown, user_id, audit_sequence)
                if not self.is_out(leaderboard_id, user_id, fact.day, audit_sequence)
                and (first_day is None or fact.day >= first_day)
                and (last_day is None or fact.day <= last_day)
            ]
            if counting:
                lines.append((*score(board, counting), self._called(leaderboard_id, user_id, named_as_of)))
        return ranked(board, lines)

    def carriers(
        self,
        leaderboard_id: str,
        name: str,
        first: date | None = None,
        last: date | None = None,
        audit_sequence: int | None = None,
        named_as_of: int | None = None,
    ) -> dict[str, list[Entry]]:
        """Value → the entries of the ranking whose players carry it: their latest fact with that attribute has it."""
        found: dict[str, list[Entry]] = {}
        for entry in self.ranking(leaderboard_id, first, last, audit_sequence, named_as_of=named_as_of):
            newest: Fact | None = None
            user_id = self.known_as(leaderboard_id, entry.user_id)
            for fact in self.counting(self.shown(leaderboard_id), user_id, audit_sequence):
                in_window = (first is None or to_date(fact.day) >= first) and (
                    last is None or to_date(fact.day) <= last
                )
                if not in_window or name not in dict(fact.attributes):
                    continue
                if self.is_out(leaderboard_id, user_id, fact.day, audit_sequence):
                    continue
                if newest is None or (fact.at_ms, fact.event_id) > (newest.at_ms, newest.event_id):
                    newest = fact
            if newest is not None:
                found.setdefault(dict(newest.attributes)[name], []).append(entry)
        return found

    def known_as(self, leaderboard_id: str, user_id: str) -> str:
        """What a player is called now."""
        names = self.pseudonyms.get(leaderboard_id, {})
        return next((name for name, (_, before) in names.items() if before == user_id), user_id)

    def _called(self, leaderboard_id: str, user_id: str, audit_sequence: int | None) -> str:
        """What a player was called after as many entries of the log."""
        number, before = self.pseudonyms.get(leaderboard_id, {}).get(user_id, (0, user_id))
        return user_id if audit_sequence is None or number <= audit_sequence else before

    def is_out(self, leaderboard_id: str, user_id: str, day: int, audit_sequence: int | None = None) -> bool:
        """Whether what a player did on a day counts for nothing, by the first entries of the log."""
        out = False
        for kind, whom, *days in list(self.audit_log.get(leaderboard_id, ()))[:audit_sequence]:
            if whom == user_id and kind in ("disqualify", "reinstate") and (not days or days[0] <= day <= days[1]):
                out = kind == "disqualify"
        return out

    def days(self, leaderboard_id: str) -> list[date]:
        """Every day on which an accepted or added event of the leaderboard occurred, be it void by now."""
        shown = self.shown(leaderboard_id)
        found = {fact.day for (board, _), facts in self.facts.items() if board == shown for fact in facts}
        found |= {fact.day for _, _, fact in self.corrections.get(shown, ())}
        return [to_date(day) for day in sorted(found)]

    def counting(self, scores_id: str, user_id: str, audit_sequence: int | None = None) -> list[Fact]:
        """The events of a player that count, or did after as many entries of the audit log: the accepted ones and the
        corrections, without those that are void; by the leaderboard's id, or since a start as `facts` has it.
        """
        last = float("inf") if audit_sequence is None else audit_sequence
        added = self.corrections.get(scores_id, ())
        void = {
            event_id
            for number, player, event_id in self.voids.get(scores_id, ())
            if player == user_id and number <= last
        }
        facts = list(self.facts.get((scores_id, user_id), ()))
        facts += [fact for number, player, fact in added if player == user_id and number <= last]
        return [fact for fact in facts if fact.event_id not in void]

    def _players(self, scores_id: str) -> set[str]:
        accepted = {user_id for board, user_id in self.facts if board == scores_id}
        return accepted | {user_id for _, user_id, _ in self.corrections.get(scores_id, ())}

    def _outcome_of(self, record: Produced) -> str:
        event = parse(record.value)
        leaderboard_id = event["leaderboardId"]
        user_id = self.known_as(leaderboard_id, event["userId"])
        fact = to_fact(event, self.leaderboards.get(leaderboard_id, {}))
        player = (self.counted_for(leaderboard_id, fact.at_ms, record.appended_at_ms), user_id)
        facts = self.facts.get(player, [])
        for known in facts:  # whatever the rules say now of what was accepted
            if known.event_id == fact.event_id:
                if known == fact:
                    return DUPLICATE
                raise Rejected("conflicting_duplicate")
        if not record.stamped:
            raise Rejected("untrusted_timestamp")
        if leaderboard_id not in self.leaderboards:
            raise Rejected("unknown_leaderboard")
        board = self.leaderboards[leaderboard_id]
        reason = self._untimely(leaderboard_id, fact, record.appended_at_ms)
        first_ms = self.receipts.get(record.value or b"")
        if reason in ("too_late", "leaderboard_archived") and first_ms is not None:
            reason = None if self._untimely(leaderboard_id, fact, first_ms) is None else reason
        if reason is not None:
            raise Rejected(reason)
        if board["aggregation"] == "sum" and overflows([*facts, fact]):
            raise Rejected("score_overflow")
        self.facts[player] = [*facts, fact]
        return APPLIED

    def profile_of(self, record: Produced) -> tuple[int, str] | None:
        """When a record's profile is of, and the profile as it is stored; None if it brings none that is valid."""
        try:
            event = parse(record.value)
        except Rejected:
            return None
        profile = event.get("profile")
        if not isinstance(profile, dict):
            return None
        name, avatar, metadata = (profile.get(part) for part in ("name", "avatar", "metadata"))
        checks = [
            name is None or (type(name) is str and 1 <= len(name) <= 64 and name.strip() and name.isprintable()),
            avatar is None or (type(avatar) is str and re.fullmatch("[A-Za-z0-9][A-Za-z0-9._/-]{0,63}", avatar)),
            metadata is None or (type(metadata) is dict and len(json.dumps(metadata, separators=(",", ":"))) <= 512),
        ]
        if not all(checks):
            return None
        shown = {"name": name, "avatar": avatar, "metadata": metadata}
        is_empty = name is None and avatar is None and metadata is None
        text = "" if is_empty else json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
        return instant(event["occurredAt"]), text

    def _untimely(self, leaderboard_id: str, fact: Fact, appended_at_ms: int) -> str | None:
        """Why a record that was appended then does not count; None if it does."""
        if leaderboard_id in self.archived and appended_at_ms > self.archived[leaderboard_id]:
            return "leaderboard_archived"
        if fact.at_ms - appended_at_ms > 5 * 60 * 1000:
            return "from_the_future"
        lateness_ms = duration_ms(self.leaderboards[leaderboard_id].get("lateness", "PT1H"))
        return "too_late" if appended_at_ms > end_ms(fact.clocks, fact.day) + lateness_ms else None


def parse(value: bytes | None) -> dict[str, Any]:
    """The event in a record's value, every field checked."""
    if value is None:
        raise Rejected("malformed")
    try:
        event = json.loads(
            value.decode("utf-8"), parse_constant=_no_json, parse_int=_integer, object_pairs_hook=_object
        )
        json.dumps(event, ensure_ascii=False).encode()  # a surrogate on its own is no text
    except (ValueError, RecursionError):
        raise Rejected("malformed") from None
    if not isinstance(event, dict):
        raise Rejected("malformed")
    attributes = event.get("attributes", {})
    try:
        checks = [
            1 <= len(event["eventId"]) <= 128,
            re.fullmatch("[a-z0-9][a-z0-9-]{0,63}", event["leaderboardId"]) is not None,
            1 <= len(event["userId"].encode()) <= 128,
            not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in event["userId"]),
            type(event["eventId"]) is str,
            type(event["points"]) is int,
            -LARGEST <= event["points"] <= LARGEST,
            0 <= instant(event["occurredAt"]) < (datetime(2101, 1, 1, tzinfo=UTC) - EPOCH) // MILLISECOND,
            len(attributes) <= 16,
            all(1 <= len(name) <= 64 and len(text) <= 256 for name, text in attributes.items()),
            all(type(text) is str for text in attributes.values()),
        ]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Rejected("invalid") from None
    if not all(checks):
        raise Rejected("invalid")
    return event


def to_fact(event: Mapping[str, Any], board: Mapping[str, Any]) -> Fact:
    """What an event of a leaderboard says."""
    attributes = tuple(sorted(event.get("attributes", {}).items()))
    return Fact(event["eventId"], event["points"], instant(event["occurredAt"]), attributes, clocks_of(board))


@lru_cache(100_000)
def instant(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 timestamp; finer fractions are cut off."""
    match = INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    hours, minutes = int(match["hours"] or 0), int(match["minutes"] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if match["sign"] == "-" else 1)
    local = datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    milliseconds = int(((match["fraction"] or "") + "000")[:3])
    return (local - EPOCH - offset) // MILLISECOND + milliseconds


def duration_ms(text: str) -> int:
    """Milliseconds of an ISO 8601 duration of days, hours, minutes and seconds."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000


def overflows(facts: Sequence[Fact]) -> bool:
    """Whether any of the days, be they chosen as they may, sum past ±(2^53−1)."""
    by_day: dict[int, int] = {}
    for fact in facts:
        by_day[fact.day] = by_day.get(fact.day, 0) + fact.points
    return any(abs(sum(one for one in by_day.values() if (one > 0) == above)) > LARGEST for above in (True, False))


def score(board: Mapping[str, Any], facts: Sequence[Fact]) -> tuple[int, int]:
    """Points, and when they were reached."""
    if board["aggregation"] == "sum":
        total = sum(fact.points for fact in facts)
        if all(fact.points == 0 for fact in facts):
            return total, min(fact.at_ms for fact in facts)
        return total, max(fact.at_ms for fact in facts if fact.points != 0)  # also if they cancel out
    if board["aggregation"] == "latest":
        newest = max(facts, key=lambda fact: (fact.at_ms, fact.event_id))
        return newest.points, newest.at_ms
    assert board["aggregation"] == "best", board
    points = [fact.points for fact in facts]
    best = max(points) if board.get("order", "desc") == "desc" else min(points)
    return best, min(fact.at_ms for fact in facts if fact.points == best)


def qualifies(board: Mapping[str, Any], points: int) -> bool:
    """Whether a score counts for tiers."""
    limits = board.get("qualify") or {}
    return bool(limits.get("minScore", points) <= points <= limits.get("maxScore", points))


def for_kind(board: Mapping[str, Any], kind: str | None) -> Mapping[str, Any]:
    """The leaderboard with the tiers that windows of a kind have."""
    tiers = [one for one in board.get("tiers", ()) if kind is None or kind in one.get("windows", [kind])]
    return {**board, "tiers": tiers}


def in_force(board: Mapping[str, Any], versions: Sequence[tuple[int, int]], last: date | None) -> int:
    """The version of its rules that a window is ranked and paid by.

    Args:
        board: whose days the window has.
        versions: when each was written, in ms, and its number; the oldest first.
        last: the last day of the window, None for all time.
    """
    found = versions[0][1]
    for written_ms, number in versions[1:]:
        if last is None or written_ms < end_ms(clocks_of(board), (last - EPOCH.date()).days):
            found = number
    return found


def ranked(board: Mapping[str, Any], lines: Iterable[tuple[int, int, str]]) -> list[Entry]:
    """The ranking of (points, when they were reached, user id)."""
    highest_first = board.get("order", "desc") == "desc"
    ordered = sorted(lines, key=lambda line: (-line[0] if highest_first else line[0], line[1], line[2].encode()))
    total = len(ordered)
    shared = {
        points: sum(points < other if highest_first else other < points for other, _, _ in ordered) + 1
        for points in {line[0] for line in ordered}
    }
    fit = sum(qualifies(board, points) for points, _, _ in ordered)
    return [
        Entry(
            rank,
            user_id,
            points,
            at_ms,
            percentile(rank, total),
            tier(board, rank, shared[points], points, fit),
            shared[points],
        )
        for rank, (points, at_ms, user_id) in enumerate(ordered, start=1)
    ]


def competition_rank(board: Mapping[str, Any], ranking: Sequence[Entry], entry: Entry) -> int:
    """1 + how many have a strictly better score."""
    if board.get("order", "desc") == "desc":
        return 1 + sum(other.score > entry.score for other in ranking)
    return 1 + sum(other.score < entry.score for other in ranking)


def selected(
    ranking: Sequence[Entry], lowest: int | None = None, highest: int | None = None, tier_name: str | None = None
) -> list[Entry]:
    """The entries between two scores, both inclusive, and of one tier."""
    return [
        entry
        for entry in ranking
        if (lowest is None or entry.score >= lowest)
        and (highest is None or entry.score <= highest)
        and (tier_name is None or entry.tier == tier_name)
    ]


def ahead_of(board: Mapping[str, Any], entry: Entry, place: tuple[int, int, str]) -> bool:
    """Whether an entry ranks ahead of (points, when they were reached, user id), whoever stands there."""
    points, at_ms, user_id = place
    if entry.score != points:
        highest_first: bool = board.get("order", "desc") == "desc"
        return (entry.score > points) == highest_first
    return (entry.reached_at_ms, entry.user_id.encode()) < (at_ms, user_id.encode())


def percentile(rank: int, total: int) -> Decimal:
    """Share of players below, in percent, cut off after two decimals."""
    return Decimal((total - rank) * 100 * 100 // total) / 100


def tier(board: Mapping[str, Any], rank: int, shared: int, points: int, total: int) -> str | None:
    """The first rule that takes the entry; `shared` is its competition rank, `total` how many qualify."""
    if not qualifies(board, points):
        return None
    for rule in board.get("tiers", ()):
        place = shared if rule.get("ties") == "shared" else rank
        if (
            ("topN" in rule and place <= rule["topN"])
            or ("topPercent" in rule and place <= ceil(total * Fraction(str(rule["topPercent"])) / 100))
            or ("minScore" in rule and points >= rule["minScore"])
            or ("maxScore" in rule and points <= rule["maxScore"])
        ):
            return str(rule["name"])
    return None


def to_date(day: int) -> date:
    """The date of a day since 1970."""
    return date(1970, 1, 1) + timedelta(days=day)


def _no_json(constant: str) -> None:
    raise ValueError(constant)


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 40 else 10**40


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)
