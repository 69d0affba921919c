"""Views of health."""

from msgspec import UNSET, Struct, UnsetType

from shared.breakers import BreakerState


class QueueView(Struct, rename="camel", kw_only=True):
    """One queue. SQS counts approximately, and doesn't tell how old its oldest message is."""

    status: str
    latency_ms: float
    since: str
    detail: str | UnsetType = UNSET
    waiting: int | UnsetType = UNSET
    in_flight: int | UnsetType = UNSET
    not_empty_since: str | UnsetType | None = UNSET


class DependencyView(Struct, rename="camel", kw_only=True):
    """How a dependency answered."""

    status: str
    latency_ms: float
    since: str
    detail: str | UnsetType = UNSET
    breaker: BreakerState | UnsetType = UNSET
    """The breaker of the instance that answers; every other instance and function has its own."""
    memory_used_bytes: int | UnsetType = UNSET
    memory_limit_bytes: int | UnsetType | None = UNSET
    leaderboards: int | UnsetType = UNSET
    complete_leaderboards: int | UnsetType = UNSET
    queues: dict[str, QueueView] | UnsetType = UNSET
    last_commit_at: str | UnsetType | None = UNSET
    last_commit_age_ms: int | UnsetType | None = UNSET


class HealthView(Struct, kw_only=True):
    """`up` if everything that is needed is."""

    status: str
    dependencies: dict[str, DependencyView]
