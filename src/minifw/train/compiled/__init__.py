"""The steps of an epoch as machine code."""

from minifw.train.compiled.compiler import compiler, require_compiler
from minifw.train.compiled.steps import Steps

__all__ = ["Steps", "compiler", "require_compiler"]
