"""norms.npz: how large activations, gradients, weights and updates of each layer were.

A run has it with `train.record: gradients`. It holds `layers` and `samples`, and for each mode

    <mode>/epochs    (k,), those of the evaluations
    <mode>/<kind>    (k, seeds, layers), float64; NaN where there is nothing
    <mode>/final     (seeds, layers), the share of dead units of the weights that a seed ended with
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minifw.errors import ArtefactError
from minifw.runs.arms import Mode
from minifw.runs.directory import Run

NORMS = "norms.npz"
KINDS = ("activation", "gradient", "weight", "update", "dead")
MOST_LAYERS = 10_000
"""Layers of a network that a file may name."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gradients:
    """Norms of one mode, for each evaluation, seed and layer; each is a root mean square.

    They are those of one training step on the first `samples` training samples of each seed, which
    was only tried. NaN stands where a seed has diverged, or a layer has nothing of the kind.

    Attributes:
        seeds: in the order of the arrays.
        layers: names, such as "network.2 (linear)".
        samples: how many the step was of.
        epoch: `(k,)`, those of the evaluations.
        activation: `(k, seeds, layers)`, of a layer's results.
        gradient: of the gradient of the loss by a layer's parameters.
        weight: of these parameters.
        update: of their change in the step.
        dead: of an activation function, the share of units (or channels) that were 0 for all
            samples.
        dead_at_end: `(seeds, layers)`, that of the weights with which a seed ended.

    """

    seeds: tuple[int, ...]
    layers: tuple[str, ...]
    samples: int
    epoch: NDArray[np.int64]
    activation: Floats
    gradient: Floats
    weight: Floats
    update: Floats
    dead: Floats
    dead_at_end: Floats


def content(layers: Sequence[str], samples: int, modes: Mapping[Mode, Mapping[str, Any]]) -> bytes:
    """Return the content of the file; `modes` has epochs, final and the kinds of each."""
    arrays: dict[str, Any] = {f"{mode}/{name}": np.asarray(v) for mode, own in modes.items()
                              for name, v in own.items()}  # fmt: skip
    arrays |= {"layers": np.array(layers), "samples": np.array(samples)}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def gradients_of(run: Run) -> dict[Mode, Gradients]:
    """Return the norms of a run by mode; none if it did not record them.

    Raises:
        ArtefactError: the file is damaged, or is not minifw's.

    """
    if NORMS not in run.known:
        return {}
    where = run.path / NORMS
    try:
        with np.load(io.BytesIO(run.read(NORMS)), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        layers = tuple(str(name) for name in found["layers"].tolist())
        samples, seeds = int(found["samples"]), tuple(run.manifest.seeds)
        modes: dict[Mode, Gradients] = {}
        for mode in run.manifest.modes:
            epochs = found[f"{mode}/epochs"]
            kinds = {kind: found[f"{mode}/{kind}"] for kind in KINDS}
            final = found[f"{mode}/final"]
            shape = (*epochs.shape, len(seeds), len(layers))
            fits = epochs.ndim == 1 and epochs.dtype == np.int64 and final.shape == shape[1:]
            fits &= all(v.shape == shape and v.dtype == np.float64 for v in kinds.values())
            if not fits or len(layers) > MOST_LAYERS or final.dtype != np.float64:
                raise ValueError("arrays of other shapes than the run's")
            modes[mode] = Gradients(seeds, layers, samples, epochs, **kinds, dead_at_end=final)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as fault:
        raise ArtefactError(f"{where}: not a minifw file of norms: {fault}") from None
    return modes
