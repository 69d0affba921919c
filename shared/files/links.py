"""Presigned URLs of files."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

URL_LIFETIME_S: Final = 900


class Downloads:
    """Presigns URLs of one bucket's objects, without a request to S3."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def ping(self) -> None:
        """Raises BotoCoreError or ClientError unless the bucket answers."""
        self._s3.head_bucket(Bucket=self._bucket)

    def url(self, leaderboard_id: str, object_key: str) -> str:
        """A URL of a leaderboard's object, valid for URL_LIFETIME_S; browsers save it under its own name."""
        target = {"Bucket": self._bucket, "Key": object_key}
        name = object_key.rpartition("/")[2]
        disposition = {"ResponseContentDisposition": f'attachment; filename="{leaderboard_id}-{name}"'}
        return self._s3.generate_presigned_url("get_object", Params=target | disposition, ExpiresIn=URL_LIFETIME_S)
