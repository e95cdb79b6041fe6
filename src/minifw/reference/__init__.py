"""The same networks in PyTorch, to be compared with: the one place with autograd and torch.nn."""

from minifw.reference.arms import Ensemble, Loop
from minifw.reference.training import fit
from minifw.reference.twins import check, gradients, twin

__all__ = [
    "Ensemble",
    "Loop",
    "check",
    "fit",
    "gradients",
    "twin",
]
