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
from minifw.experiment import estimates, prediction
from minifw.export.columns import rows_of, samples_to_try
from minifw.export.parcel import KEY, About, Parcel, about_of, only_seed
from minifw.export.twin import model_of

TOLERANCE = 1e-5
"""Of scores, and of numbers relative to the largest of a target."""
ROWS, SCORES = "rows", "scores"
"""The names of the graph's input and output."""


def onnx_file(parcel: Parcel) -> bytes:
    """Return the graph, from `rows` (n, columns) of double to `scores` (n, outputs).

    It is run in onnxruntime, on made-up samples, beside minifw.

    Raises:
        UsageError: ONNX is not installed, or a layer has no counterpart.
        CheckError: the graph does not say what minifw says.

    """
    only_seed(parcel, "onnx")
    onnx = _imported("onnx")
    rows = rows_of(parcel.networks.about.coded, samples := samples_to_try(parcel))
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The older exporter: the new one takes twenty times as long for the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model_of(parcel), (torch.from_numpy(rows),), file, dynamo=False,
            input_names=[ROWS], output_names=[SCORES],
            dynamic_axes={ROWS: {0: "n"}, SCORES: {0: "n"}},
        )  # fmt: skip
    made = onnx.load_from_string(file.getvalue())
    onnx.helper.set_model_props(made, {KEY: parcel.about.text()})
    content: bytes = made.SerializeToString()
    _check(parcel, _function(content), rows, samples)
    return content


def _check(
    parcel: Parcel, function: Callable[[Floats], Floats], rows: Floats, samples: Floats
) -> None:
    """Raise a CheckError unless the graph says what minifw says, to TOLERANCE."""
    networks = parcel.networks
    if networks.about.targets:
        ours = estimates.predict(networks, samples).values
    else:
        ours = prediction.predict(networks, samples).scores
    try:
        theirs = function(rows)
    except Exception as fault:  # onnxruntime has many
        line = next(iter(str(fault).splitlines()), type(fault).__name__)
        raise UsageError(
            f"--format onnx: onnxruntime cannot run this network in {networks.dtype}: {line}"
        ) from None
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
    onnx = _imported("onnx")
    content, _ = read_bytes(path, None)
    try:
        properties = onnx.load_from_string(content).metadata_props
        text = {entry.key: entry.value for entry in properties}.get(KEY)
    except Exception as fault:  # protobuf has its own
        line = next(iter(str(fault).splitlines()), type(fault).__name__)
        raise ArtefactError(f"{path}: is no ONNX graph: {line}") from None
    about = about_of(text, path, "metadata 'minifw'")
    try:
        function = _function(content)
    except Exception as fault:
        line = next(iter(str(fault).splitlines()), type(fault).__name__)
        raise ArtefactError(f"{path}: onnxruntime cannot run it: {line}") from None
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
