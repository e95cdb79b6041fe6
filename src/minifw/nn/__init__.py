"""The framework: every forward and backward pass by hand, from tensor operations alone.

Reading order: `module` (the contract), `modules` (Linear and the activations), `criterions`
(losses), `networks` (Sequential), `initializers`, `optimizers`; `buffers` is where results are
put when memory is reused.
"""

from minifw.nn.buffers import Buffers
from minifw.nn.criterions import Loss, LossCrossEntropy, LossMSE
from minifw.nn.initializers import (
    INITIALIZERS,
    Initializer,
    KaimingNormal,
    KaimingUniform,
    Normal,
    PyTorchDefault,
    XavierNormal,
    XavierUniform,
    Zeros,
)
from minifw.nn.module import Module, Parameter
from minifw.nn.modules import ActivationFunction, Linear, ReLU, Sigmoid, Tanh
from minifw.nn.networks import Network, Sequential
from minifw.nn.optimizers import SGD, Optimizer

__all__ = [
    "INITIALIZERS",
    "SGD",
    "ActivationFunction",
    "Buffers",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "Linear",
    "Loss",
    "LossCrossEntropy",
    "LossMSE",
    "Module",
    "Network",
    "Normal",
    "Optimizer",
    "Parameter",
    "PyTorchDefault",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]
