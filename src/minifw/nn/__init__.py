"""The framework: every forward and backward pass by hand, from tensor operations alone.

Reading order: `module` (the interface), `linear`, `activations`, `leaky`, `gates`, `losses`,
`operations` (sums), `parts` (slices), `variables` (the one backward pass), `networks`, `graphs`
(Sequential too), `wired`, `initializers`, `optimizers`, `schedules`. `buffers` reuses memory for
results, `held` finds what a module holds, `registry` declares what a config can name.
"""

# In reading order, which is also the order of kinds in messages and in the schema. The names in
# each file's __all__ are exported.
# isort: off
from minifw.nn.module import *
from minifw.nn.linear import *
from minifw.nn.convolution import *
from minifw.nn.pooling import *
from minifw.nn.shapes import *
from minifw.nn.activations import *
from minifw.nn.leaky import *
from minifw.nn.gates import *
from minifw.nn.softmax import *
from minifw.nn.layernorm import *
from minifw.nn.batchnorm import *
from minifw.nn.embedding import *
from minifw.nn.dropout import *
from minifw.nn.losses import *
from minifw.nn.operations import *
from minifw.nn.parts import *
from minifw.nn.variables import *
from minifw.nn.networks import *
from minifw.nn.graphs import *
from minifw.nn.wired import *
from minifw.nn.initializers import *
from minifw.nn.optimizers import *
from minifw.nn.schedules import *
from minifw.nn.buffers import *
from minifw.nn.registry import *

from minifw.nn import (
    module,
    linear,
    convolution,
    pooling,
    shapes,
    activations,
    leaky,
    gates,
    softmax,
    layernorm,
    batchnorm,
    embedding,
    dropout,
    losses,
    operations,
    parts,
    variables,
    networks,
    graphs,
    wired,
    initializers,
    optimizers,
    schedules,
    buffers,
    registry,
)

__all__: list[str] = []
__all__ += module.__all__
__all__ += linear.__all__
__all__ += convolution.__all__
__all__ += pooling.__all__
__all__ += shapes.__all__
__all__ += activations.__all__
__all__ += leaky.__all__
__all__ += gates.__all__
__all__ += softmax.__all__
__all__ += layernorm.__all__
__all__ += batchnorm.__all__
__all__ += embedding.__all__
__all__ += dropout.__all__
__all__ += losses.__all__
__all__ += operations.__all__
__all__ += parts.__all__
__all__ += variables.__all__
__all__ += networks.__all__
__all__ += graphs.__all__
__all__ += wired.__all__
__all__ += initializers.__all__
__all__ += optimizers.__all__
__all__ += schedules.__all__
__all__ += buffers.__all__
__all__ += registry.__all__
