"""Results to tables and figures, read from a run directory.

The door names rooms: `plots` brings matplotlib along, and tables need none of it.
"""

__all__ = [
    "bands",
    "classes",
    "comparison",
    "norms",
    "pairings",
    "pairs",
    "planes",
    "plots",
    "points",
    "predicted",
    "process",
    "scores",
    "sides",
    "sweeps",
    "tables",
    "variance",
    "words",
]
