"""Keys of every DynamoDB item. Leaderboard ids hold no `#` and no `.`, so a key can be read only one way."""

from functools import lru_cache
from zlib import crc32

from shared.domain.calendar import Day, format_day

LEADERBOARDS = "leaderboards"
"""Partition of all definitions in the registry, e.g. `leaderboards` / `autumn-cup`."""
TELEMETRY = "telemetry"
"""Partition of what is left for a scrape of metrics, e.g. `telemetry` / `repaired`."""
TOPICS = "topics"
"""Partition of how far each topic was seen, e.g. `topics` / `score-events`."""
TELEMETRY_REPAIRED = "repaired"
"""Sort key of the counter of repaired entries."""
TELEMETRY_ARCHIVED_OWING = "archived-owing"
"""Sort key of how many archived leaderboards owe something."""
TELEMETRY_COUNTS = "counts"
"""Sort key of what functions count, an attribute for each counter."""
TELEMETRY_RUN = "run#"
"""What the sort key of the last run of a schedule begins with, e.g. `run#close`."""
WORK = "work"
"""Partition of what functions/close has to do for any leaderboard, e.g. `work` / `autumn-cup#due#2026-W48`: one query
shows it for all of them, and those that are idle cost nothing."""
SERIES = "series"
"""Partition of the series of all leaderboards, e.g. `series` / `autumn-cup#fortnight`: one query shows a run of closing
whose occurrences are to be registered."""
CLOSING = "closing"
"""Partition of what the last run of functions/close found blocked, e.g. `closing` / `run`."""
CLOSING_RUN = "run"
"""Sort key of what concerns every leaderboard."""
ROUNDS = "rounds"
"""Partition of how far runs over all leaderboards have come, e.g. `rounds` / `snapshots`."""
UNREGISTERED_LETTERS = "unregistered-letters"
"""Partition of how many dead letters of a day are only in the queue, e.g. `unregistered-letters` / `2026-11-23`."""
PARTITIONS_KEPT_MAX = 4_096
"""Keys of partitions that are remembered, some 130 bytes each: those of a day are few."""
AUDIT_NUMBER_MAX = 99_999_999
"""What the digits of a key hold."""


def ledger_partition(scores_id: str, user_id: str) -> str:
    """A player's ledger, e.g. `autumn-cup#u-42`; the sort key is the event id."""
    return f"{scores_id}#{user_id}"


def parse_scores_id(scores_id: str) -> tuple[str, int]:
    """Leaderboard id and start of the scores that are kept under an id, see `Leaderboard.scores_id`."""
    leaderboard_id, _, since_ms = scores_id.partition(".")
    return leaderboard_id, int(since_ms or 0)


@lru_cache(4_096)
@lru_cache(PARTITIONS_KEPT_MAX)
def standings_partition(scores_id: str, day: Day, shard: int) -> str:
    """One write shard of a day, e.g. `autumn-cup#2026-11-23#7` or `autumn-cup#all-time#0`; sorted by user id."""
    return f"{scores_id}#{format_day(day)}#{shard}"


def days_partition(scores_id: str) -> str:
    """Which days of a leaderboard may have standings, e.g. `autumn-cup#days`; sorted by day, e.g. `2026-11-23`.

    It is in the table of the standings, so that a table that is restored agrees with itself.
    """
    return f"{scores_id}#days"


def shard_of(user_id: str, shards: int) -> int:
    """The write shard of a player: CRC-32 of the user id, the same in every process and release."""
    return crc32(user_id.encode()) % shards


def leaderboard_partition(leaderboard_id: str) -> str:
    """What the registry keeps of one leaderboard beside its definition, e.g. `leaderboard#autumn-cup`."""
    return f"leaderboard#{leaderboard_id}"


def rules_sort(version: int) -> str:
    """One version of a leaderboard's rules, e.g. `rules#00000003`."""
    return f"rules#{version:08d}"


def period_sort(period_id: str) -> str:
    """A registered period, e.g. `period#launch-fortnight`."""
    return f"period#{period_id}"


def series_sort(leaderboard_id: str, series_id: str = "") -> str:
    """A series of periods, e.g. `autumn-cup#fortnight`; with "" what those of a leaderboard begin with."""
    return f"{leaderboard_id}#{series_id}"


def export_sort(export_id: str) -> str:
    """An export job, e.g. `export#2026-11-23-csv-4f53cda18c2baa0c-1795431341662`."""
    return f"export#{export_id}"


def export_request_sort(window_id: str, digest: str) -> str:
    """The latest job of a request, e.g. `export-request#2026-11-23#csv-4f53cda18c2baa0c`."""
    return f"export-request#{window_id}#{digest}"


def audit_entry_sort(number: int) -> str:
    """An audit entry, e.g. `audit#00000001`; in their order."""
    return f"audit#{number:08d}"


def work_sort(leaderboard_id: str, rest: str = "") -> str:
    """What the sort keys of all work for one leaderboard begin with, e.g. `autumn-cup#`; of one piece with its rest."""
    return f"{leaderboard_id}#{rest}"


def closing_board_sort(leaderboard_id: str) -> str:
    """What the last run of closing found blocked of a leaderboard, e.g. `board#autumn-cup`."""
    return f"board#{leaderboard_id}"


def open_audit_entry_sort(leaderboard_id: str, number: int) -> str:
    """An audit entry that is still to be applied, e.g. `autumn-cup#open-audit#00000001`."""
    return work_sort(leaderboard_id, f"open-audit#{number:08d}")


def due_sort(leaderboard_id: str, window_id: str) -> str:
    """A window whose days are closed and whose ranking is still to be written, e.g. `autumn-cup#due#2026-W48`."""
    return work_sort(leaderboard_id, f"due#{window_id}")


def notification_sort(leaderboard_id: str, window_id: str, version: int) -> str:
    """A version of a result that is still to be published, e.g. `autumn-cup#notification#2026-W48#00000002`."""
    return work_sort(leaderboard_id, f"notification#{window_id}#{version:08d}")


def notifications_sort(leaderboard_id: str, window_id: str) -> str:
    """What the sort keys of all versions of a window that are still to be published begin with."""
    return work_sort(leaderboard_id, f"notification#{window_id}#")


def announced_sort(window_id: str, version: int | None) -> str:
    """When a version of a result was published, e.g. `announced#2026-W48#00000002`; for None their beginning."""
    return f"announced#{window_id}#" if version is None else f"announced#{window_id}#{version:08d}"


def final_sort(window_id: str) -> str:
    """The result of a window, written once, e.g. `final#2026-W48`."""
    return f"final#{window_id}"


def version_sort(window_id: str, version: int | None) -> str:
    """A later version of a result, written once, e.g. `result-version#2026-W48#00000002`; for None their beginning."""
    return f"result-version#{window_id}#" if version is None else f"result-version#{window_id}#{version:08d}"


def snapshot_sort(window_id: str) -> str:
    """The latest snapshot of a window, e.g. `snapshot#2026-W48`."""
    return f"snapshot#{window_id}"


def pseudonym_sort(pseudonym: str) -> str:
    """That a leaderboard has a pseudonym, e.g. `pseudonym#p-9f86d0…`; with "" what all of them begin with."""
    return f"pseudonym#{pseudonym}"


def move_sort(leaderboard_id: str, pseudonym: str) -> str:
    """A player who is on the way to a pseudonym, e.g. `autumn-cup#move#p-9f86d0…`."""
    return work_sort(leaderboard_id, f"move#{pseudonym}")


def issued_sort(window_id: str, pseudonym: str) -> str:
    """Ids of awards that a player may have got before they had a pseudonym, e.g. `issued#2026-W48#p-9f86d0…`."""
    return f"issued#{window_id}#{pseudonym}"


def receipt_partition(digest: str) -> str:
    """The receipt of a redriven record, by the SHA-256 of its value in hexadecimal, e.g. `receipt#9f86d0…`."""
    return f"receipt#{digest}"


def profile_partition(scores_id: str, user_id: str) -> str:
    """The profile of a player, e.g. `profile#autumn-cup#u-42`: one partition each, since any may change often."""
    return f"profile#{scores_id}#{user_id}"


PROFILE = "profile"
"""Sort key of a profile, the only one of its partition."""
RECEIPT = "receipt"
"""Sort key of a receipt, the only one of its partition."""
CONFIRMED_SNAPSHOTS = "confirmed-snapshots"
"""Sort key of which snapshots of a leaderboard were still true, and when."""


def progress_partition(topic: str) -> str:
    """How far each partition of a topic is committed, e.g. `progress#score-events`, sorted by partition."""
    return f"progress#{topic}"


def progress_sort(partition: int) -> str:
    """A partition of the topic, e.g. `00000005`."""
    return f"{partition:08d}"


def gaps_partition(topic: str) -> str:
    """Offsets that ingest was never handed, though it was handed what follows, e.g. `gaps#score-events`."""
    return f"gaps#{topic}"


def gap_sort(partition: int, first: int) -> str:
    """A gap of a partition, from an offset on, e.g. `00000005#00000000000000001200`."""
    return f"{partition:08d}#{first:020d}"


def losses_partition(topic: str) -> str:
    """What the partitions of a topic lost before it was committed, e.g. `losses#score-events`; sort keys as of gaps."""
    return f"losses#{topic}"


def telemetry_lag_sort(topic: str) -> str:
    """How far the commits of a topic are behind, e.g. `lag#score-events`."""
    return f"lag#{topic}"


def telemetry_settings_sort(topic: str) -> str:
    """What is wrong with the settings of a topic, e.g. `settings#score-events`."""
    return f"settings#{topic}"


def letters_partition(reason: str) -> str:
    """The register of dead letters with one reason, e.g. `letters#too_late`; see `letter_sort`."""
    return f"letters#{reason}"


def refusals_partition(leaderboard_id: str, user_id: str) -> str:
    """Why events of a player were rejected, e.g. `refusals#autumn-cup#u-42`; the sort key is the event id."""
    return f"refusals#{leaderboard_id}#{user_id}"


def letter_sort(appended_at_ms: int, topic: str, partition: int, offset: int) -> str:
    """A dead letter by the time and the place of its record's append, which no redelivery changes."""
    return f"{max(0, appended_at_ms):020d}#{topic}#{partition:08d}#{offset:020d}"
