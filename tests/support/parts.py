"""Files of several parts that are small, where S3 takes them: boto3 makes parts of at least 5 MiB."""

from typing import Any

from s3transfer.utils import ChunksizeAdjuster

from shared.files import upload


def make_parts_small(patch: Any, part_bytes: int) -> None:
    """Upload in parts of `part_bytes`. `patch` is a `MonkeyPatch`."""
    patch.setattr(upload, "PART_BYTES", part_bytes)
    patch.setattr(ChunksizeAdjuster, "adjust_chunksize", lambda _adjuster, size, _file_bytes=None: size)
