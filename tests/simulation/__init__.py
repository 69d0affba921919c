"""The real pipeline under one seeded scheduler, a virtual clock and faults at every call to the outside."""

import os

from shared.version import VARIABLE

os.environ.setdefault(VARIABLE, "simulation")
