"""Searches in windows: a slice of entries, some players, or one player in many windows.

Each is one round trip, at any depth.
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from shared.cache import keys, labels
from shared.cache.pages import HEAD_BYTES, Page, qualifying, to_lines, to_page, with_profiles
from shared.cache.windows import PROFILES, WindowCache
from shared.domain.calendar import Window
from shared.domain.rules import Leaderboard, Order
from shared.domain.selections import RankingKey, Selection
from shared.domain.standings import Score
from shared.domain.tiers import Tier, TierRule

_BY_RANK: Final = (TierRule.TOP_N, TierRule.TOP_PERCENT)


class Slice(Struct, frozen=True):
    """A page of a slice of the ranking, as of one instant."""

    page: Page
    first: int
    """Index of the slice's first entry, from 0; of an empty slice, where it would be."""
    stop: int
    """Index past its last entry."""
    players_ahead: int
    """How many players have a better score than the page's first line."""
    found: Sequence["Found"] = ()
    """With a label: the players of the page, instead of its lines. `first` and `stop` count only who carries it."""


class Found(Struct, frozen=True):
    """A player who is in the window."""

    index: int
    """From 0."""
    players_ahead: int
    """How many players have a better score."""
    user_id: str
    score: Score


class Players(Struct, frozen=True):
    """Some players of a window, all of it seen at one instant."""

    page: Page
    """Without lines."""
    found: Sequence[Found]


class WindowSearches:
    """Searches in the windows of `WindowCache`.

    Methods raise CacheUnavailable if Redis fails.
    """

    def __init__(self, cache: WindowCache) -> None:
        self._cache = cache
        self._select, self._players, self._player_windows = (
            cache.register(name) for name in ("select.lua", "players.lua", "player_windows.lua")
        )

    def select(self, leaderboard: Leaderboard, window: Window, selection: Selection, now_ms: int) -> Slice:
        """A page of the entries that a selection takes; its tier is one of the leaderboard's."""
        args = (selection.limit, selection.offset, *_key(leaderboard, selection), *_bounds(leaderboard, selection))
        tiers = [part for tier in _up_to(leaderboard, selection.tier) for part in _rule(leaderboard, tier)]
        read: tuple[str, ...] = self._cache.read_keys(leaderboard, window)
        label: list[bytes] = []
        if selection.label is not None:
            read = (*read, keys.labels(leaderboard.scores_id, window.id))
            label = [labels.prefix(leaderboard.filters, *selection.label)]
        asked: tuple[Any, ...] = (*args, qualifying(leaderboard), *tiers, *label)
        if selection.profiles:
            read, asked = (*read, keys.profiles(leaderboard.scores_id)), (*asked, PROFILES)
        answer = self._cache.read(self._select, read, asked)
        page = to_page(leaderboard, window, now_ms, answer, answer[5], qualified=answer[9])
        found = _to_found(leaderboard, answer[10]) if label else ()
        if selection.profiles:
            page = with_profiles(page, (line[0] for line in page.lines) if not label else _ids(found), answer[-1])
        return Slice(page, answer[6], answer[7], answer[8], found)

    def players(
        self,
        leaderboard: Leaderboard,
        window: Window,
        user_ids: Sequence[str],
        now_ms: int,
        *,
        profiles: bool = False,
    ) -> Players:
        """The entries of some players, best first, without those who have no points; with their `profiles`."""
        read, place = self._cache.player_keys(leaderboard, window)
        asked: tuple[Any, ...] = (*place, qualifying(leaderboard), *user_ids)
        if not profiles:
            return _to_players(leaderboard, window, self._cache.read(self._players, read, asked), now_ms)
        answer = self._cache.read(self._players, (*read, keys.profiles(leaderboard.scores_id)), (*asked, PROFILES))
        found = _to_players(leaderboard, window, answer, now_ms)
        in_order = (member[HEAD_BYTES:].decode() for member in answer[4][2::4])
        return Players(with_profiles(found.page, in_order, answer[-1]), found.found)

    def player_windows(
        self, leaderboard: Leaderboard, windows: Sequence[Window], user_id: str, now_ms: int
    ) -> list[Players]:
        """A player's entry in each of the windows; none where the player has no points."""
        scores_id = leaderboard.scores_id
        read, places = [keys.complete(scores_id), keys.keeps_former_out(scores_id)], list[int | str]()
        for window in windows:
            (_, _, *names), place = self._cache.player_keys(leaderboard, window)
            read += names
            places += place
        answers = self._cache.read(self._player_windows, read, (user_id, qualifying(leaderboard), *places))
        return [_to_players(leaderboard, *pair, now_ms) for pair in zip(windows, answers, strict=True)]


def _to_players(leaderboard: Leaderboard, window: Window, answer: Sequence[Any], now_ms: int) -> Players:
    page = to_page(leaderboard, window, now_ms, (*answer[:4], ()), 0, qualified=answer[5])
    return Players(page, sorted(_to_found(leaderboard, answer[4]), key=lambda one: one.index))


def _to_found(leaderboard: Leaderboard, flat: Sequence[Any]) -> list[Found]:
    lines = to_lines(leaderboard, flat[2::4], flat[3::4])
    return [
        Found(index, ahead, user_id, score)
        for index, ahead, (user_id, score) in zip(flat[::4], flat[1::4], lines, strict=True)
    ]


def _ids(found: Sequence[Found]) -> Sequence[str]:
    return [one.user_id for one in found]


def _set_score(leaderboard: Leaderboard, points: int) -> int:
    """The score that the sorted set has for points."""
    return -points if leaderboard.order is Order.DESC else points


def _key(leaderboard: Leaderboard, selection: Selection) -> tuple[str, int, bytes]:
    key = selection.key
    if key is None:
        return "", 0, b""
    return "prev" if selection.backward else "next", _set_score(leaderboard, key.score.points), _member(key)


def _member(key: RankingKey) -> bytes:
    return key.score.reached_at_ms.to_bytes(HEAD_BYTES, "big") + key.user_id.encode()


def _bounds(leaderboard: Leaderboard, selection: Selection) -> tuple[int | str, int | str]:
    """The lowest and the highest score of the slice, as the sorted set has them."""
    low, high = selection.min_score, selection.max_score
    if leaderboard.order is Order.DESC:
        low, high = high, low
    return (
        "-inf" if low is None else _set_score(leaderboard, low),
        "+inf" if high is None else _set_score(leaderboard, high),
    )


def _up_to(leaderboard: Leaderboard, name: str | None) -> Sequence[Tier]:
    """The tiers up to and with the named one."""
    if name is None:
        return ()
    names = [tier.name for tier in leaderboard.tiers]
    return leaderboard.tiers[: names.index(name) + 1]


def _rule(leaderboard: Leaderboard, tier: Tier) -> tuple[str, int, str]:
    """A tier's rule for the script. The rules on scores bound the ranking from its top, as those on ranks do."""
    if tier.rule in _BY_RANK:
        return tier.rule, tier.value, tier.ties
    return "score", _set_score(leaderboard, tier.value), tier.ties
