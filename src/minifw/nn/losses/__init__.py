"""Loss functions, one idea a file; `base` says what a loss is and what `reduction` does."""

# In reading order, which is also the order of kinds in messages and in the schema.
# isort: off
from minifw.nn.losses.base import Loss
from minifw.nn.losses.mse import LossMSE
from minifw.nn.losses.cross_entropy import LossCrossEntropy
from minifw.nn.losses.binary import LossBCE
from minifw.nn.losses.absolute import LossHuber, LossL1
from minifw.nn.losses.heads import LossSum

__all__ = ["Loss", "LossBCE", "LossCrossEntropy", "LossHuber", "LossL1", "LossMSE", "LossSum"]
