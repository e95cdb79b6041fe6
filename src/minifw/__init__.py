"""minifw: a deep-learning framework to read, and a runner for small networks over many seeds.

    run = minifw.train("simplenet", seeds=20)     trains a config and leaves a run directory
    run = minifw.load("runs/…")                   reads a finished run
    sweep = minifw.sweep("simplenet", {"train.eta": [0.01, 0.1]})
    comparison = minifw.compare("a.yaml", "b.yaml", seeds=20)
    variance = minifw.variance("simplenet", data=10, init=10)
    minifw.fit(network, loss, optimizer, data, epochs=100, eta=0.1)
    minifw.EarlyStopping(patience=20)             when a network stops before the last epoch
    minifw.Dataset.from_arrays(x, y, x_test, y_test)
    minifw.nn                                     the framework: layers, losses, networks

The names in `__all__` are public. Each is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minifw.errors import MinifwError

if TYPE_CHECKING:
    from minifw import nn
    from minifw.data import Dataset
    from minifw.library.calls import fit, load, train
    from minifw.library.comparison import Comparison, compare
    from minifw.library.run import Run
    from minifw.library.studies import Sweep, sweep
    from minifw.library.variance import Variance, variance
    from minifw.training import EarlyStopping

__version__ = "0.2.0"

__all__ = [
    "Comparison",
    "Dataset",
    "EarlyStopping",
    "MinifwError",
    "Run",
    "Sweep",
    "Variance",
    "compare",
    "fit",
    "load",
    "nn",
    "sweep",
    "train",
    "variance",
]

_PLACES = {
    "Comparison": "minifw.library.comparison",
    "Dataset": "minifw.data",
    "EarlyStopping": "minifw.training",
    "Run": "minifw.library.run",
    "Sweep": "minifw.library.studies",
    "Variance": "minifw.library.variance",
    "compare": "minifw.library.comparison",
    "fit": "minifw.library.calls",
    "load": "minifw.library.calls",
    "sweep": "minifw.library.studies",
    "train": "minifw.library.calls",
    "variance": "minifw.library.variance",
}


if not TYPE_CHECKING:  # hidden from type checkers, which would accept any name otherwise

    def __getattr__(name: str) -> Any:
        if name == "nn":
            return importlib.import_module("minifw.nn")
        if name not in _PLACES:
            raise AttributeError(f"module 'minifw' has no attribute '{name}'")
        value = getattr(importlib.import_module(_PLACES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
