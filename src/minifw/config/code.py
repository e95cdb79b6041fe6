"""A user's Python files that a config names, and the errors raised in them.

A config never runs code by itself: `--allow-code` permits it, or `allow_code: true` in the user's
settings. A file is read once. The text that was read is executed and kept with the run, and its
hash is part of the module's name. The file may import installed packages, but no file beside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from minifw.errors import MinifwError, StorageError, UsageError, did_you_mean

Read = Callable[[str], bytes | None]
"""Returns the content of a file by its name, None if there is no such file."""

_MODULES: dict[tuple[Path, bytes], ModuleType] = {}
"""All files that have been run, by path and content."""


class Code:
    """The files that a config may name; `files` are those that have been run, by their names."""

    def __init__(self, allowed: bool = False, read: Read | None = None) -> None:
        self.allowed = allowed
        self.refused = False
        self.files: dict[str, bytes] = {}
        self._read = read

    def find(self, dotted: str, folder: Path) -> Any:
        """Return the class or function `mymodules.LeakyReLU`, of mymodules.py in the folder.

        Raises:
            UsageError: there is no such file or name, or the file cannot be run.

        """
        *parts, name = dotted.split(".")
        if not parts or not all(part.isidentifier() for part in (*parts, name)):
            raise UsageError(
                f"must be a file and a class in it, as in mymodules.LeakyReLU, got '{dotted}'"
            )
        file = f"{'/'.join(parts)}.py"
        path = folder / file
        content = self._read(file) if self._read else _read(path)
        if content is None:
            raise UsageError(f"there is no file {file} in {folder}")
        if self.files.setdefault(file, content) != content:
            raise UsageError(f"{file}: two files of this name are used, with different content")
        module = _run(path, content)
        if not hasattr(module, name):
            own = [
                known
                for known, value in vars(module).items()
                if getattr(value, "__module__", "") == module.__name__
            ]
            raise UsageError(f"{file}: has no '{name}'{did_you_mean(name, own)}")
        return getattr(module, name)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as fault:
        raise StorageError(f"{path}: cannot be read: {fault.strerror}") from None


def _run(path: Path, content: bytes) -> ModuleType:
    """Return the file as a module; it is run once."""
    if known := _MODULES.get((path, content)):
        return known
    # The name depends on the content, so that compiled code of another content is not used.
    name = f"{path.stem}_{hashlib.sha256(content).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and others look up the module of a class here.
    sys.modules[name] = _MODULES[path, content] = module
    try:
        exec(compile(content, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException as fault:
        del sys.modules[name], _MODULES[path, content]
        if isinstance(fault, Exception | SystemExit):  # nor does sys.exit() end the program
            _FAULTY.add(str(path))
            raise UsageError(told(fault) or f"{path.name}: {fault}") from None
        raise
    return module


_FAULTY: set[str] = set()


def told(fault: BaseException) -> str | None:
    """Return `mymodules.py:12: ValueError: …` for an exception from a user's file.

    None if no such file is in its traceback.
    """
    own = {str(path) for path, _ in _MODULES} | _FAULTY
    place = None
    if isinstance(fault, SyntaxError) and fault.filename in own:
        place = f"{Path(fault.filename).name}:{fault.lineno}"
    for frame in traceback.extract_tb(fault.__traceback__):
        if frame.filename in own:
            place = f"{Path(frame.filename).name}:{frame.lineno}"
    if place is None:
        return None
    if isinstance(fault, MinifwError):  # its message is written for users
        return f"{place}: {fault.lines[0]}"
    what = fault.msg if isinstance(fault, SyntaxError) else str(fault)
    return f"{place}: {type(fault).__name__}{what and ': '}{what}"
