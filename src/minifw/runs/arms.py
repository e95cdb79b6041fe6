"""All arms and modes of runs, with the names that people read."""

from __future__ import annotations

from typing import Literal

from minifw.config.mode import Mode
from minifw.errors import harmless

Arm = Literal["minifw", "pytorch", "vmap"]
"""One framework over all seeds; `vmap` is PyTorch's torch.func, with all seeds at once."""

ARMS: dict[Arm, str] = {"minifw": "minifw", "pytorch": "PyTorch", "vmap": "PyTorch vmap"}
MODES: dict[Mode, str] = {"full-batch": "Full batch", "sgd": "SGD"}


def titled(mode: Mode, optimizer: str | None) -> str:
    """Return the mode as tables and figures name it; `optimizer` is None for gradient descent."""
    if optimizer is None:
        return MODES[mode]
    optimizer = harmless(optimizer)
    return optimizer if mode == "sgd" else f"{MODES[mode]}, {optimizer}"


__all__ = ["ARMS", "MODES", "Arm", "Mode", "titled"]
