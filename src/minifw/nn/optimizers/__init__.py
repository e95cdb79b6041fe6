"""Optimisers: they change parameters by their gradients.

`optimizer` is the interface, and what is checked of a user's own; `sgd`, `adam` and `rmsprop` are
minifw's. `options` are their numbers, which may be one for each network of a stack; `clipping` and
`arithmetic` are what they share.
"""

from minifw.nn.optimizers.adam import Adam, AdamW
from minifw.nn.optimizers.optimizer import Optimizer
from minifw.nn.optimizers.optimizer import check_state as check_state
from minifw.nn.optimizers.optimizer import takes_rates as takes_rates
from minifw.nn.optimizers.rmsprop import RMSprop
from minifw.nn.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop"]
