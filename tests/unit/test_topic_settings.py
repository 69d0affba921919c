"""Which settings of the topic are wrong."""

import pytest

from shared.messaging.topic import RETENTION_MS_MIN, wrong_settings

RIGHT = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete", "retention.ms": "604800000"}


@pytest.mark.parametrize(
    ("name", "setting", "is_wrong"),
    [
        ("message.timestamp.type", "CreateTime", True),
        ("cleanup.policy", "compact", True),
        ("cleanup.policy", "compact,delete", True),
        ("retention.ms", "-1", False),
        ("retention.ms", str(RETENTION_MS_MIN), False),
        ("retention.ms", str(RETENTION_MS_MIN - 1), True),
    ],
)
def test_a_setting_under_which_events_may_be_lost_is_named(name: str, setting: str, is_wrong: bool) -> None:
    wrong = wrong_settings(RIGHT | {name: setting})

    assert [one.split(" must be ")[0] for one in wrong] == [name] * is_wrong
    assert all(setting in one for one in wrong)


def test_settings_that_are_right_or_not_told_are_not_wrong() -> None:
    assert wrong_settings(RIGHT) == []
    assert wrong_settings({}) == []
