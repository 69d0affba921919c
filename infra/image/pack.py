"""`pack.py DIRECTORY [OTHER]`: make a directory of installed packages fit for an image. Run while it is built.

What is not needed at run time goes, the rest gets bytecode and, with the directory above, the same time stamps whenever
and wherever it is built. With another directory, files that are one and the same in it go, too: what is left are the
additions to it. It imports nothing but the standard library, and calls no programs: the image that it runs in need not
have any.
"""

import compileall
import os
import py_compile
import shutil
import sys
from pathlib import Path

NEEDLESS = (
    "bin",
    ".lock",
    "*.dist-info/RECORD",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_cache.json",
    "*.dist-info/uv_build.json",
)
"""Programs, and how, when and from where a package was installed."""
SERVICES = ("dynamodb", "s3", "secretsmanager", "sns", "sqs", "ssm", "sts", "xray")
"""Services that the functions, the signer for MSK and traces use; botocore has 400 others, 27 MB of them."""

MOMENT = 315_532_800
"""When everything was changed: 1980, in seconds, the earliest that every archive can say."""


def pack(directory: Path, other: Path | None = None) -> None:
    """Make it fit.

    Raises:
        SystemExit: if a module does not compile.
    """
    for pattern in NEEDLESS:
        for path in directory.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in directory.glob("botocore/data/*/"):
        if path.name not in SERVICES:
            shutil.rmtree(path)
    if other is not None:
        _drop_shared(directory, other)
    # bytecode is never checked against its source: an image's sources don't change
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(directory, quiet=1, stripdir=str(directory), invalidation_mode=mode):
        raise SystemExit(f"{directory} does not compile")
    for path in sorted(directory.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (MOMENT, MOMENT))
    for path in (directory, directory.parent):
        os.utime(path, (MOMENT, MOMENT))


def _drop_shared(directory: Path, other: Path) -> None:
    """Hard links of the other directory's files, and the directories that are empty without them."""
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif (twin := other / path.relative_to(directory)).exists() and path.samefile(twin):
            path.unlink()


if __name__ == "__main__":
    pack(*map(Path, sys.argv[1:]))
