"""Notifications of results, to an SNS topic: what a rewards pipeline waits for."""

from typing import TYPE_CHECKING, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

TYPE: Final = "WindowFinal"


class NotificationUnavailable(Exception):
    """SNS did not take a notice."""


class WindowFinal(Struct, frozen=True, rename="camel", kw_only=True):
    """A window has its result. May come more than once; leaderboard, window and version tell."""

    leaderboard_id: str
    window_id: str
    version: int
    players: int
    award_count: int
    sha256: str
    """Of the ranking as CSV."""
    awards_sha256: str
    type: str = TYPE


class Notifications:
    """One SNS topic."""

    def __init__(self, client: "SNSClient", topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def send(self, notice: WindowFinal) -> None:
        """Send a notice; subscribers may filter by the attributes `type` and `leaderboardId`.

        Raises:
            NotificationUnavailable: if it was not taken; it may have been.
        """
        attributes = {"type": notice.type, "leaderboardId": notice.leaderboard_id}
        try:
            self._client.publish(
                TopicArn=self._topic_arn,
                Message=msgspec.json.encode(notice).decode(),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise NotificationUnavailable(str(error)) from error
