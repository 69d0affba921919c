"""Conditional reads and caching: what a client that has read before need not read again, and waiting for a change."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from functions.api.query import pairs_of
from functions.api.views import answer
from shared.cache.errors import CacheUnavailable
from shared.cache.waits import RETRY_S, Waits
from shared.cache.windows import WindowCache
from shared.domain.calendar import WindowStatus
from shared.domain.rules import Leaderboard
from shared.reads.answers import Ranking, RankingSource

WAIT_MAX_S: Final = 20
"""Longest wait for a change. API Gateway gives up after 30 s, the function after 29
(https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html)."""
WAIT_RESERVE_MS: Final = 3_000
"""What stays of an invocation's time for the read after the wait."""
POLL_MS: Final = 100
"""How often a waiting request checks, with one HGET; a change shows a tenth of a second later at the most."""
MAX_AGE_S: Final[Mapping[WindowStatus, int]] = {WindowStatus.OPEN: 1, WindowStatus.CLOSING: 5}
"""How long an answer may be shown without asking again."""
FINAL_MAX_AGE_S: Final = 300
"""Of a window that is final. No event changes it any more, but a disqualification does, which writes a second version
of its result: not `immutable`, nor for a year. After these minutes a cache asks again, and is answered 304."""

PERIOD_MAX_AGE_S: Final = 60
"""Of a final window that was asked for by the id of a period."""
VARY: Final = "authorization, prefer"
"""What else than the URL decides an answer: whether the caller may ask, and whether they wait (RFC 7240, section 2)."""
SNAPSHOT_RETRY_S: Final = 2
"""When to ask again while a snapshot answers: a function checks for a newer one no sooner."""

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)


class ConditionalAnswer(Struct, frozen=True):
    """What was read: the ranking that it says as of when and at which revision, and what makes the view of it.

    The view is made once it is known that the client does not have it.
    """

    ranking: Ranking
    view: Callable[[], Struct]
    state: tuple[int, ...] = ()
    """What else decides the answer, where the revision does not cover it."""


class ConditionalReads:
    """Answers reads of one window, and says who may keep the answers for how long."""

    def __init__(
        self,
        cache: Callable[[], WindowCache],
        waits: Callable[[], Waits],
        is_public: bool,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        monotonic_s: Callable[[], float] = time.monotonic,
        *,
        read_from: Callable[[RankingSource], object] = lambda _: None,
    ) -> None:
        """`is_public`: whether anybody may ask; else no cache that is shared may keep what is answered to a token.
        `read_from` is told of each answer where it was read from."""
        self._cache = cache
        self._waits = waits
        self._is_public = is_public
        self._read_from = read_from
        self._sleep = sleep
        self._monotonic_s = monotonic_s

    async def respond(
        self, request: Request, leaderboard: Leaderboard, read: Callable[[], ConditionalAnswer]
    ) -> Response:
        """The view, or 304 if the client has it: at once, or once the time is over that they are willing to wait."""
        fresh = read()
        tag = _tag(request, leaderboard, fresh)
        headers: dict[str, str] = {}
        has = _has(request, tag)
        wait_ms = willing_ms(request)
        may_keep = "public" if self._is_public and wait_ms is None else "private"
        if has:
            if wait_ms is not None and fresh.ranking.source is RankingSource.SNAPSHOT:
                headers["retry-after"] = str(SNAPSHOT_RETRY_S)
            elif wait_ms is not None and _can_change(fresh.ranking):
                with self._waits().granted(affordable_ms(request, wait_ms)) as granted:
                    headers |= applied(wait_ms) if granted else {"retry-after": str(RETRY_S)}
                    if granted:
                        fresh = await self._changed(request, leaderboard, read, fresh, affordable_ms(request, wait_ms))
                tag = _tag(request, leaderboard, fresh)
                has = _has(request, tag)
        self._read_from(fresh.ranking.source)
        headers |= {"etag": tag, "cache-control": f"{may_keep}, {_kept(request, fresh.ranking)}", "vary": VARY}
        return Response(status_code=304, headers=headers) if has else answer(fresh.view(), 200, headers)

    async def _changed(
        self,
        request: Request,
        leaderboard: Leaderboard,
        read: Callable[[], ConditionalAnswer],
        fresh: ConditionalAnswer,
        wait_ms: int,
    ) -> ConditionalAnswer:
        """What is read once it is something else, or when the time is over."""
        end_s = self._monotonic_s() + wait_ms / 1000
        while self._monotonic_s() + POLL_MS / 1000 <= end_s:
            await self._sleep(POLL_MS / 1000)
            if self._revision(leaderboard, fresh.ranking) == fresh.ranking.revision:
                continue
            fresh = read()
            if not _has(request, _tag(request, leaderboard, fresh)) or not _can_change(fresh.ranking):
                break
        return fresh

    def _revision(self, leaderboard: Leaderboard, ranking: Ranking) -> int | None:
        try:
            return self._cache().revision(leaderboard, ranking.window)
        except CacheUnavailable:
            return None  # what is read now comes from elsewhere


def _can_change(ranking: Ranking) -> bool:
    """Whether there is something to wait for that one check of the cache would show.

    Not for a snapshot: what it is asked instead of does not answer, or says something else at once.
    """
    return ranking.status is not WindowStatus.FINAL and ranking.source is not RankingSource.SNAPSHOT


def _tag(request: Request, leaderboard: Leaderboard, fresh: ConditionalAnswer) -> str:
    """A weak tag, since `asOf` differs in every answer. It covers what was asked and all that decides the answer.

    For a snapshot that is the answer itself: who was disqualified since is left out of it under the same revision.
    """
    ranking = fresh.ranking
    rules = (0 if ranking.status is WindowStatus.FINAL else leaderboard.version), leaderboard.since_ms
    content = msgspec.json.encode(fresh.view()) if ranking.source is RankingSource.SNAPSHOT else b""
    asked = (request.scope["path"], sorted(pairs_of(request.scope)))
    result = ranking.result_version, ranking.pending_version
    state = (ranking.window.id, ranking.revision, ranking.status, ranking.source, rules, content, fresh.state, result)
    digest = hashlib.blake2b(msgspec.msgpack.encode((asked, state)), digest_size=12)
    return f'W/"{digest.hexdigest()}"'


def _has(request: Request, tag: str) -> bool:
    """Whether the client says that they have this answer (RFC 9110, section 13.1.2: weak comparison)."""
    sent = request.headers.get("if-none-match", "").strip()
    return sent == "*" or tag.removeprefix("W/") in _TAG.findall(sent)


def willing_ms(request: HTTPConnection) -> int | None:
    """What the client is willing to wait (RFC 7240, section 4.3), up to the limit."""
    match = _WAIT.search(request.headers.get("prefer", ""))
    return None if match is None else min(int(match[1]), WAIT_MAX_S) * 1000


def applied(wait_ms: int) -> dict[str, str]:
    """The header of an answer that was held back (RFC 7240, section 3)."""
    return {"preference-applied": f"wait={wait_ms // 1000}"}


def affordable_ms(request: Request, wait_ms: int) -> int:
    """As much of it as the invocation has time for."""
    context = request.scope.get("aws.context")
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return wait_ms if remaining is None else max(0, min(wait_ms, remaining() - WAIT_RESERVE_MS))


def _kept(request: Request, ranking: Ranking) -> str:
    """How long an answer may be kept. Nobody may show it for longer because nothing newer can be had: what fails here
    would look live there."""
    if ranking.source is not RankingSource.FINAL:  # a pending correction is as short-lived as a closing window
        max_age_s = MAX_AGE_S.get(ranking.status, MAX_AGE_S[WindowStatus.CLOSING])
        if ranking.source is RankingSource.SNAPSHOT:  # nobody sees one for longer than it takes to be live again
            max_age_s = MAX_AGE_S[WindowStatus.OPEN]
    elif any(name == "period" for name, _ in pairs_of(request.scope)):  # its dates, and so its meaning, can change
        max_age_s = PERIOD_MAX_AGE_S
    else:
        max_age_s = FINAL_MAX_AGE_S
    return f"max-age={max_age_s}, must-revalidate"
