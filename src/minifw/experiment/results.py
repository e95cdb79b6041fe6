"""Trained arms become results: errors, times, parity with PyTorch, and what a network decides."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minifw import config as configs
from minifw import data as points
from minifw import reference
from minifw.config.model import Config
from minifw.experiment.plan import DTYPES, Experiment, Plan, build_loss, build_network
from minifw.report import tables
from minifw.report.statistics import summary
from minifw.training import placement
from minifw.training.checkpoint import Checkpoint
from minifw.training.history import SERIES


def metrics(trained: dict[str, dict[str, Checkpoint]]) -> list[str]:
    """Return one line of JSON for each evaluation of each arm."""
    lines = []
    for mode, arms in trained.items():
        for arm, result in arms.items():
            history = result.history
            for index, epoch in enumerate(history.epochs):
                line: dict[str, Any] = {"mode": mode, "arm": arm, "epoch": epoch}
                for name in SERIES:
                    line[name] = _numbers(getattr(history, name)[index])
                lines.append(json.dumps(line, allow_nan=False) + "\n")
    return lines


@dataclass(frozen=True)
class Observed:
    """What only the samples of a group of seeds can tell.

    `balance` and `wrong` are what `data.balance` gives; `gradients` is for each mode and dtype what
    `gradient_differences` gives; `shift` and `scale` are the dataset's.
    """

    balance: points.Floats
    wrong: points.Floats
    shift: points.Floats
    scale: points.Floats
    gradients: dict[str, dict[str, points.Floats]]


def observe(experiment: Experiment, modes: Sequence[str], *, parity: bool) -> Observed:
    """Look at the samples of a group of seeds; at gradients too if there is to be `parity`."""
    gradients = _gradients(experiment, modes) if parity else {}
    data = experiment.data
    return Observed(*points.balance(data), data.shift, data.scale, gradients)


def results(
    plan: Plan, observed: Sequence[Observed], trained: dict[str, dict[str, Checkpoint]]
) -> dict[str, Any]:
    """Return the content of results.json: what the tables are made of."""
    config = plan.config
    balance = _percent([group.balance for group in observed])
    modes: dict[str, dict[str, Any]] = {}
    for mode, arms in trained.items():
        modes[mode] = {}
        for arm, result in arms.items():
            history = result.history
            test_error = _numbers(history.test_error[-1])
            modes[mode][arm] = {
                "test_error": test_error,
                "train_error": _numbers(history.train_error[-1]),
                "train_loss": _numbers(history.train_loss[-1]),
                "diverged_epoch": [None if e < 0 else int(e) for e in history.diverged],
                "diverged_layer": [_layer(config, k) for k in history.diverged_layer],
                "summary": summary(test_error),
                "seconds": history.seconds,
                "evaluation_seconds": history.evaluation_seconds,
                "compiled": history.compiled,
            }
    results: dict[str, Any] = {
        "name": config.name,
        "about": _about(config, len(plan.features)),
        "seeds": plan.seeds,
        "dtype": config.dtype,
        "threads": torch.get_num_threads(),
        "eta": config.train.eta,
        "epochs": config.train.epochs,
        "batch_size": config.train.batch_size,
        "data": {
            "features": list(plan.features),
            "train": plan.sizes.train,
            "test": plan.sizes.test,
            "class_balance": dict(zip(plan.classes, balance.tolist(), strict=True)),
            "majority_error": float(_percent([group.wrong for group in observed])),
        },
        "modes": modes,
    }
    if other := tables.reference_arm(next(iter(trained.values()))):
        results["parity"] = {
            mode: _parity(plan, observed, mode, arms["minifw"], arms[other])
            for mode, arms in trained.items()
        }
        results["speedup"] = {
            mode: arms[other]["seconds"] / arms["minifw"]["seconds"] for mode, arms in modes.items()
        }
    return results


def _percent(of_groups: Sequence[points.Floats]) -> Any:
    """Return the mean over all seeds, the first dimension, in percent."""
    return 100 * np.concatenate(of_groups).mean(0)


def _layer(config: Config, position: int) -> str | None:
    """Return a layer of the network as the config and its reader know it."""
    return None if position < 0 else f"network.{position} ({config.network[position].kind})"


def _about(config: Config, features: int) -> str:
    """Return network, data and loss in the words of a caption."""
    sizes = [str(features)] + [
        str(layer.out_features)
        for layer in config.network
        if isinstance(layer, configs.LinearLayer)
    ]
    kinds = list(dict.fromkeys(x.kind for x in config.network if isinstance(x, configs.Activation)))
    section = config.data
    samples = (
        f"{section.train}+{section.test} points"
        if isinstance(section, configs.Generated)
        else Path(section.path).name
    )
    network = f"layers {'-'.join(sizes)}, {'/'.join(kinds) or 'linear'}"
    loss = f"{config.loss.kind} {config.loss.reduction}"
    return f"'{config.name}' ({section.kind}, {samples}; {network}; {loss})"


def _numbers(values: Any) -> list[float | None]:
    """Return floats, None for what is not finite: JSON knows neither NaN nor infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


# --------------------------------------------------------------------------------------- parity


def _parity(
    plan: Plan, observed: Sequence[Observed], mode: str, left: Checkpoint, right: Checkpoint
) -> dict[str, Any]:
    """Return how far the two frameworks are apart, at the first step and at the end."""
    both = torch.from_numpy((left.history.diverged < 0) & (right.history.diverged < 0))
    weights = [
        float((left.weights[name][both] - right.weights[name][both]).abs().max())
        for name in left.weights
        if both.any()
    ]
    same = (left.history.test_error[-1] == right.history.test_error[-1])[both.numpy()]
    gradients = {
        dtype: np.concatenate([group.gradients[mode][dtype] for group in observed])
        for dtype in observed[0].gradients[mode]
    }
    return {
        "max_gradient_difference": _largest(gradients[plan.config.dtype]),
        "max_gradient_difference_float64": _largest(gradients["float64"]),
        "gradients_not_finite": int(np.isnan(gradients[plan.config.dtype]).sum()),
        "max_weight_difference": max(weights, default=None),
        "same_test_error": f"{int(same.sum())} of {len(same)}",
        "different_seeds": [
            seed
            for seed, ours, theirs in zip(
                plan.seeds,
                left.history.test_error[-1],
                right.history.test_error[-1],
                strict=True,
            )
            if ours != theirs and not (np.isnan(ours) and np.isnan(theirs))
        ],
    }


def _largest(values: points.Floats) -> float | None:
    """Return the largest of these that are numbers, None if there is none."""
    return float(np.nanmax(values)) if not np.isnan(values).all() else None


GRADIENT_BYTES = 2**28
"""What the inputs of the seeds whose gradients are looked at together may hold, in float64."""


def _gradients(experiment: Experiment, modes: Sequence[str]) -> dict[str, dict[str, points.Floats]]:
    """Return `gradient_differences` of all seeds for each mode and dtype."""
    data, seeds = experiment.data, len(experiment.seeds)
    one = build_network(
        _with_dtype(experiment.config, "float64"), experiment.seeds[:1], len(data.features)
    )
    _, samples, features = data.train.inputs.shape
    size = min(
        max(1, GRADIENT_BYTES // (8 * samples * features)),
        placement.seeds_in_memory(one, 1, samples),
    )
    some = [experiment.of(slice(first, first + size)) for first in range(0, seeds, size)]
    return {
        mode: {
            dtype: np.concatenate([gradient_differences(each, mode, dtype) for each in some])
            for dtype in dict.fromkeys([experiment.config.dtype, "float64"])
        }
        for mode in modes
    }


def _with_dtype(config: Config, dtype: str) -> Config:
    return config.model_copy(update={"dtype": dtype})


def gradient_differences(experiment: Experiment, mode: str, dtype: str) -> points.Floats:
    """Return how far our gradients are from autograd's at step 1, one figure a seed.

    It is over all parameters the largest |ours - autograd's| over the largest value in either;
    NaN where one of them is not finite.
    """
    config, seeds, data = experiment.config, experiment.seeds, experiment.data
    network = build_network(_with_dtype(config, dtype), seeds, len(data.features))
    loss = build_loss(config)
    inputs, targets = data.train.inputs, data.train.targets
    if mode == "sgd":
        order = points.BatchOrder(seeds, data.train.labels.shape[1])().to(inputs.device)
        inputs, targets = data.train.in_order(order[:, : config.train.batch_size])
    inputs = inputs.to(DTYPES[dtype])
    targets = targets.to(DTYPES[dtype]) if targets.is_floating_point() else targets
    output = network.forward(inputs)
    network.backward(loss.grad(output, targets))
    theirs = reference.gradients(network, loss, list(zip(inputs, targets, strict=True)))
    largest = torch.zeros(len(seeds), dtype=torch.float64, device=inputs.device)
    for (_, _, mine), other in zip(network.parameters(), theirs, strict=True):
        difference, left, right = (
            values.abs().flatten(1).amax(1) for values in (mine - other, mine, other)
        )
        relative = difference / torch.maximum(left, right)
        relative[(left == 0) & (right == 0)] = 0.0  # nothing is nowhere apart
        largest = torch.maximum(largest, relative.double())  # NaN stays NaN
    return largest.numpy(force=True)


# ------------------------------------------------------------------------------------- decisions

GRID = 101
"""How many points the plane has along each axis; between them scores are as good as linear."""
GRID_ROWS = 4096
"""How many points of the plane go through a network at once."""
SCORED = 10
"""Of more classes than that only the best two are kept for each point, or files would be large."""


def decision(plan: Plan, trained: dict[str, dict[str, Checkpoint]]) -> bytes:
    """Return, as .npz, what one network of each minifw arm decides over the plane.

    It is the network whose test error is nearest to the median over the seeds. Coordinates are
    those of the data as it came, before normalising. For each mode there are

        x, y                coordinates of the plane's points
        decision            `(y, x)`: the class with the largest score
        scores              `(y, x, classes)`: the network's outputs; of more classes than `SCORED`
        second, margin      `(y, x)`: the class next to the best, and how far it is below
        points, labels      the test samples, and their classes
        answers             the class that the network gives each of them
        seed, error         which network it is, and its test error in percent
    """
    arrays: dict[str, Any] = {}
    for mode, arms in trained.items():
        errors = arms["minifw"].history.test_error[-1]
        if np.isnan(errors).all():
            continue
        place = int(np.nanargmin(np.abs(errors - np.nanmedian(errors))))
        seed = plan.seeds[place]
        data = plan.draw([seed]).data
        shift, scale = data.shift[0], data.scale[0]
        inputs = data.test.inputs[0].double().numpy(force=True) * scale + shift
        low, high = inputs.min(0), inputs.max(0)
        # A constant is a line of some width, however large it is.
        margin = 0.03 * np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
        axes = [np.linspace(a, b, GRID) for a, b in zip(low - margin, high + margin, strict=True)]
        plane = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
        on_cpu = plan.config.model_copy(update={"device": "cpu"})
        network = build_network(on_cpu, [seed], 2)
        weights = arms["minifw"].weights
        network.load_state_dict({name: v[place : place + 1] for name, v in weights.items()})
        normal = torch.from_numpy((plane - shift) / scale).to(data.test.inputs.dtype)
        outputs, answers = (
            torch.cat(
                [network.forward(some.unsqueeze(0))[0] for some in torch.split(rows, GRID_ROWS)]
            )
            for rows in (normal, data.test.inputs[0].cpu())
        )
        found = {
            "x": axes[0],
            "y": axes[1],
            **_decided(outputs),
            "points": inputs,
            "labels": data.test.labels[0].numpy(force=True).astype(np.int16),
            "answers": answers.argmax(-1).numpy().astype(np.int16),
            "seed": np.array(seed),
            "error": np.array(errors[place]),
        }
        arrays |= {f"{mode}/{name}": array for name, array in found.items()}
    section = plan.config.data
    if isinstance(section, configs.Disk):
        arrays["disk"] = np.array([*section.center, section.radius])
    if isinstance(section, configs.HalfPlane):
        arrays["line"] = np.array([[0.0, 0.0], [1.0, 1.0]])
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _decided(outputs: torch.Tensor) -> dict[str, Any]:
    """Return what a network says over the plane, from its outputs `(points, classes)`."""
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
