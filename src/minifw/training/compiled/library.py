"""Compiles a recorded loop to a library of machine code, which is kept for later runs.

Inductor, torch's compiler, turns the loop into C++ ahead of time, and the C++ compiler makes a
library. There is one for each network, loss, optimizer and shape; later runs open it.
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
    "cpp.threads": 1,  # the processors are for the shards, not for loops inside one
    "cpp.enable_floating_point_contract_flag": "fast",  # a * b + c rounds once, as in torch's SGD
    # A row of 25 numbers ends within a vector. If a result overwrites its operand, reading the next
    # row must wait for the store of that vector.
    "inplace_buffers": False,
}


def opened(learner: Learner, arguments: list[Tensor]) -> ctypes.CDLL:
    """Return the library of this loop, from the cache or newly made.

    If the cache cannot be read or written, the library is compiled again; nothing else is lost.
    """
    name = f"{name_of(learner, arguments)}.so"
    kept = None if (folder := cache_dir()) is None else folder / name
    if kept is not None:
        with suppress(OSError):  # missing, unreadable, or damaged
            return ctypes.CDLL(str(kept))
    with _one_at_a_time, _scratch() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warnings about its own code
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
        # Once a library is open, its file may be deleted. A scratch folder may forbid execution;
        # the library may still open in the cache folder.
        try:
            return ctypes.CDLL(str(made))
        except OSError:
            if kept is None:
                raise
            return ctypes.CDLL(str(kept))


@contextmanager
def _scratch() -> Iterator[str]:
    """Give a folder to compile in, also for Inductor's files if its own folder cannot be used.

    Inductor makes its folder when it is imported, so the folder is checked before.
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


_one_at_a_time = threading.Lock()  # the changes to Inductor affect all threads


def cache_dir() -> Path | None:
    """Return the folder of compiled loops: `minifw` in $XDG_CACHE_HOME or ~/.cache.

    None if there is none, since the user has no home, as in some containers.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minifw"
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # required by the standard of $XDG_CACHE_HOME


def name_of(learner: Learner, arguments: list[Tensor]) -> str:
    """Return a name that depends on everything that the compiled code depends on.

    It is a hash of: the text of the files that define the classes, and of all files of the
    framework; the constants in `repr` and public attributes; and, for a module that is used
    several times, its first position. For a user's file the module's name contains a hash of the
    text that was run (`config/code.py`), since the file may have changed.
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
    """Return the file that defines a class.

    Raises:
        TypeError: there is none, so that a change of the formula could not be noticed.

    """
    try:
        return Path(inspect.getfile(cls))
    except (TypeError, OSError):
        raise TypeError(f"the class {cls.__name__} must be defined in a file") from None


def _constants(thing: Any) -> dict[str, Any]:
    """Return the public attributes that are numbers or text."""
    return {
        name: value
        for name, value in sorted(vars(thing).items())
        if not name.startswith("_") and isinstance(value, (bool, int, float, str))
    }


@cache
def processor() -> str:
    """Return the kind of this processor, for which alone the code is compiled."""
    known = cpu_info()
    features = known.get("flags") or known.get("Features", "")
    return f"{platform.system()} {platform.machine()} {platform.processor()} {features}"
