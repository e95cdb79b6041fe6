"""The same networks in PyTorch, for comparison; only here are autograd and torch.nn used."""

from minifw.reference.arms import Ensemble, Loop
from minifw.reference.loading import load
from minifw.reference.training import fit
from minifw.reference.twins import check, gradients, twin

__all__ = [
    "Ensemble",
    "Loop",
    "check",
    "fit",
    "gradients",
    "layers",
    "load",
    "loading",
    "rows",
    "twin",
    "twins",
]
