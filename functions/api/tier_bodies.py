"""Tiers of a leaderboard, and who qualifies for them, as clients send them; camelCase on the wire."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from functions.api.models import Name, Points, Sent, hundredths
from shared.domain.calendar import WindowKind
from shared.domain.events import POINTS_MAX
from shared.domain.tiers import Tier, TierRule, Ties


class TierBody(Sent):
    """A reward tier: a name and exactly one rule."""

    name: Annotated[Name, Field(description="What entries and awards call it; each once")]
    top_n: Annotated[StrictInt | None, Field(alias="topN", ge=1, le=POINTS_MAX, description="Ranks 1 to this one")] = (
        None
    )
    top_percent: Annotated[
        int | None,
        BeforeValidator(hundredths, json_schema_input_type=float),
        Field(
            description="The first so many percent of those who qualify, rounded up to whole players; two decimals at "
            "the most"
        ),
    ] = None
    min_score: Annotated[Points | None, Field(description="This score or more; with order `desc`")] = None
    max_score: Annotated[Points | None, Field(description="This score or less; with order `asc`")] = None
    ties: Annotated[
        Ties,
        Field(
            description="With topN and topPercent: of those who share the score of the last place, `first` takes those "
            "who reached it first, `shared` takes all (it goes by `competitionRank`)"
        ),
    ] = Ties.FIRST
    windows: Annotated[
        tuple[WindowKind, ...],
        Field(
            min_length=1,
            max_length=len(WindowKind),
            description="The kinds of windows that have this tier, each once; absent: all. Other windows are ranked "
            "and paid as if it weren't there; a registered period is `custom`",
        ),
    ] = tuple(WindowKind)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if len(self.model_fields_set - {"name", "ties", "windows"}) != 1 or self.rule is None:
            raise ValueError("must have exactly one of topN, topPercent, minScore and maxScore")
        if "ties" in self.model_fields_set and self.rule[0] in (TierRule.MIN_SCORE, TierRule.MAX_SCORE):
            raise ValueError("must have ties only with topN or topPercent: equal scores meet a rule on the score alike")
        if len(set(self.windows)) < len(self.windows):
            raise ValueError("must name each of its windows once")
        return self

    @property
    def rule(self) -> tuple[TierRule, int] | None:
        """Its rule and the rule's value."""
        values = {
            TierRule.TOP_N: self.top_n,
            TierRule.TOP_PERCENT: self.top_percent,
            TierRule.MIN_SCORE: self.min_score,
            TierRule.MAX_SCORE: self.max_score,
        }
        return next(((rule, value) for rule, value in values.items() if value is not None), None)

    def to_tier(self) -> Tier:
        """The domain's tier."""
        if self.rule is None:
            raise AssertionError("a tier without a rule passed validation")
        windows = self.windows if "windows" in self.model_fields_set else ()
        return Tier(self.name, *self.rule, self.ties, windows)


class QualifyBody(Sent):
    """The score that a player needs to count for tiers: exactly one of the two."""

    min_score: Annotated[Points | None, Field(description="This score or more; with order `desc`")] = None
    max_score: Annotated[Points | None, Field(description="This score or less; with order `asc`")] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1 or self.value is None:
            raise ValueError("must have exactly one of minScore and maxScore")
        return self

    @property
    def value(self) -> int | None:
        """The score."""
        return self.max_score if self.min_score is None else self.min_score
