"""Studies: many configs and seeds trained as lanes of stacks, in jobs that may run anywhere."""

__all__ = [
    "comparison",
    "executors",
    "halving",
    "jobs",
    "lanes",
    "merging",
    "planning",
    "results",
    "rounds",
    "running",
    "store",
    "sweeps",
    "words",
]
