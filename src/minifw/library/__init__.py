"""minifw from Python: train a config, read a run, fit a network to arrays, show progress.

The door names rooms, since the command line shows progress too; a program takes `minifw.train`.
"""

__all__ = [
    "arguments",
    "calls",
    "comparison",
    "metrics",
    "predictions",
    "progress",
    "result",
    "run",
    "scores",
    "studies",
    "variance",
]
