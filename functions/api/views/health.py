"""Views of health."""

from msgspec import UNSET, Struct, UnsetType


class DependencyView(Struct, rename="camel", kw_only=True):
    """How a dependency answered."""

    status: str
    latency_ms: float
    detail: str | UnsetType = UNSET


class HealthView(Struct, kw_only=True):
    """`up` if everything that is needed is."""

    status: str
    dependencies: dict[str, DependencyView]
