"""Frames of the console while somebody scrolls through a ranking, on the real gateway and cache, in a real Chromium."""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from infra.bench import reads
from infra.bench.load import percentile
from infra.bench.results import Figure
from infra.browser import NoBrowser, chromium

SMOOTH_MS: Final = 50
"""A frame that takes longer is one that people notice (RAIL, web.dev/articles/rail)."""
_SCROLL: Final = """
seconds => new Promise(done => {
  const rows = document.querySelector('.rows'), frames = [], start = performance.now();
  let last = start;
  const step = now => {
    frames.push(now - last);
    last = now;
    rows.scrollTop += 12;
    if (now - start < seconds * 1000) requestAnimationFrame(step); else done(frames.slice(1));
  };
  requestAnimationFrame(step);
})
"""
"""Scrolls as a wheel does that is turned all the time; returns how long each frame took, ms."""
_JUMP: Final = """
share => new Promise((done, fail) => {
  const rows = document.querySelector('.rows'), start = performance.now();
  rows.scrollTop = share * (rows.scrollHeight - rows.clientHeight);
  let turned = false;
  const look = () => {
    const first = rows.querySelector('tbody tr .who');
    const waiting = rows.querySelectorAll('tbody tr').length > rows.querySelectorAll('tbody tr .who').length;
    turned ||= first === null || waiting;
    if (turned && first !== null && !waiting) done(performance.now() - start);
    else if (performance.now() - start > 30000) fail(new Error('no rows'));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
"""
"""Goes to a place as who drags the bar does; returns when all rows in sight are there, ms."""


class Size(Struct, frozen=True):
    """How much is scrolled through."""

    players: int = 1_000_000
    seconds: float = 20
    jumps: int = 20


TINY: Final = Size(players=3_000, seconds=1, jumps=2)


def run(size: Size, progress: Callable[[str], None]) -> list[Figure]:
    """Fill a board, scroll through it, and jump about in it; nothing is measured where there is no Chromium."""
    try:
        with reads.stack() as (config, redis), chromium() as browser:  # whose loop keeps asyncio from running another
            progress(f"filling {size.players:,} players")
            reads.fill(redis, reads.Size(players=size.players))
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            page.goto(f"http://127.0.0.1:{config.ports.api}/console/#/leaderboards/{reads.BOARD.id}?window=all-time")
            page.locator(".rows .who").first.wait_for(timeout=60_000)
            progress("scrolling")
            frames: list[float] = page.evaluate(_SCROLL, size.seconds)
            progress("jumping")
            shares = [(at + 0.5) / size.jumps * (1 if at % 2 else 0.5) for at in range(size.jumps)]
            jumps: list[float] = [page.evaluate(_JUMP, share) for share in shares]
    except NoBrowser as none:
        progress(str(none))
        return []
    return _figures(frames, jumps, size)


def _figures(frames: Sequence[float], jumps: Sequence[float], size: Size) -> list[Figure]:
    beside = f"{size.players:,} players, {len(frames)} frames"
    slow = sum(one > SMOOTH_MS for one in frames) / len(frames)
    return [
        Figure(key="console_frame_p50_ms", what="a frame of the console while scrolling: p50",
               value=percentile(frames, 0.5), unit="ms", beside=beside),
        Figure(key="console_frame_p99_ms", what="a frame of the console while scrolling: p99",
               value=percentile(frames, 0.99), unit="ms", beside=f"slowest {max(frames):.0f} ms"),
        Figure(key="console_frames_slow", what=f"share of frames over {SMOOTH_MS} ms", value=slow, beside=beside),
        Figure(key="console_jump_p50_ms", what="a jump in the ranking until its rows are there: p50",
               value=percentile(jumps, 0.5), unit="ms", beside=f"slowest of {len(jumps)}: {max(jumps):.0f} ms"),
    ]  # fmt: skip
