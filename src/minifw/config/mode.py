"""The two modes of training. They stand alone, for lists and figures of runs need no torch."""

from __future__ import annotations

from typing import Literal

Mode = Literal["full-batch", "sgd"]
"""All training samples in each step, or batches."""
