"""One file of C that predicts without any library, weights inside.

The forward pass is that of the compiled way (`minifw.compile`); what surrounds it is `predict.c`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minifw.compile import CannotCompileError, Forward, library
from minifw.data import Floats
from minifw.data.reading import read_bytes
from minifw.errors import ArtefactError, UsageError, harmless
from minifw.export.columns import Ends, Preparation, said_by_minifw, samples_to_try
from minifw.export.parcel import About, Parcel, about_of, comment, commented, only_seed
from minifw.nn.module import in_mode

WIDTH = 96


def c_file(parcel: Parcel) -> bytes:
    """Return the source.

    Raises:
        UsageError: there is no C for an operation of a layer, or the outputs of a sample depend on
            the samples beside it.

    """
    only_seed(parcel, "c")
    networks, about = parcel.networks, parcel.networks.about
    try:
        forward = _forward(parcel)
    except CannotCompileError as fault:
        raise UsageError(f"--format c: {fault}") from None
    samples = samples_to_try(parcel, 4)
    alone = np.concatenate([said_by_minifw(parcel, one[None]) for one in samples])
    if not np.allclose(said_by_minifw(parcel, samples), alone, 1e-3, 1e-5, equal_nan=True):
        raise UsageError(
            "--format c: takes one sample at a time, but what this network gives for a sample "
            "depends on those beside it; safetensors and npz keep that"
        )
    before, driver = _template().split("/* HERE */\n")
    preparation = Preparation.of(parcel)
    ends = Ends.of(parcel)
    outputs, features = about.outputs, len(about.features)
    columns = about.coded.columns
    state = [*networks.network.tensors().values()]
    words = [word for column in columns for word in column.categories if column.kind == "words"]
    who = f"{in_comment(parcel.about.name)}, seed {parcel.about.seeds[0]}"
    counts = [-1 if count is None else count for count in preparation.words]
    names = ", ".join(f"weights_{k}" for k in range(len(state)))
    lines = [
        f"/* {who}: {before.removeprefix('/* ')}",
        # Comments quote lines of code, which may be a user's own.
        "\n".join(map(harmless, forward.text.split("\n"))),
        "/* ------------------------------------------------------------- the trained network */",
        "",
        f"enum {{ COLUMNS = {len(columns)}, FEATURES = {features}, OUTPUTS = {outputs} }};",
        "const int minifw_columns = COLUMNS, minifw_outputs = OUTPUTS;",
        texts("minifw_column_names", [column.name for column in columns]),
        texts("minifw_output_names", about.targets or about.classes),
        "/* By column: how many words it has, -1 of numbers; where a gap stands among them. */",
        numbers("static const int", "word_counts", counts),
        numbers("static const int", "gaps", preparation.gaps),
        "/* The words of all columns, and where those of each begin. */",
        texts("minifw_words", words or [""]),
        numbers("const int", "minifw_first_word", _firsts(preparation.words)),
        "/* By feature. */",
        doubles("fill", preparation.fill),
        numbers("static const char", "known", [*map(int, preparation.known)]),
        doubles("shift", preparation.shift),
        doubles("scale", preparation.scale),
        "/* By output. */",
        doubles("output_shift", ends.target_shift or [0.0] * outputs),
        doubles("output_scale", ends.target_scale or [1.0] * outputs),
        f"enum {{ IS_REGRESSION = {int(bool(about.targets))} }};",
        "",
        *(_weights(k, value) for k, value in enumerate(state)),
        f"static const T *const state[] = {{{names or 0}}};",
        f"static T memory[{forward.memory}] ALIGNED;",
        "",
        driver.replace("  /* LOADING */", "\n".join(f"  {line}" for line in forward.loading)),
        "/*",
        *comment(parcel.about),
        "*/",
        "",
    ]
    return "\n".join(lines).encode()


def _template() -> str:
    return Path(__file__).with_name("predict.c").read_text(encoding="ascii")


def _forward(parcel: Parcel) -> Forward:
    """Return the forward pass, with the softmax if scores are probabilities."""
    networks = parcel.networks
    network = networks.network
    count = len(network.parameters())
    ends = Ends.of(parcel)
    begin, end = ends.columns
    named: dict[int, tuple[str, Any]] = {}

    def function(state: Sequence[Tensor], x: Tensor) -> Tensor:
        one = network.with_parameters(state[:count], state[count:])
        for position, module in enumerate(one):
            named[id(module)] = f"{position} {module!r}", module
        with in_mode(one, training=False):
            output: Tensor = one.forward(x)
        output = output[..., begin:end]
        return torch.softmax(output, -1) if ends.probability else output

    def name_of(thing: object) -> str | None:
        return in_comment(named[id(thing)][0]) if id(thing) in named else None

    x = torch.zeros(1, 1, len(networks.about.features), dtype=networks.dtype)
    return Forward(function, [*network.tensors().values()], x, name_of)


def _firsts(words: Sequence[int | None]) -> list[int]:
    found = [0]
    for count in words[:-1]:
        found.append(found[-1] + (count or 0))
    return found


# ------------------------------------------------------------------------------- literals of C


def text(name: str) -> str:
    """Return a string literal: its bytes in UTF-8, all but letters, digits and a few in octal.

    So no quote, escape or trigraph of the name is one of C.
    """
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,:;=()+<>")
    encoded = name.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in encoded) + '"'


def in_comment(name: str) -> str:
    """Return a name as one line of a comment, which it cannot end."""
    shown = harmless(name).encode("ascii", "backslashreplace").decode()
    return shown.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").replace("\\", "|")


def texts(name: str, values: Sequence[str]) -> str:
    """Return an array of strings."""
    return _array("const char *const", name, [*map(text, values)])


def numbers(kind: str, name: str, values: Sequence[int]) -> str:
    """Return an array of whole numbers."""
    return _array(kind, name, [*map(str, values)])


def doubles(name: str, values: Sequence[float]) -> str:
    """Return an array of doubles, each exactly as it is."""
    return _array(
        "static const double", name, ['__builtin_nan("")' if v != v else repr(v) for v in values]
    )


def _weights(position: int, value: Tensor) -> str:
    """Return an array of weights, each with as many digits as it needs."""
    array = value.flatten().numpy()
    suffix = "f" if array.dtype == np.float32 else ""
    shown = (np.format_float_scientific(v, unique=True, trim="0") + suffix for v in array)
    return _array("static const T", f"weights_{position}", [*shown])


def _array(kind: str, name: str, values: Sequence[str]) -> str:
    lines, line = [], ""
    for value in values:
        if line and len(line) + len(value) + 2 > WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += f"{value}, "
    lines.append(line.rstrip(", "))
    inside = "\n  ".join(lines)
    return f"{kind} {name}[] = {{\n  {inside}}};"


# -------------------------------------------------------------------------------------- and back


def read(path: Path) -> tuple[About, Callable[[], Callable[[Floats], Floats]]]:
    """Return what goes with a source, and a function that compiles it and gives its `predict`.

    Raises:
        ArtefactError: it is no such source.

    """
    content, _ = read_bytes(path, None)
    source = content.decode("utf-8", "replace")
    about = about_of(commented(source), path, "comment 'minifw-export'")

    def begin() -> Callable[[Floats], Floats]:
        try:
            found: Any = library(source).predict_double
        except (CannotCompileError, AttributeError) as fault:
            raise ArtefactError(f"{path}: {fault}") from None
        found.restype = None

        def function(rows: Floats) -> Floats:
            given = np.ascontiguousarray(rows, np.float64)
            made = np.empty((len(rows), about.inputs.outputs))
            pointers = [ctypes.c_void_p(array.ctypes.data) for array in (given, made)]
            found(pointers[0], ctypes.c_int(len(rows)), pointers[1])
            return made

        return function

    return about, begin
