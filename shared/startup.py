"""What makes a function start sooner and stall less. A handler imports this before anything else.

- Importing makes hundreds of thousands of objects, next to none of them garbage, and a collector with its default
  thresholds looks at all of them again and again: a tenth of the time that the API takes to start.
- redis-py imports its asyncio client itself, which nothing here uses. Its place is taken by a module that loads the
  client when something of it is asked for.
- Libraries write what they are about to do into the log of every start, where the level is INFO as Lambda has it by
  default: which settings they found none of, and where. Their warnings are left.
- redis-py also imports OpenTelemetry's metrics where they are installed, as they are for traces: 30 % more than it
  takes by itself. It does without where they are missing, so they are missing here.
"""

import gc
import logging
import sys
import warnings
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

GC_THRESHOLD: Final = 50_000
"""A call makes more objects than the collector waits for by default, and next to none in cycles: at 700 it takes 15 %
of the CPU of ingest looking at them."""
_DEFERRED: Final = "redis.asyncio"
_MISSING: Final = "opentelemetry.sdk.metrics"
_TALKATIVE: Final = ("boto3", "botocore", "pynamodb", "urllib3")
"""Libraries whose loggers say more than anybody needs, whatever the level of our own."""
_NO_METRICS: Final = "No application metrics to publish"
"""How Powertools' warning begins where a call measured nothing, as after an error."""


def settle() -> None:
    """Leave what there is now out of every later collection, and collect less often than by default.

    For the end of start-up. A collection that looks at all of it takes up to half a second, while a client waits.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    gc.enable()


@cache
def settle_after_first_call() -> None:
    """Settle once more: a first call makes what is made when it is first used."""
    settle()


def _defer_asyncio_client() -> None:
    package = find_spec("redis")
    if "redis" in sys.modules or package is None:
        return
    spec = PathFinder.find_spec(_DEFERRED, package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return
    module, loader = module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of every module
            raise AttributeError(name)
        del module.__getattr__
        loader.exec_module(module)
        return getattr(module, name)

    module.__getattr__ = load  # type: ignore[method-assign]
    sys.modules[_DEFERRED] = module


def _quiet_libraries() -> None:
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=_NO_METRICS)


def _miss_metrics() -> None:
    sys.modules.setdefault(_MISSING, None)  # type: ignore[arg-type] # whoever imports it gets an ImportError


gc.disable()
_quiet_libraries()
_miss_metrics()
_defer_asyncio_client()
