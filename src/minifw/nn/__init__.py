"""The framework: every forward and backward pass by hand, from tensor operations alone.

Reading order: `module` (the contract), `linear`, `activations`, `losses`, `networks` (Sequential),
`graphs`, `initializers`, `optimizers`; `buffers` is where results are put when memory is reused,
`held` looks for what a module holds.
"""

from minifw.nn.activations import ActivationFunction, ReLU, Sigmoid, Tanh
from minifw.nn.buffers import Buffers
from minifw.nn.graphs import Add, Graph, Variable
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
from minifw.nn.linear import Linear
from minifw.nn.losses import Loss, LossCrossEntropy, LossMSE
from minifw.nn.module import Module, Parameter
from minifw.nn.networks import Network, Sequential
from minifw.nn.optimizers import SGD, Optimizer

__all__ = [
    "INITIALIZERS",
    "SGD",
    "ActivationFunction",
    "Add",
    "Buffers",
    "Graph",
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
    "Variable",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]
