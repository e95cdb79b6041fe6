"""ONNX, by way of PyTorch: rows of numbers in, scores out, with normalisation in the graph."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from minifw.data import Floats
from minifw.data.reading import read_bytes
from minifw.errors import ArtefactError, CheckError, UsageError
from minifw.export.columns import rows_of, said_by_minifw, samples_to_try
from minifw.export.parcel import KEY, About, Parcel, about_of, first_line, only_seed
from minifw.export.twin import model_of

TOLERANCE = 1e-5
"""Of scores, and of numbers relative to the largest of a target."""
ROWS, SCORES = "rows", "scores"
"""The names of the graph's input and output."""


def onnx_file(parcel: Parcel) -> bytes:
    """Return the graph, from `rows` (n, columns) of double to `scores` (n, outputs).

    It is run in onnxruntime, on made-up samples, beside minifw. The network computes in its own
    dtype, or in float32 where onnxruntime lacks operations in float64.

    Raises:
        UsageError: ONNX is not installed, or a layer has no counterpart.
        CheckError: the graph does not say what minifw says.

    """
    only_seed(parcel, "onnx")
    _imported("onnxruntime")
    rows = rows_of(parcel.networks.about.coded, samples := samples_to_try(parcel))
    content = _graph(parcel, rows, parcel.networks.dtype)
    if _missing(content):
        content = _graph(parcel, rows, torch.float32)
    if lacks := _missing(content):
        raise UsageError(f"--format onnx: onnxruntime lacks an operation of this network: {lacks}")
    _check(parcel, _function(content)(rows), samples)
    return content


def _graph(parcel: Parcel, rows: Floats, dtype: torch.dtype) -> bytes:
    """Return the graph whose network computes in `dtype`."""
    onnx = _imported("onnx")
    file: Any = io.BytesIO()  # more than the annotation of torch's exporter takes
    with warnings.catch_warnings(), torch.no_grad():
        # The older exporter: the new one takes twenty times as long for the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model_of(parcel, dtype), (torch.from_numpy(rows),), file, dynamo=False,
            input_names=[ROWS], output_names=[SCORES],
            dynamic_axes={ROWS: {0: "n"}, SCORES: {0: "n"}},
        )  # fmt: skip
    made = onnx.load_from_string(file.getvalue())
    onnx.helper.set_model_props(made, {KEY: parcel.about.text()})
    content: bytes = made.SerializeToString()
    return content


def _missing(content: bytes) -> str:
    """Return which operation onnxruntime has not for its dtype, empty if it has all."""
    try:
        _function(content)
    except Exception as fault:
        if type(fault).__name__ != "NotImplemented":  # a class of its private module
            raise
        return first_line(fault).rpartition(" : ")[2]
    return ""


def _check(parcel: Parcel, theirs: Floats, samples: Floats) -> None:
    """Raise a CheckError unless a graph's numbers are minifw's, to TOLERANCE."""
    ours = said_by_minifw(parcel, samples)
    largest = np.maximum(1, np.abs(ours).max(0))
    away = float((np.abs(theirs - ours) / largest).max())
    if not away <= TOLERANCE:
        raise CheckError(
            f"--format onnx: in onnxruntime the graph gives numbers that are {away:.2g} away from "
            f"minifw's, more than {TOLERANCE:g}"
        )


def read(path: Path) -> tuple[About, Callable[[Floats], Floats]]:
    """Return what goes with a graph, and the function that it is.

    Raises:
        ArtefactError: it is no graph, or of another program.

    """
    onnx, _ = _imported("onnx"), _imported("onnxruntime")
    content, _ = read_bytes(path, None)
    try:
        properties = onnx.load_from_string(content).metadata_props
        text = {entry.key: entry.value for entry in properties}.get(KEY)
    except Exception as fault:  # protobuf has its own
        raise ArtefactError(f"{path}: is no ONNX graph: {first_line(fault)}") from None
    about = about_of(text, path, "metadata 'minifw'")
    try:
        function = _function(content)
    except Exception as fault:
        raise ArtefactError(f"{path}: onnxruntime cannot run it: {first_line(fault)}") from None
    return about, function


def _function(content: bytes) -> Callable[[Floats], Floats]:
    runtime = _imported("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session: Any = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def function(rows: Floats) -> Floats:
        scores: Floats = session.run([SCORES], {ROWS: np.asarray(rows, np.float64)})[0]
        return scores

    return function


def _imported(name: str) -> ModuleType:
    """Return a package of the extra `onnx`.

    Raises:
        UsageError: it is not installed.

    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(f'{name} is not installed: pip install "minifw[onnx]"') from None
