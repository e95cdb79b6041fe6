"""Makes results from trained arms: errors, times, and parity with PyTorch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from minifw import nn, reference
from minifw.config import heads
from minifw.config.generated import Generated
from minifw.config.model import Config, Stopping, word_of
from minifw.config.wiring import in_words, wiring
from minifw.data import BatchOrder, Floats, balance
from minifw.data.encoding import Prepared
from minifw.experiment.build import build_loss, build_network
from minifw.experiment.plan import Experiment, Plan
from minifw.experiment.scoring import Scored, fitted, numbers, record, scored
from minifw.runs import ARMS, Arm, Mode
from minifw.runs import norms as recorded
from minifw.runs.results import ArmResults, Data, Parity, Results, StoppingRecord, Summary
from minifw.statistics.summary import summarize
from minifw.training import Checkpoint, History, find_gradients, placement
from minifw.training.norms import SAMPLES

Trained = dict[Mode, dict[Arm, Checkpoint]]
"""The checkpoint of each arm in each mode."""


def metrics(trained: Trained) -> list[str]:
    """Return one line of JSON for each evaluation of each arm."""
    lines = []
    for mode, arms in trained.items():
        for arm, result in arms.items():
            history = result.history
            for index, epoch in enumerate(history.epochs):
                line: dict[str, Any] = {"mode": mode, "arm": arm, "epoch": epoch}
                for name in history.series:
                    line[name] = numbers(getattr(history, name)[index])
                lines.append(json.dumps(line, allow_nan=False) + "\n")
    return lines


def norms(last: Experiment, trained: Trained) -> bytes | None:
    """Return the content of norms.npz; None if norms were not recorded."""
    modes: dict[Mode, dict[str, Any]] = {}
    for mode, arms in trained.items():
        history = arms["minifw"].history
        if history.norms:
            series = {kind: np.stack(values) for kind, values in history.norms.items()}
            final = history.final_norms("dead")
            modes[mode] = {"epochs": np.array(history.epochs), "final": final, **series}
    if not modes:
        return None
    config = last.config
    layers = [f"network.{k} ({layer.word})" for k, layer in enumerate(config.network)]
    return recorded.content(layers, min(SAMPLES, last.data.train.count), modes)


@dataclass(frozen=True)
class Observed:
    """Results that need the samples of a group of seeds.

    `balance` and `wrong` are those of `data.balance`, `gradients` those of `gradient_differences`
    for each mode and dtype, `shift` and `scale` those of the dataset, and likewise of the targets.
    `fits` has R² and the mean absolute error of each network of a regression, `scores` what is
    measured of classifiers.
    """

    balance: Floats
    wrong: Floats
    shift: Floats
    scale: Floats
    target_shift: Floats
    target_scale: Floats
    gradients: dict[Mode, dict[str, Floats]]
    fits: dict[Mode, dict[Arm, dict[str, Floats]]]
    scores: dict[Mode, dict[Arm, Scored]]
    prepared: Prepared | None = None


def observe(experiment: Experiment, trained: Trained | None = None) -> Observed:
    """Return these results for a group of seeds; gradients only if two arms are compared."""
    gradients = _gradients(experiment) if len(experiment.plan.arms) > 1 else {}
    data = experiment.data
    moved = data.shift, data.scale, data.target_shift, data.target_scale
    fits: dict[Mode, dict[Arm, dict[str, Floats]]] = {}
    scores: dict[Mode, dict[Arm, Scored]] = {}
    for mode, arms in (trained or {}).items():
        if data.measure.targets:
            fits[mode] = {arm: fitted(experiment, result) for arm, result in arms.items()}
        else:
            scores[mode] = {arm: scored(experiment, result) for arm, result in arms.items()}
    return Observed(*balance(data), *moved, gradients, fits, scores, data.prepared)


def results(plan: Plan, observed: Sequence[Observed], trained: Trained) -> Results:
    """Return the content of results.json, from which the tables are made."""
    config, measure = plan.config, plan.measure
    shares = _percent([group.balance for group in observed])
    guessing = float(np.concatenate([group.wrong for group in observed]).mean())
    folds = plan.cross_validation
    overlap = None if folds is None else folds.overlap
    modes: dict[Mode, dict[Arm, ArmResults]] = {}
    for mode, arms in trained.items():
        modes[mode] = {}
        for arm, result in arms.items():
            history = result.history
            test_error = numbers(history.final("test_error"))
            modes[mode][arm] = ArmResults(
                test_error=test_error,
                train_error=numbers(history.final("train_error")),
                train_loss=numbers(history.final("train_loss")),
                diverged_epoch=[None if e < 0 else int(e) for e in history.diverged],
                diverged_layer=[layer_name(config, k) for k in history.diverged_layer],
                summary=Summary(**summarize(test_error, overlap).content()),
                seconds=history.seconds,
                evaluation_seconds=history.evaluation_seconds,
                compiled=history.compiled,
                not_compiled=history.not_compiled,
                **_others(history),
                **_measured(plan, observed, mode, arm),
            )
    other = next((arm for arm in plan.arms if arm != "minifw"), None)
    parity, speedup, sides = None, None, None
    margin = plan.margin or measure.margin(guessing)
    if other is not None:
        from minifw.report.pairs import pairs  # SciPy, which a training alone does not need

        parity = {
            mode: _parity(plan, observed, mode, arms["minifw"], arms[other])
            for mode, arms in trained.items()
        }
        speedup = {
            mode: arms[other].seconds / arms["minifw"].seconds for mode, arms in modes.items()
        }
        sides = {
            mode: pairs(
                {ARMS[arm]: mine.test_error for arm, mine in arms.items()},
                margin,
                measure,
                guessing,
                overlap,
            )[0]
            for mode, arms in modes.items()
        }
    return Results(
        name=config.name,
        about=about(config, len(plan.features)),
        seeds=plan.seeds,
        dtype=config.dtype,
        threads=torch.get_num_threads(),
        eta=config.train.eta,
        schedule=None if config.train.schedule.is_constant else config.train.schedule.word,
        optimizer=optimizer_name(config),
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        early_stopping=_rule(config),
        data=Data(
            features=list(plan.features),
            train=plan.sizes.train,
            test=plan.sizes.test,
            validation=plan.sizes.validation or None,
            class_balance=dict(zip(plan.classes, shares.tolist(), strict=True)),
            majority_error=None if measure.targets else 100 * guessing,
            targets=list(measure.targets) or None,
            mean_error=guessing if measure.targets else None,
            notes=list(plan.notes) or None,
            division=plan.division,
            cross_validation=folds,
            altered=config.data.alteration.words or None,
        ),
        modes=modes,
        parity=parity,
        speedup=speedup,
        margin=None if sides is None else margin,
        pairs=sides,
        measure="rmse" if measure.targets else "error",
        unit=measure.unit or None,
    )


def _measured(plan: Plan, observed: Sequence[Observed], mode: Mode, arm: Arm) -> dict[str, Any]:
    """Return what is measured besides the error: scores of classifiers, fits of a regression."""
    if scores := [group.scores[mode][arm] for group in observed if group.scores]:
        return {"scores": record(scores)}
    if not (fits := [group.fits[mode][arm] for group in observed if group.fits]):
        return {}
    found = {name: np.concatenate([group[name] for group in fits]) for name in fits[0]}
    alone, names = found.pop("target_rmse"), plan.measure.targets
    whole: dict[str, Any] = {name: numbers(values) for name, values in found.items()}
    if len(names) > 1:
        columns = zip(names, alone.T, strict=True)
        whole["target_rmse"] = {name: numbers(values) for name, values in columns}
    return whole


def _others(history: History) -> dict[str, Any]:
    """Return the results that not every run has: of other losses, and of early stopping."""
    others = ("test_loss", "validation_error", "validation_loss")
    found: dict[str, Any] = {
        name: numbers(history.final(name)) for name in others if getattr(history, name)
    }
    if history.stops_early:
        found["stopped_epoch"] = [None if e < 0 else int(e) for e in history.stopped]
        found["best_epoch"] = [int(epoch) for epoch in history.best_epoch]
    return found


def _rule(config: Config) -> StoppingRecord | None:
    section = config.train.early_stopping
    return None if section is None else StoppingRecord(**section.model_dump())


def _percent(of_groups: Sequence[Floats]) -> Any:
    """Return the mean over the seeds, the first dimension, in percent."""
    return 100 * np.concatenate(of_groups).mean(0)


def layer_name(config: Config, position: int) -> str | None:
    """Return the name of a layer, by its position in the config and its kind."""
    return None if position < 0 else f"network.{position} ({config.network[position].word})"


def layers_in_words(config: Config, features: int) -> tuple[str, str]:
    """Return the sizes of what goes from layer to layer, and their kinds: `2-25-2`, `relu`."""
    wired = wiring(config)
    all_shapes = wired.shapes(features)
    shapes, words = all_shapes[:1], []
    for layer, shape in zip(wired.layers, all_shapes[1:], strict=True):
        if "out_features" in layer.keys or shape != shapes[-1]:
            shapes.append(shape)
        if layer.called != "linear":
            words.append(layer.word)
    return "-".join(map(in_words, shapes)), "/".join(dict.fromkeys(words)) or "linear"


def about(config: Config, features: int) -> str:
    """Return network, data and loss as text for a caption."""
    section = config.data
    samples = (
        f"{section.train}+{section.test} points"
        if isinstance(section, Generated)
        else section.about
    )
    samples = ", ".join([samples, *section.alteration.words])
    sizes, kinds = layers_in_words(config, features)
    network = f"layers {sizes}, {kinds}"
    loss = heads.in_words(config.loss)
    if config.optimizer.called != "sgd":
        loss += f"; {config.optimizer.word}"
    stops = (
        "" if config.train.early_stopping is None else f"; {_stops(config.train.early_stopping)}"
    )
    return f"'{config.name}' ({word_of(section)}, {samples}; {network}; {loss}{stops})"


def optimizer_name(config: Config) -> str | None:
    """Return the name of the optimiser's class for a caption; None for gradient descent."""
    if config.optimizer.called == "sgd":
        return None
    name: str = config.optimizer.declaration.make.__name__
    return name


def _stops(rule: Stopping) -> str:
    """Return when a seed stops, and with which weights, as text for a caption."""
    count = f"{rule.patience} evaluation{'' if rule.patience == 1 else 's'}"
    lower = "a lower" if not rule.min_delta else f"by {rule.min_delta:g} lower"
    what = f"{count} without {lower} validation {rule.monitor}"
    weights = "those of its best evaluation" if rule.restore == "best" else "its last"
    return f"each seed stops after {what}, its weights are {weights}"


# --------------------------------------------------------------------------------------- parity


def _parity(
    plan: Plan, observed: Sequence[Observed], mode: Mode, left: Checkpoint, right: Checkpoint
) -> Parity:
    """Return the differences between the frameworks, at the first step and at the end."""
    both = torch.from_numpy((left.history.diverged < 0) & (right.history.diverged < 0))
    weights = [
        float((left.weights[name][both] - right.weights[name][both]).abs().max())
        for name in left.weights
        if both.any() and name in right.weights  # one may have streams of random numbers
    ]
    mine, other = (side.history.final("test_error") for side in (left, right))
    alike = plan.measure.same(mine, other)
    same = alike[both.numpy()]
    gradients = {
        dtype: np.concatenate([group.gradients[mode][dtype] for group in observed])
        for dtype in observed[0].gradients[mode]
    }
    return Parity(
        max_gradient_difference=_largest(gradients[plan.config.dtype]),
        max_gradient_difference_float64=_largest(gradients["float64"]),
        gradients_not_finite=int(np.isnan(gradients[plan.config.dtype]).sum()),
        max_weight_difference=max(weights, default=None),
        same_test_error=f"{int(same.sum())} of {len(same)}",
        different_seeds=[
            seed
            for seed, equal, ours, theirs in zip(plan.seeds, alike, mine, other, strict=True)
            if not equal and not (np.isnan(ours) and np.isnan(theirs))
        ],
        draws_differ=_draws(plan) or None,
    )


def _draws(plan: Plan) -> bool:
    """Return whether the network draws random numbers while training, as dropout does."""
    network = build_network(plan.config, plan.seeds[:1], len(plan.features))
    return any(module.is_random for module in network.modules())


def _largest(values: Floats) -> float | None:
    """Return the largest of these numbers, without NaN; None if there is none."""
    return float(np.nanmax(values)) if not np.isnan(values).all() else None


GRADIENT_BYTES = 2**28
"""Bytes of float64 inputs of the seeds whose gradients are compared together."""


def _gradients(experiment: Experiment) -> dict[Mode, dict[str, Floats]]:
    """Return `gradient_differences` of all seeds for each mode and dtype."""
    seeds = len(experiment.seeds)
    _, samples, features = experiment.data.train.inputs.shape
    step = replace(experiment.plan.sizes.step, number=8)
    size = min(
        max(1, GRADIENT_BYTES // (8 * samples * features)),
        step.networks_in(placement.PLAIN_BYTES, samples),
    )
    modes, dtypes = experiment.plan.modes, dict.fromkeys([experiment.config.dtype, "float64"])
    found: dict[Mode, dict[str, list[Floats]]]
    found = {mode: {dtype: [] for dtype in dtypes} for mode in modes}
    for first in range(0, seeds, size):
        some = experiment.of(slice(first, first + size))
        for dtype in dtypes:
            network = _network(some, dtype)
            for mode in modes:
                found[mode][dtype].append(gradient_differences(some, mode, network))
    return {
        mode: {dtype: np.concatenate(values) for dtype, values in of_mode.items()}
        for mode, of_mode in found.items()
    }


def _network(experiment: Experiment, dtype: str) -> nn.Network:
    """Return the networks with their initial weights in this dtype."""
    config = experiment.config.model_copy(update={"dtype": dtype})
    return build_network(config, experiment.seeds, len(experiment.data.features))


def gradient_differences(experiment: Experiment, mode: Mode, network: nn.Network) -> Floats:
    """Return how far our gradients are from autograd's at step 1, one figure a seed.

    It is the largest |minifw's - autograd's| of all parameters, divided by the largest value of
    either; NaN if a value is not finite. A parameter whose gradients are below a thousandth of the
    largest of its network is compared with that: a bias before batch normalization has the gradient
    0, of which both have nothing but rounding. `network` has initial weights in the dtype to
    compare.
    """
    seeds, data = experiment.seeds, experiment.data
    dtype = network.parameters()[0].value.dtype
    loss = build_loss(experiment.config, len(data.features))
    network.without_chance()  # whose draws differ between the frameworks
    inputs, targets = data.train.inputs, data.train.targets
    if (batch_size := experiment.plan.batch_size(mode)) is not None:
        order = BatchOrder(seeds, data.train.count)().to(inputs.device)
        inputs, targets = data.train.in_order(order[:, :batch_size])
    inputs = inputs.to(dtype)
    targets = targets.to(dtype) if targets.is_floating_point() else targets
    find_gradients(network, loss, inputs, targets)
    theirs = reference.gradients(network, loss, list(zip(inputs, targets, strict=True)))
    largest = torch.zeros(len(seeds), dtype=torch.float64, device=inputs.device)
    least = torch.stack([other.abs().flatten(1).amax(1) for other in theirs]).amax(0) / 1000
    for (_, _, mine), other in zip(network.parameters(), theirs, strict=True):
        difference, left, right = (
            values.abs().flatten(1).amax(1) for values in (mine - other, mine, other)
        )
        relative = difference / torch.maximum(torch.maximum(left, right), least)
        relative[(left == 0) & (right == 0)] = 0.0  # equal zeros do not differ
        largest = torch.maximum(largest, relative.double())  # keeps NaN
    return largest.numpy(force=True)
