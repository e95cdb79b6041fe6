"""The steps of an epoch, compiled to machine code."""

from minifw.training.compiled.compiler import compiler, require_compiler
from minifw.training.compiled.steps import Steps

__all__ = ["Steps", "compiler", "require_compiler"]
