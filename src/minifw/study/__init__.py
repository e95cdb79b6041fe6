"""Studies: many configs and seeds trained as lanes of stacks, in jobs that may run anywhere."""

__all__ = [
    "cells",
    "executors",
    "guided",
    "halving",
    "jobs",
    "kinds",
    "lanes",
    "merging",
    "planning",
    "results",
    "rounds",
    "running",
    "store",
    "sweeps",
]
