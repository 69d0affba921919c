"""The one place where real parts are put together: `parts` below, use cases above."""

from shared.assembly.parts import now_ms
from shared.assembly.use_cases import Assembly

__all__ = ["Assembly", "now_ms"]
