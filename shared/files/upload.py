"""Streaming to S3: a file is there whole or not at all.

boto3's transfer manager sends the parts. It works in the caller's thread here, so one part at a time is in memory. An
error of S3 or of the iterable that yields the content aborts the upload. A killed process leaves its upload behind:
`abort_left_over` ends it, or the bucket's lifecycle rule after a day.

After an error of S3, s3transfer reads the content to its end before it aborts; that costs time, not memory.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from boto3.s3.transfer import TransferConfig
from msgspec import Struct

from shared.files.manifest import manifest_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES: Final = 8 * 1024 * 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: 5 MiB to 5 GiB, at most 10,000 parts, so a file
takes up to 78 GiB. A file that is smaller than a part takes one request."""


class Stored(Struct, frozen=True):
    """A file in S3."""

    bytes: int
    sha256: str
    """In hex."""


class HashingReader:
    """Reads an iterable of bytes as a file, and hashes what is read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._bytes = 0

    @property
    def stored(self) -> Stored:
        """Size and hash of all chunks that were read."""
        return Stored(self._bytes, self._hash.hexdigest())

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; all that are left if it is negative."""
        while (size < 0 or len(self._buffer) < size) and (chunk := next(self._chunks, None)) is not None:
            self._hash.update(chunk)
            self._bytes += len(chunk)
            self._buffer += chunk
        data = bytes(self._buffer if size < 0 else self._buffer[:size])
        del self._buffer[: len(data)]
        return data


def store(s3: "S3Client", bucket: str, key: str, content_type: str, chunks: Iterable[bytes]) -> Stored:
    """Upload an object, and return its size and hash. Raises what S3 or `chunks` raises; then there is no object."""
    content: Any = HashingReader(chunks)
    config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False)
    of: Any = {"ContentType": content_type, "ChecksumAlgorithm": "SHA256"}
    s3.upload_fileobj(content, bucket, key, ExtraArgs=of, Config=config)
    stored: Stored = content.stored
    return stored


def abort_left_over(s3: "S3Client", bucket: str, key: str) -> None:
    """Abort the uploads of an object that a killed process has left behind."""
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
        for upload in page.get("Uploads", []):
            if upload["Key"] == key:
                s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])


def remove(s3: "S3Client", bucket: str, key: str) -> None:
    """Remove what a killed process may have left of a file: uploads, the object, its manifest. Harmless twice."""
    abort_left_over(s3, bucket, key)
    for name in (key, manifest_key(key)):
        s3.delete_object(Bucket=bucket, Key=name)
