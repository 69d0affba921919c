"""Closing of days that a time zone makes longer, or skips, on real DynamoDB, Redis and S3."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from shared.closing.schedule import CLOCK_SKEW_MS
from shared.domain.calendar import Calendar, Day, daily, parse_day, weekly, write_runs
from shared.domain.events import ScoreEvent
from shared.domain.rejections import Reason
from shared.files.manifest import manifest_key
from shared.lookups.zones import calendar_of, version
from tests.support.closing import BUCKET, HOUR_MS, RANKING, Scene

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SUNDAY = parse_day("2099-10-25")
"""Of 25 hours in Berlin."""
LATE_MS = HOUR_MS + 2 * CLOCK_SKEW_MS + 1
"""How long after its end a day may be sealed."""


@pytest.fixture
def scene_of(
    dynamodb: "DynamoDBClient", redis: Redis, s3: Any, leaderboard_id: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Calendar], Scene]:
    """Makes a leaderboard of a calendar with events on Sunday."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return lambda calendar: Scene(dynamodb, redis, s3, leaderboard_id, first_day=SUNDAY, calendar=calendar)


def test_a_day_of_25_hours_is_closed_after_its_last_one(scene_of: Callable[[Calendar], Scene]) -> None:
    calendar = calendar_of("Europe/Berlin", 0)
    scene, end_ms = scene_of(calendar), calendar.day_end_ms(SUNDAY)
    assert end_ms - calendar.day_start_ms(SUNDAY) == 25 * HOUR_MS
    scene.replay(ScoreEvent("last", scene.id, "ann", 3, end_ms - 1))
    scene.replay(ScoreEvent("next", scene.id, "bob", 9, end_ms))

    scene.now_ms = end_ms + LATE_MS - 1
    scene.run()
    assert scene.stored(daily(SUNDAY)) is None
    scene.now_ms += 1
    scene.run()

    assert scene.leaderboard.sealed_through == SUNDAY
    for window in (daily(SUNDAY), weekly(SUNDAY)):
        assert scene.stored(window) == [("1", "ann", "8"), ("2", "bob", "7"), ("3", "cat", "7")], window.id
    final = scene.final_results.final(scene.id, daily(SUNDAY).id)
    assert final is not None
    told = json.loads(scene.s3.get_object(Bucket=BUCKET, Key=manifest_key(final.object_key))["Body"].read())["window"]
    instants = (told["startsAt"], told["endsAt"], told["timeZone"], told["tzdata"])
    assert instants == ("2099-10-24T22:00:00.000Z", "2099-10-25T23:00:00.000Z", "Europe/Berlin", version())
    late = scene.replay(ScoreEvent("late", scene.id, "cat", 5, end_ms - 1), appended_at_ms=end_ms + HOUR_MS)
    assert late.refusal is not None
    assert late.refusal.reason is Reason.TOO_LATE

    scene.now_ms = calendar.day_end_ms(Day(SUNDAY + 1)) + LATE_MS
    scene.run()
    assert scene.stored(daily(Day(SUNDAY + 1))) == [("1", "bob", "9")]


def test_a_date_that_the_zone_skips_is_closed_empty_with_the_day_before(scene_of: Callable[[Calendar], Scene]) -> None:
    skipped = Day(SUNDAY + 1)
    runs = write_runs([(-8, 10 * 3_600), (SUNDAY + 2, -14 * 3_600)])  # as Samoa's clocks once went over the date line
    calendar = Calendar(zone="Pacific/Apia", tzdata="2099.1", runs=runs)
    assert calendar.day_start_ms(skipped) == calendar.day_end_ms(skipped)
    scene = scene_of(calendar)

    scene.now_ms = calendar.day_end_ms(skipped) + LATE_MS
    scene.run()

    assert scene.leaderboard.sealed_through == skipped
    assert (scene.stored(daily(SUNDAY)), scene.stored(daily(skipped))) == (RANKING, [])
    scene.now_ms += 24 * HOUR_MS
    scene.play("cat", 4, Day(SUNDAY + 2))
    scene.run()
    assert scene.stored(daily(Day(SUNDAY + 2))) == [("1", "cat", "4")]
