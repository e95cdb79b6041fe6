"""The same networks in PyTorch, to be compared with: the one place with autograd and torch.nn."""

from minifw.reference.arms import (
    Ensemble,
    Loop,
    fit,
    gradients,
    twin,
)

__all__ = [
    "Ensemble",
    "Loop",
    "fit",
    "gradients",
    "twin",
]
