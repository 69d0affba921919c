"""What administration answers with."""

from collections.abc import Sequence

from msgspec import Struct

from shared.domain.acts import Act
from shared.domain.events import format_instant
from shared.pipeline.result_versions import ResultVersion


class ActView(Struct, rename="camel"):
    """One act of administration."""

    number: int
    """From 1, without gaps, in the order in which they were done."""
    kind: str
    actor: str
    reason: str
    at: str
    user_id: str | None
    subject: str | None


class ActsView(Struct, rename="camel"):
    """A page of the audit trail."""

    leaderboard_id: str
    acts: Sequence[ActView]
    next_after: int | None


class DisqualifiedView(Struct, rename="camel"):
    """Who is disqualified, and the act as of which that is so."""

    leaderboard_id: str
    acts: int
    user_ids: Sequence[str]


class RedrivenView(Struct, rename="camel"):
    """What became of dead letters."""

    act: ActView
    sent: int
    failed: int
    """Chosen, but the broker did not take them: they stay."""
    left: int
    """Not chosen, or not reached in time: they stay."""


class ResultFileView(Struct):
    """A file of a result; the URL is good for some minutes."""

    url: str
    sha256: str | None


class ResultVersionView(Struct, rename="camel"):
    """One version of a result."""

    version: int
    acts: int
    """The act as of which players were disqualified."""
    rules_version: int
    players: int
    awards: int
    """Players in a tier."""
    sum_of_points: str
    finalised_at: str
    ranking: ResultFileView
    awarded: ResultFileView
    difference: ResultFileView | None
    """What differs from the version before; null for the first."""


class ResultVersionsView(Struct, rename="camel"):
    """Every version of a window's result, the first one first; none while it is not final."""

    leaderboard_id: str
    window_id: str
    versions: Sequence[ResultVersionView]


VIEWS = (ActView, ActsView, DisqualifiedView, RedrivenView, ResultFileView, ResultVersionView, ResultVersionsView)


def to_act_view(act: Act) -> ActView:
    """An act, as it is sent."""
    return ActView(act.number, act.kind, act.actor, act.reason, format_instant(act.at_ms), act.user_id, act.subject)


def to_result_version_view(found: ResultVersion) -> ResultVersionView:
    """A version of a result, as it is sent."""
    final, difference = found.final, None
    if found.difference_url is not None:
        difference = ResultFileView(found.difference_url, final.difference_sha256)
    return ResultVersionView(
        final.version,
        final.acts,
        final.rules_version,
        final.players,
        final.awards,
        final.sum_of_points,
        format_instant(final.finalised_at_ms),
        ResultFileView(found.ranking_url, final.sha256),
        ResultFileView(found.awards_url, final.awards_sha256),
        difference,
    )
