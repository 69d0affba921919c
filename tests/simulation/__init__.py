"""The real pipeline under one seeded scheduler, a virtual clock and faults at every call to the outside."""
