"""Streaming to S3: a file is there whole or not at all."""

import hashlib
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from shared.files.manifest import manifest_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES: Final = 8 * 1024 * 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: 5 MiB to 5 GiB, at most 10,000 parts, so a file
takes up to 78 GiB."""


class Upload:
    """One object, written in parts while its SHA-256 is taken; one request if it fits into a part.

    Used as a context manager: whatever ends it early leaves neither an object nor an upload behind.
    """

    def __init__(self, s3: "S3Client", bucket: str, key: str, content_type: str) -> None:
        self._s3 = s3
        self._place: Any = {"Bucket": bucket, "Key": key}
        self._content_type = content_type
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Hex digest of all that was written."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Add data; at most one part of it waits in memory."""
        self._hash.update(data)
        self.bytes += len(data)
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            self._send_part(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]

    def finish(self) -> None:
        """Make the object visible."""
        if self._upload_id is None:
            self._s3.put_object(**self._place, Body=bytes(self._buffer), ContentType=self._content_type)
            return
        if self._buffer:
            self._send_part(bytes(self._buffer))
        parts: Any = {"Parts": self._parts}
        self._s3.complete_multipart_upload(**self._place, UploadId=self._upload_id, MultipartUpload=parts)
        self._upload_id = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._upload_id is not None:
            self._s3.abort_multipart_upload(**self._place, UploadId=self._upload_id)

    def _send_part(self, data: bytes) -> None:
        if self._upload_id is None:
            upload = self._s3.create_multipart_upload(
                **self._place, ContentType=self._content_type, ChecksumAlgorithm="SHA256"
            )
            self._upload_id = upload["UploadId"]
        number = len(self._parts) + 1
        part = self._s3.upload_part(
            **self._place, UploadId=self._upload_id, PartNumber=number, Body=data, ChecksumAlgorithm="SHA256"
        )
        sent = {"PartNumber": number, "ETag": part["ETag"]}
        if "ChecksumSHA256" in part:
            sent["ChecksumSHA256"] = part["ChecksumSHA256"]
        self._parts.append(sent)


def abort_left_over(s3: "S3Client", bucket: str, key: str) -> None:
    """End the uploads of an object that a killed process has left behind."""
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
        for upload in page.get("Uploads", []):
            if upload["Key"] == key:
                s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])


def remove(s3: "S3Client", bucket: str, key: str) -> None:
    """Take away what a killed process may have left of a file: uploads of it, itself, its manifest. Harmless twice."""
    abort_left_over(s3, bucket, key)
    for name in (key, manifest_key(key)):
        s3.delete_object(Bucket=bucket, Key=name)
