"""Every version of a window's result, with links to its files."""

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from shared.domain.rules import Leaderboard
from shared.domain.windows import Window
from shared.truth.finals import FinalRanking, Finals

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

URL_LIFETIME_S: Final = 900


class ResultVersion(Struct, frozen=True):
    """A version of a result, and presigned URLs of its files."""

    final: FinalRanking
    ranking_url: str
    awards_url: str
    difference_url: str | None


class ResultVersions:
    """Reads the versions of results."""

    def __init__(self, finals: Finals, s3: "S3Client", bucket: str) -> None:
        self._finals = finals
        self._s3 = s3
        self._bucket = bucket

    def find(self, leaderboard: Leaderboard, window: Window) -> list[ResultVersion]:
        """Every version, the first one first; none while the window is not final.

        Raises:
            Unavailable: if the truth is out of reach.
        """
        return [
            ResultVersion(
                final,
                self._url(final.object_key),
                self._url(final.awards_key),
                None if final.difference_key is None else self._url(final.difference_key),
            )
            for final in self._finals.versions(leaderboard.id, window.id)
        ]

    def _url(self, key: str) -> str:
        place = {"Bucket": self._bucket, "Key": key}
        return self._s3.generate_presigned_url("get_object", Params=place, ExpiresIn=URL_LIFETIME_S)
