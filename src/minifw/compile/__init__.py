"""Compiles one training step to machine code: record, plan, emit C, build."""

from minifw.compile.build import library
from minifw.compile.forward import Forward
from minifw.compile.program import Program
from minifw.compile.values import CannotCompileError

__all__ = [
    "CannotCompileError",
    "Forward",
    "Program",
    "beside",
    "cache",
    "compilers",
    "library",
    "processor",
]
