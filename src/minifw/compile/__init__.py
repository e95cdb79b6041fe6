"""Compiles one training step to machine code: record, plan, emit C, build."""

from minifw.compile.program import Program
from minifw.compile.values import CannotCompileError

__all__ = [
    "CannotCompileError",
    "Program",
    "beside",
    "cache",
    "compilers",
    "processor",
]
