"""The formats by their names: the ending of the file, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minifw.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Format:
    """A format: its file's `suffix`, and in a few words what the file is."""

    suffix: str
    about: str


FORMATS = {
    "torch": Format(".pt", "a state dict of PyTorch"),
    "torch-code": Format(".py", "a module of PyTorch as source, weights inside"),
    "safetensors": Format(".safetensors", "tensors by their names"),
    "npz": Format(".npz", "arrays of NumPy by their names"),
    "onnx": Format(".onnx", "an ONNX graph, from rows of numbers to scores"),
    "c": Format(".c", "one file of C that needs no library, weights inside"),
}
BY_SUFFIX = {known.suffix: name for name, known in FORMATS.items()}


def format_of(asked: str | None, out: Path | None) -> str:
    """Return the format that is asked for, or that of the file's ending; torch by default.

    Raises:
        UsageError: there is no such format, or the file's ending is that of another.

    """
    known = None if out is None else BY_SUFFIX.get(out.suffix)
    kind = asked or known or "torch"
    if kind not in FORMATS:
        near = did_you_mean(kind, FORMATS)
        near = "" if "known here" in near else near
        raise UsageError(f"--format: must be one of {', '.join(FORMATS)}, got '{kind}'{near}")
    if out is not None and known is None and asked is None:
        raise UsageError(f"--out: must end in one of {', '.join(BY_SUFFIX)}, got '{out}'")
    if out is not None and known != kind:
        raise UsageError(f"--out: a file of {kind} must end in {FORMATS[kind].suffix}, got '{out}'")
    return kind
