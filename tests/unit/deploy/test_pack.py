"""What the image is made of is the same whenever it is built."""

import hashlib
import os
from pathlib import Path

from infra.image.pack import MOMENT, pack


def install(root: Path, installed_at_s: int) -> Path:
    """A package as an installer leaves it."""
    directory = root / "var" / "task"
    metadata = directory / "thing-1.dist-info"
    metadata.mkdir(parents=True)
    (directory / "bin").mkdir()
    (directory / "bin" / "thing").write_text(f"#!{root}/python")
    (directory / "thing.py").write_text("ANSWER = 42\n")
    (metadata / "METADATA").write_text("Name: thing\nVersion: 1\n")
    (metadata / "uv_cache.json").write_text(f'{{"timestamp": {installed_at_s}}}')
    (metadata / "RECORD").write_text(f"thing-1.dist-info/uv_cache.json,sha256={installed_at_s},1\n")
    for path in directory.rglob("*"):
        os.utime(path, (installed_at_s, installed_at_s))
    return directory


def content(root: Path) -> dict[str, tuple[int, float, str]]:
    """Mode, time and digest of everything below."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_mtime, digest)
    return found


def test_two_builds_at_different_times_and_places_are_the_same(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for number, root in enumerate(roots):
        pack(install(root, 1_800_000_000 + number))

    first, second = map(content, roots)

    assert first == second
    assert {time for _, time, _ in first.values()} == {MOMENT}
    assert any(name.endswith(".pyc") for name in first)
    assert not any(name.endswith(("RECORD", "bin", "uv_cache.json")) for name in first)
