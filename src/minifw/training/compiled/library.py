"""A recorded loop becomes a library of machine code, which is kept for later runs.

Inductor, the compiler of torch, turns the loop into C++ ahead of time; the C++ compiler makes a
library of it. It is made once for each network, loss, optimizer and shape; a later run opens it.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
import platform
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minifw import nn
from minifw.errors import StorageError
from minifw.system.environment import cpu_info
from minifw.system.files import publish
from minifw.training.compiled.record import loop
from minifw.training.learner import Learner

OPTIONS = {
    "cpp.threads": 1,  # the shards of a stack share the processors, not the loops inside of one
    "cpp.enable_floating_point_contract_flag": "fast",  # a * b + c rounds once, as in torch's SGD
    # A row of 25 numbers ends within a vector. Where a result is written over its operand, the
    # next row is read while that part of a vector is still on its way to memory, and must wait.
    "inplace_buffers": False,
}


def opened(learner: Learner, arguments: list[Tensor]) -> ctypes.CDLL:
    """Return the library of this loop, from the cache or newly made.

    A cache that cannot be read or written costs the time of compiling, and nothing else.
    """
    name = f"{name_of(learner, arguments)}.so"
    kept = None if (folder := cache_dir()) is None else folder / name
    if kept is not None:
        with suppress(OSError):  # not there, not to be read, or damaged
            return ctypes.CDLL(str(kept))
    with _one_at_a_time, _scratch() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own code, about torch's own code
        import torch._inductor

        from minifw.training.compiled.inductor import as_we_need_it

        with as_we_need_it():
            made = torch._inductor.aot_compile(
                loop(learner, arguments),
                tuple(arguments),
                options=OPTIONS | {"aot_inductor.output_path": f"{scratch}/loop.so"},
            )
        if kept is not None:
            with suppress(StorageError):
                publish(kept, Path(str(made)).read_bytes())
        # Once it is open its file may go. In a scratch folder that nothing can be run from it
        # does not open, but may where it is kept.
        try:
            return ctypes.CDLL(str(made))
        except OSError:
            if kept is None:
                raise
            return ctypes.CDLL(str(kept))


@contextmanager
def _scratch() -> Iterator[str]:
    """Give a folder to compile in; Inductor's own files go there too where theirs cannot be used.

    Inductor makes its folder while it is imported, so it is looked at before.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    usual = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if usual is not None and not _is_writable(Path(usual)):
            os.environ[name] = f"{folder}/inductor"
        try:
            yield folder
        finally:
            if usual is not None:
                os.environ[name] = usual


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


_one_at_a_time = threading.Lock()  # Inductor is changed while it compiles, for all threads


def cache_dir() -> Path | None:
    """Return where compiled loops are kept: `minifw` in $XDG_CACHE_HOME, else in ~/.cache.

    None where there is no such place: the user has no home, as in some containers.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minifw"
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # as the standard of $XDG_CACHE_HOME says


def name_of(learner: Learner, arguments: list[Tensor]) -> str:
    """Return a name for all that the compiled code depends on.

    The formulas count by the text of the files in which their classes stand, and of all files of
    the framework; their constants as `repr` and public attributes show them; and a module that
    stands in several places by the first of them. The module of a user's own file has what was run
    in its name (`config/code.py`), for the file may be another by now.
    """
    objects = [*learner.network.modules(), learner.loss, learner.optimizer, learner]
    places: dict[int, int] = {}
    classes = {cls for thing in objects for cls in type(thing).__mro__ if cls is not object}
    here, framework = Path(__file__).parent, Path(nn.__file__).parent
    files = {*framework.glob("*.py"), *here.glob("*.py"), here / "products.h", *map(_file, classes)}
    parts = [
        torch.__version__, processor(), repr(OPTIONS),
        *(f"{thing!r} {_constants(thing)} {places.setdefault(id(thing), place)}"
          for place, thing in enumerate(objects)),
        *(f"{tuple(tensor.shape)} {tensor.stride()} {tensor.dtype}" for tensor in arguments),
        *sorted(f"{cls.__module__} {cls.__qualname__}" for cls in classes),
        *(file.read_text(encoding="utf-8") for file in sorted(files)),
    ]  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _file(cls: type) -> Path:
    """Return the file in which a class stands.

    Raises:
        TypeError: it stands in none, so that nothing would tell when its formula changes.

    """
    try:
        return Path(inspect.getfile(cls))
    except (TypeError, OSError):
        raise TypeError(f"the class {cls.__name__} must stand in a file") from None


def _constants(thing: Any) -> dict[str, Any]:
    """Return the public attributes that are numbers or words."""
    return {
        name: value
        for name, value in sorted(vars(thing).items())
        if not name.startswith("_") and isinstance(value, (bool, int, float, str))
    }


@cache
def processor() -> str:
    """Return what kind of processor this is: code is made for it alone."""
    known = cpu_info()
    features = known.get("flags") or known.get("Features", "")
    return f"{platform.system()} {platform.machine()} {platform.processor()} {features}"
