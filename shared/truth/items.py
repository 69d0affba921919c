"""DynamoDB JSON of ledger items and standings, written by hand: a general serialiser costs ten times as much."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.calendar import Day
from shared.domain.events import ScoreEvent
from shared.domain.labels import Label
from shared.domain.periods import Period
from shared.domain.records import Source
from shared.domain.rules import Leaderboard
from shared.domain.series import Series
from shared.domain.standings import DaySums, Standing
from shared.truth import keys

Item = dict[str, Any]
"""Attribute name → `{"S": …}`, `{"N": …}` or `{"M": …}`."""


_sums_decoder = msgspec.json.Decoder(DaySums)


class LedgerEntry(Struct, frozen=True, gc=False):
    """An event and where it came from."""

    event: ScoreEvent
    source: Source | None
    """The record it came in; None if an administrator added it."""
    added_by: int | None = None
    """Number of the audit entry by which an administrator added it."""
    voided_by: int | None = None
    """Number of the audit entry by which it is void; it counts nothing from then on."""

    def counts(self, audit_sequence: int | None = None) -> bool:
        """Whether it counts, or did as of an audit entry."""
        if audit_sequence is None:
            return self.voided_by is None
        return (self.added_by is None or self.added_by <= audit_sequence) and (
            self.voided_by is None or self.voided_by > audit_sequence
        )


def period_text(period: Period) -> str:
    """What the item of a period holds. Writes are conditional on it: what is read is written in the same letters."""
    return msgspec.json.encode(period).decode()


def series_text(series: Series) -> str:
    """What the item of a series holds; as of a period, writes are conditional on it."""
    return msgspec.json.encode(series).decode()


def ledger_item(entry: LedgerEntry, scores_id: str) -> Item:
    """The ledger item of an event, among the scores of its leaderboard that it counts for."""
    event, source = entry.event, entry.source
    item: Item = {
        "pk": {"S": keys.ledger_partition(scores_id, event.user_id)},
        "sk": {"S": event.event_id},
        "points": {"N": str(event.points)},
        "occurred_at": {"N": str(event.occurred_at_ms)},
        "attributes": {"M": {name: {"S": value} for name, value in event.attributes.items()}},
    }
    if entry.voided_by is not None:
        item["voided_by"] = {"N": str(entry.voided_by)}
    if source is None:
        item["added_by"] = {"N": str(entry.added_by)}
        return item
    item["topic"] = {"S": source.topic}
    item["partition"] = {"N": str(source.partition)}
    item["offset"] = {"N": str(source.offset)}
    item["appended_at"] = {"N": str(source.appended_at_ms)}
    return item


def to_ledger_entry(item: Mapping[str, Any]) -> LedgerEntry:
    """The event of a ledger item."""
    scores_id, _, user_id = item["pk"]["S"].partition("#")
    leaderboard_id, _ = keys.parse_scores_id(scores_id)
    event = ScoreEvent(
        item["sk"]["S"],
        leaderboard_id,
        user_id,
        int(item["points"]["N"]),
        int(item["occurred_at"]["N"]),
        {name: value["S"] for name, value in item["attributes"]["M"].items()},
    )
    voided_by = int(item["voided_by"]["N"]) if "voided_by" in item else None
    if "added_by" in item:
        return LedgerEntry(event, None, int(item["added_by"]["N"]), voided_by)
    source = Source(
        item["topic"]["S"], int(item["partition"]["N"]), int(item["offset"]["N"]), int(item["appended_at"]["N"])
    )
    return LedgerEntry(event, source, None, voided_by)


def standing_key(leaderboard: Leaderboard, user_id: str, day: Day) -> tuple[str, str]:
    """Partition and sort key of a player's standing on a day."""
    return keys.standings_partition(leaderboard.scores_id, day, keys.shard_of(user_id, leaderboard.shards)), user_id


def standing_item(leaderboard: Leaderboard, user_id: str, day: Day, standing: Standing) -> Item:
    """The item of a player's standing on a day."""
    partition, sort = standing_key(leaderboard, user_id, day)
    item: Item = {
        "pk": {"S": partition},
        "sk": {"S": sort},
        "points": {"N": str(standing.points)},
        "reached_at": {"N": str(standing.reached_at_ms)},
        "events": {"N": str(standing.events)},
        "version": {"N": str(standing.version)},
    }
    if standing.last_event_id:
        item["last_event_id"] = {"S": standing.last_event_id}
    if standing.absolute_sum:
        item["absolute_sum"] = {"N": str(standing.absolute_sum)}
    if standing.labels:
        item["labels"] = {"M": {label.filter: {"M": _label(label)} for label in standing.labels}}
    if standing.moved:
        item["moved"] = {"BOOL": True}
    if standing.sums is not None:
        item["day_sums"] = {"S": msgspec.json.encode(standing.sums).decode()}
    return item


def to_standing(item: Mapping[str, Any]) -> Standing:
    """The standing of an item."""
    last_event_id, absolute_sum, labels = item.get("last_event_id"), item.get("absolute_sum"), item.get("labels")
    sums = item.get("day_sums")  # not "sums", of earlier versions, which told only of runs of days
    return Standing(
        int(item["points"]["N"]),
        int(item["reached_at"]["N"]),
        int(item["events"]["N"]),
        last_event_id["S"] if last_event_id else "",
        int(absolute_sum["N"]) if absolute_sum else 0,
        int(item["version"]["N"]),
        _to_labels(labels["M"]) if labels else (),
        _sums_decoder.decode(sums["S"]) if sums else None,
        "moved" in item,
    )


def _label(label: Label) -> Item:
    return {
        "value": {"S": label.value},
        "occurred_at": {"N": str(label.occurred_at_ms)},
        "event_id": {"S": label.event_id},
    }


def _to_labels(items: Mapping[str, Any]) -> tuple[Label, ...]:
    return tuple(
        Label(name, one["M"]["value"]["S"], int(one["M"]["occurred_at"]["N"]), one["M"]["event_id"]["S"])
        for name, one in sorted(items.items())
    )
