"""The decisions of one network over the plane of two features: the content of decision.npz."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch

from minifw.config.generated import Generated
from minifw.data import Dataset, Floats
from minifw.experiment.build import build_network
from minifw.experiment.plan import Experiment
from minifw.experiment.results import Trained

GRID = 101
"""Points of the plane along each axis; scores are nearly linear between them."""
GRID_ROWS = 4096
"""Points of the plane that are evaluated at once."""
SCORED = 10
"""With more classes than this only the best two are kept for each point, to limit the file."""


def decision(last: Experiment, trained: Trained) -> bytes:
    """Return the content of decision.npz: for each mode, one network's decisions over the plane.

    It is the network whose test error is nearest to the median over the seeds. `last` is the group
    of seeds in memory; a seed of another group is drawn again. Coordinates are in the data's units,
    before normalisation. For each mode there are

        x, y                coordinates of the plane's points
        decision            `(y, x)`: the class with the largest score
        scores              `(y, x, classes)`: the outputs; with more than `SCORED` classes:
        second, margin      `(y, x)`: the second-best class, and how far its score is below
        points, labels      the test samples, and their classes
        answers             the class that the network gives each of them
        seed, error         which network it is, and its test error in percent
    """
    plan = last.plan
    on_cpu = plan.config.model_copy(update={"device": "cpu"})
    network = build_network(on_cpu, [plan.config.seed], 2)  # its weights are loaded below
    arrays: dict[str, Any] = {}
    for mode, arms in trained.items():
        errors = arms["minifw"].history.final("test_error")
        place = median_seed(errors)
        if place is None:
            continue
        seed = plan.seeds[place]
        data = samples_of_seed(last, seed)
        labels = data.test.labels
        assert labels is not None
        shift, scale = data.shift[0], data.scale[0]
        inputs = data.test.inputs[0].double().numpy(force=True) * scale + shift
        low, high = inputs.min(0), inputs.max(0)
        # A constant feature gets some width, relative to its size.
        margin = 0.03 * np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
        axes = [np.linspace(a, b, GRID) for a, b in zip(low - margin, high + margin, strict=True)]
        plane = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
        weights = arms["minifw"].weights
        network.eval()
        network.load_state_dict({name: v[place : place + 1] for name, v in weights.items()})
        normal = torch.from_numpy((plane - shift) / scale).to(data.test.inputs.dtype)
        outputs, answers = (
            torch.cat(
                [
                    network.forward(some.unsqueeze(0))[0, :, data.test.columns or slice(None)]
                    for some in torch.split(rows, GRID_ROWS)
                ]
            )
            for rows in (normal, data.test.inputs[0].cpu())
        )
        found = {
            "x": axes[0],
            "y": axes[1],
            **decided_plane(outputs),
            "points": inputs,
            "labels": labels[0].numpy(force=True).astype(np.int16),
            "answers": answers.argmax(-1).numpy().astype(np.int16),
            "seed": np.array(seed),
            "error": np.array(errors[place]),
        }
        arrays |= {f"{mode}/{name}": array for name, array in found.items()}
    section = plan.config.data
    if isinstance(section, Generated):
        outline = section.declaration.outline(section.keys)
        arrays |= {name: np.array(value) for name, value in outline.items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def median_seed(errors: Floats) -> int | None:
    """Return the place of the error that is nearest to the median; None if all diverged."""
    if np.isnan(errors).all():
        return None
    return int(np.nanargmin(np.abs(errors - np.nanmedian(errors))))


def samples_of_seed(last: Experiment, seed: int) -> Dataset:
    """Return the samples of one seed, as a stack of one; they may have to be drawn again."""
    if seed not in last.seeds:
        return last.plan.draw([seed]).data
    place = last.seeds.index(seed)
    return last.data.of(slice(place, place + 1))


def decided_plane(outputs: torch.Tensor) -> dict[str, Any]:
    """Return a network's decisions over the plane, from its outputs `(points, classes)`."""
    best = outputs.argmax(-1)
    arrays = {"decision": best.to(torch.int16)}
    if outputs.shape[-1] <= SCORED:
        arrays["scores"] = outputs.float()
    else:
        top = outputs.gather(-1, best[:, None])
        rest = outputs.scatter(-1, best[:, None], -torch.inf)
        second = rest.max(-1)
        arrays |= {
            "second": second.indices.to(torch.int16),
            "margin": (top[:, 0] - second.values).float(),
        }
    return {
        name: values.reshape(GRID, GRID, *values.shape[1:]).numpy()
        for name, values in arrays.items()
    }
