"""The steps of an epoch as machine code."""

from minifw.training.compiled.epoch import (
    Epoch,
    compiler,
    require_compiler,
)

__all__ = [
    "Epoch",
    "compiler",
    "require_compiler",
]
