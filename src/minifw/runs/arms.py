"""All arms and modes of runs, with the names that people read."""

from __future__ import annotations

from typing import Literal

from minifw.config.mode import Mode

Arm = Literal["minifw", "pytorch", "vmap"]
"""One framework over all seeds; `vmap` is PyTorch's torch.func, with all seeds at once."""

ARMS: dict[Arm, str] = {"minifw": "minifw", "pytorch": "PyTorch", "vmap": "PyTorch vmap"}
MODES: dict[Mode, str] = {"full-batch": "Full gradient", "sgd": "SGD"}

__all__ = ["ARMS", "MODES", "Arm", "Mode"]
