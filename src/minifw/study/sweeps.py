"""Sweeps: cells that differ in some keys, each trained with the same seeds."""

from __future__ import annotations

from minifw.study.rounds import Kind


class Sweep(Kind):
    """Trains all cells to the end, in one round."""
